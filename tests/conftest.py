"""How the tests are dealt out to processes, and how hypothesis draws: the same examples each time, in its own time."""

import collections
import os

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # before the first TensorFlow import, as the commands do

# A slow machine is no failure, and examples of luck would stop work that has nothing to do with them. To look for more:
# pytest --hypothesis-profile default --hypothesis-seed 1
settings.register_profile("repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")


class Together(LoadFileScheduling):
    """A file's tests stay together, for their fixtures. Those of `e2e` share one pipeline run, but for the real sets',
    each of which has a run of its own; those of the small servable share its export.
    """

    def _split_scope(self, nodeid):
        file = super()._split_scope(nodeid)
        if file.endswith("test_real_data.py"):
            return nodeid
        if file.rpartition("/")[2] in ("test_servable.py", "test_merged_calls.py", "test_client_servable.py"):
            return "exported_small"
        return "e2e" if "/e2e/" in file else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return Together(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """The longest files first, so that no process waits for another one's last file."""
    slow = collections.Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: (item.path.parent.name != "e2e", -slow[item.path]))


@pytest.fixture(scope="session")
def exported_small(tmp_path_factory):
    """`SmallServable` and the directory of its export, with warm-up requests: half a minute of tracing, done once."""
    from serving.warmup import write_warm_up
    from tests.support.small_servable import SmallServable

    folder = tmp_path_factory.mktemp("small")
    made = SmallServable(folder)
    directory = made.save(folder / "models" / "1")
    write_warm_up(directory)
    return made, directory
