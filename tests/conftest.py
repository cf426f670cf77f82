"""How the tests are dealt out to processes, and how hypothesis draws: the same examples each time, in its own time."""

import pytest
from hypothesis import HealthCheck, settings

# A slow machine is no failure, and examples of luck would stop work that has nothing to do with them. To look for more:
# pytest --hypothesis-profile default --hypothesis-seed 1
settings.register_profile(
    "repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """The longest files first; a file's tests stay together (`--dist loadfile`), for their fixtures."""
    items.sort(key=lambda item: item.path.parent.name != "e2e")
