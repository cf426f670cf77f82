"""A made-up log in the five-file form of KuaiSAR, so that the pipeline runs without one of the reader's own."""

from synthetic_logs.demo.settings import DemoLogSettings
from synthetic_logs.demo.writer import write_demo_log

__all__ = ["DemoLogSettings", "write_demo_log"]
