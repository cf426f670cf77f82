"""A made-up log of any size in the five-file form of KuaiSAR, with the truth about its searches kept aside."""

from components.simulator.settings import SimulatorSettings
from components.simulator.writer import simulate

__all__ = ["SimulatorSettings", "simulate"]
