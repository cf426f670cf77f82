"""The whole pipeline on Prism, Beam's own portable engine, against the same run in memory."""

import json
import shutil

import pytest
import tensorflow as tf
from tensorflow_metadata.proto.v0 import statistics_pb2

from tests.support.engines import require_prism
from tests.support.workspace import COMPONENTS, ROOT, Workspace, lines_by_component

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def engine_run(tmp_path_factory, workspace):
    require_prism()
    ours = Workspace(tmp_path_factory.mktemp("prism"), workspace.log_dir, workspace.name)
    result = ours.command("run", "create", "--pipeline_path", "tfx_pipeline/", cwd=ROOT, LCR_SER_BEAM__RUNNER="prism")
    assert result.returncode == 0, result.stdout + result.stderr
    return ours, result


def _files(workspace, pattern):
    """Contents by the path below the artifact, which has the number of an execution in it."""
    folder = workspace.run_dir / "artifacts"
    found = {str(path.relative_to(folder)): path for path in folder.glob(pattern)}
    return {"/".join(part for part in name.split("/") if not part.isdigit()): path for name, path in found.items()}


def _pairs(workspaces, pattern):
    first, second = (_files(one, pattern) for one in workspaces)
    assert set(first) == set(second) != set()
    return [(first[name], second[name]) for name in first]


@pytest.fixture
def both(workspace, first_run, engine_run):
    """The workspaces of the run in memory and of the one on the engine."""
    return workspace, engine_run[0]


def test_every_component_ran_and_a_version_was_pushed(engine_run):
    workspace, result = engine_run
    assert set(lines_by_component(result.stdout)) == set(COMPONENTS)
    assert len(workspace.versions) == 1


def test_examples_are_equal_byte_for_byte(both):
    for one, other in _pairs(both, "LogExampleGen/examples/*/Split-*/*"):
        assert one.read_bytes() == other.read_bytes()


def test_vocabularies_are_equal_byte_for_byte(both):
    for one, other in _pairs(both, "Transform/transform_graph/*/transform_fn/assets/*"):
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("split", ["train", "eval", "test"])
def test_transformed_examples_are_equal_in_any_order(both, split):
    def records(workspace):
        folder = workspace.run_dir / "artifacts" / "Transform" / "transformed_examples"
        files = [str(path) for path in folder.glob(f"*/Split-{split}/*")]
        read = tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator()
        return sorted(tf.train.Example.FromString(one).SerializeToString(deterministic=True) for one in read)

    one, other = map(records, both)
    assert one == other != []


def test_statistics_are_equal_to_the_last_digits(both):
    for one, other in _pairs(both, "StatisticsGen/statistics/*/Split-*/FeatureStats.pb"):
        first, second = (
            statistics_pb2.DatasetFeatureStatisticsList.FromString(path.read_bytes()).datasets[0]
            for path in (one, other)
        )
        assert first.num_examples == second.num_examples > 0
        by_name = {feature.path.step[0]: feature for feature in second.features}
        for feature in first.features:
            twin = by_name.pop(feature.path.step[0])
            assert feature.WhichOneof("stats") == twin.WhichOneof("stats")
            common, other_common = (getattr(one, one.WhichOneof("stats")).common_stats for one in (feature, twin))
            assert common.num_non_missing == other_common.num_non_missing
            assert (common.min_num_values, common.max_num_values) == (
                other_common.min_num_values,
                other_common.max_num_values,
            )
            assert common.avg_num_values == pytest.approx(other_common.avg_num_values, rel=1e-6)
            assert feature.num_stats.mean == pytest.approx(twin.num_stats.mean, rel=1e-12)
            assert feature.num_stats.max == twin.num_stats.max
            assert feature.string_stats.unique == twin.string_stats.unique
        assert not by_name


def test_metrics_are_equal(both, first_run):
    figures = json.loads((both[1].run_dir / "run.json").read_text())
    assert figures["metrics"].keys() == first_run.figures["metrics"].keys()
    for role, metrics in first_run.figures["metrics"].items():
        assert figures["metrics"][role] == pytest.approx(metrics, abs=1e-12)


def test_a_broken_log_is_one_line_on_either_engine(tmp_path, workspace):
    """The message of the step, not the name of a job."""
    require_prism()
    log = shutil.copytree(workspace.log_dir, tmp_path / "log")
    clicks = log / "rec_inter.csv.gz"
    clicks.write_bytes(clicks.read_bytes()[:-12])
    shown = []
    for runner in ("local", "prism"):
        ours = Workspace(tmp_path / runner, log)
        ours.folder.mkdir()
        result = ours.command(
            "run", "create", "--pipeline_path", str(ROOT / "tfx_pipeline"), LCR_SER_BEAM__RUNNER=runner
        )
        assert result.returncode == 1
        shown.append([line for line in result.stdout.splitlines() if line.startswith("Error: ")])
    assert shown[0] == shown[1]
    assert len(shown[0]) == 1
