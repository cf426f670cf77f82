"""How the tests are dealt out to processes: a file's tests stay together (`--dist loadfile`), for their fixtures."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """The longest files first."""
    items.sort(key=lambda item: item.path.parent.name != "e2e")
