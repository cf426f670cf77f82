"""A made-up log of any size in the five-file form of KuaiSAR, with the truth about its searches kept aside."""

from synthetic_logs.simulator.settings import SimulatorSettings
from synthetic_logs.simulator.writer import simulate

__all__ = ["SimulatorSettings", "simulate"]
