"""ExampleGen on a real engine, Prism: the same files as in memory, and one line where it fails."""

import contextlib
import os
import random
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.support.engines import ROOT, free_port, listening, running_pool, running_prism
from tests.support.slow_example_gen import COMMAND
from tfx_pipeline.beam import engine
from tfx_pipeline.beam.arguments import beam_arguments
from tfx_pipeline.beam_settings import BeamEngine
from tfx_pipeline.console.failures import real_message
from tfx_pipeline.sources import SettingsError

pytestmark = pytest.mark.slow

SETTINGS = {"num_negatives": 9, "shard_bytes": 700, "export_candidates": True}


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """Twenty users, so small a shard that more than ten are written."""
    draw, folder = random.Random(1), tmp_path_factory.mktemp("log")
    times = draw.sample(range(1_714_543_200_000, 1_714_553_200_000), 460)
    clicks = [f"1,u{draw.randrange(20)},{time},i{draw.randrange(90)}\n" for time in times[:400]]
    searches = [f'u{draw.randrange(20)},{n},{time},"[1]",i{n},{n % 2},X\n' for n, time in enumerate(times[400:])]
    (folder / "rec_inter.csv").write_text("click,user_id,timestamp,item_id\n" + "".join(clicks))
    (folder / "src_inter.csv").write_text(
        "user_id,search_session_id,search_session_timestamp,keyword,item_id,click_cnt,search_source\n"
        + "".join(searches)
    )
    return folder


@pytest.fixture(scope="module")
def in_memory(run_log, log):
    return run_log(log, **SETTINGS)


@pytest.fixture(scope="module")
def prism(tmp_path_factory):
    """Endpoint of a running Prism, and its process."""
    with running_prism(tmp_path_factory.mktemp("prism")) as running:
        yield running


def _files(run):
    folder = Path(run.artifact.uri).parent
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "log_report.json"
    }


def _equal(run, other):
    assert _files(run) == _files(other)
    assert run.report == other.report


def test_the_log_makes_more_than_ten_shards(in_memory):
    assert len(list(Path(in_memory.artifact.uri).glob("Split-train/*"))) > 10


@pytest.mark.parametrize("split", ["leave_one_out", pytest.param("time", marks=pytest.mark.long)])
def test_workers_in_the_process_that_submits(prism, run_log, log, in_memory, tmp_path, split):
    endpoint, process = prism
    settings = BeamEngine(runner="prism", endpoint=endpoint)
    expected = in_memory if split == "leave_one_out" else run_log(log, split=split, **SETTINGS)
    with engine.ready(settings, str(tmp_path), str(log)) as arguments:
        listened = []
        watch = threading.Thread(target=_watch, args=(os.getpid(), listened, done := threading.Event()))
        watch.start()
        _equal(run_log(log, split=split, arguments=arguments, **SETTINGS), expected)
        done.set()
        watch.join()
    assert not list(tmp_path.iterdir())
    assert listening(process) == set()
    assert not set().union(*listened)


def _watch(pid, found, done):
    while not done.is_set():
        found.append(listening(psutil.Process(pid)))
        time.sleep(0.2)


@pytest.mark.long
def test_workers_of_a_pool(prism, run_log, log, in_memory, tmp_path):
    with running_pool(tmp_path) as (address, process):
        settings = BeamEngine(runner="prism", endpoint=prism[0], workers="pool", worker_pool=address)
        with engine.ready(settings, str(tmp_path / "run"), str(log)) as arguments:
            assert not list((tmp_path / "run").iterdir())
            _equal(run_log(log, arguments=arguments, **SETTINGS), in_memory)
        assert listening(process) == set()


@pytest.mark.long
def test_workers_by_our_boot_program(prism, run_log, log, in_memory, tmp_path):
    settings = BeamEngine(runner="prism", endpoint=prism[0], workers="process")
    with engine.ready(settings, str(tmp_path), str(log)) as arguments:
        _equal(run_log(log, arguments=arguments, **SETTINGS), in_memory)


def test_prism_is_started_and_ended_by_a_run(prism, run_log, log, in_memory, tmp_path):
    """`prism` is there for its binary alone."""
    with engine.ready(BeamEngine(runner="prism"), str(tmp_path), str(log)) as arguments:
        _equal(run_log(log, arguments=arguments, **SETTINGS), in_memory)


@pytest.mark.long
def test_a_job_may_take_longer_than_a_server_may_take_to_answer(prism):
    """Beam takes one limit for both; the default, five minutes, would fail every longer job."""
    arguments = beam_arguments(BeamEngine(runner="prism", endpoint=prism[0]))
    short = [*arguments, "--job_server_timeout=2"]
    with pytest.raises(Exception, match="(?i)deadline"):
        _sleep(4, short)
    _sleep(4, arguments)


def _sleep(seconds, arguments):
    import apache_beam as beam

    with beam.Pipeline(argv=arguments) as pipeline:
        _ = pipeline | beam.Create([seconds]) | beam.Map(time.sleep)


