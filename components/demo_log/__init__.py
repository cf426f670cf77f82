"""A made-up log in the five-file form of KuaiSAR, so that the pipeline runs without one of the reader's own."""

from components.demo_log.settings import DemoLogSettings
from components.demo_log.writer import write_demo_log

__all__ = ["DemoLogSettings", "write_demo_log"]
