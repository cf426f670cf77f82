"""How the tests are dealt out to processes."""

import pytest


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items):
    """The longest first; a file's tests stay together for its fixtures, and all tests of the one shared run."""
    items.sort(key=lambda item: item.path.parent.name != "e2e")
    for item in items:
        if "workspace" in item.fixturenames:
            group = "the shared run"
        elif item.get_closest_marker("real_data"):
            group = item.name
        else:
            group = item.path.name
        item.add_marker(pytest.mark.xdist_group(group))