def test_what_a_step_raises_is_shown_as_in_memory(prism, run_log, tmp_path):
    """A step that raises on a worker: the same message, and nothing half-written."""
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "rec_inter.csv").write_text("click,user_id,timestamp,item_id\n1,ann,1714543200000,i1\n")
    (tmp_path / "log" / "src_inter.csv").write_text("user_id,search_session_id\n")
    messages = []
    for arguments in (None, beam_arguments(BeamEngine(runner="prism", endpoint=prism[0]))):
        with pytest.raises(Exception, match="src_inter.csv") as caught:
            run_log(tmp_path / "log", arguments=arguments, **SETTINGS)
        messages.append(real_message(caught.value))
    assert messages[0] == messages[1]
    assert "\n" not in messages[0]


@pytest.mark.long
def test_a_worker_that_is_killed_ends_the_job_with_nothing_half_written(prism, log, tmp_path):
    """The one that writes; the run is a process of its own, and ends with another status than 0.

    Prism tells that the worker is gone, or, about as often, falls over the closed channel to it: either fails the job.
    """
    with running_pool(tmp_path) as (address, pool):
        arguments = beam_arguments(BeamEngine(runner="prism", endpoint=prism[0], workers="pool", worker_pool=address))
        run, examples = _started_writing(log, tmp_path / "out", arguments)
        [worker] = psutil.Process(pool.pid).children()
        worker.kill()
        output, _ = run.communicate(timeout=60)
    assert run.returncode not in (0, None)
    assert re.search(r"Pipeline job-\d+ failed", output)
    assert "SDK worker disconnected" in output or "send on closed channel" in output
    assert not [path for path in examples.rglob("*") if path.is_file()]
    assert not (tmp_path / "out" / "log_report" / "log_report.json").exists()


@pytest.mark.long
def test_a_run_that_is_stopped_cancels_its_job(prism, log, tmp_path):
    arguments = beam_arguments(BeamEngine(runner="prism", endpoint=prism[0]))
    run, examples = _started_writing(log, tmp_path / "out", arguments)
    run.send_signal(signal.SIGTERM)
    output, _ = run.communicate(timeout=60)
    assert "was cancelled." in output
    assert run.returncode not in (0, None)
    assert not [path for path in examples.rglob("*") if path.is_file()]


def _started_writing(log, out, arguments):
    """A run in a process of its own that has begun to write Examples, and their folder."""
    run = subprocess.Popen(
        [*COMMAND, str(log), str(out), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    _until(lambda: any((out / "examples").glob("Split-*/*")), run)
    return run, out / "examples"


def _until(holds, run):
    deadline = time.monotonic() + 120
    while not holds():
        assert run.poll() is None, run.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("runner", ["prism", pytest.param("flink", marks=pytest.mark.long)])
def test_a_dead_endpoint_is_one_line_within_seconds(runner, tmp_path):
    settings = BeamEngine(runner=runner, endpoint=f"localhost:{free_port()}")
    started = time.monotonic()
    with pytest.raises(SettingsError, match="should be where a Beam job server listens") as caught:
        with engine.ready(settings, str(tmp_path), str(tmp_path)):
            pass
    assert "\n" not in str(caught.value)
    assert time.monotonic() - started < 30


@pytest.mark.long
def test_a_folder_that_workers_do_not_see_is_named(prism, log, tmp_path, monkeypatch):
    """A worker in a chroot or on another machine: here, one for which the folder has another name."""
    from tfx_pipeline.beam import probe

    monkeypatch.setattr(probe, "_write", lambda path: Path(path).touch() if not path.endswith("-seen") else None)
    arguments = beam_arguments(BeamEngine(runner="prism", endpoint=prism[0]))
    with pytest.raises(SettingsError, match="`output_dir` should be on storage that all workers of the engine share"):
        probe.require_folders(arguments, {"output_dir": str(tmp_path)}, str(log))
    with pytest.raises(SettingsError, match="`log_dir` should be on storage .* a worker does not find what is there"):
        probe.require_folders(arguments, {}, str(tmp_path / "none"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("args", "folder", "message"),
    [
        ((), "gs://b/r", "Received: no --project, no --region, no --temp_location."),
        (("--project=p", "--region=r", "--temp_location=gs://b/t"), "/r", "`output_dir` should be a gs:// folder"),
    ],
)
def test_dataflow_is_told_what_it_lacks(args, folder, message):
    settings = BeamEngine(runner="dataflow", image="here/lcr-ser:1", args=args)
    with pytest.raises(SettingsError, match=message), engine.ready(settings, folder, "gs://b/log"):
        pass


def test_what_was_there_before_a_run_is_there_after_it(tmp_path):
    """Signals, Beam's own classes."""
    import apache_beam as beam

    before = beam.Pipeline.run, signal.getsignal(signal.SIGTERM)
    with contextlib.suppress(RuntimeError), engine.jobs_end_with_the_run():
        raise RuntimeError
    assert (beam.Pipeline.run, signal.getsignal(signal.SIGTERM)) == before
