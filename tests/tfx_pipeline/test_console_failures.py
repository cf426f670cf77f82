"""What the console shows of a job that failed is what a step raised, whichever engine brought the text here."""

import io

import pytest

from tfx_pipeline.console.console import RunConsole
from tfx_pipeline.console.failures import real_message

LOCAL = "log.csv: 5 of 9 rows cannot be read [while running 'Read']"
WORKER = """Traceback (most recent call last):
  File "apache_beam/runners/common.py", line 1498, in process
  File "/app/components/example_gen/flow.py", line 120, in process
    for clicks, shown in read(file):
    ^^^^^^^^^^^^^^^^^^^^
components.example_gen.errors.LogError: the first cause

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/sdk_worker.py", line 309, in _execute
    response = task()
components.example_gen.errors.LogError: log.csv: 5 of 9 rows cannot be read [while running 'Read-ptransform-33']
"""
PRISM = f"Pipeline job-012 failed in state FAILED: bundle inst004 stage-003 failed:{WORKER}"
FLINK = f"""Pipeline lcr-ser_1 failed in state FAILED: java.lang.RuntimeException: From a worker: {WORKER}
\tat org.apache.beam.runners.fnexecution.control.FnApiControlClient.handle(FnApiControlClient.java:179)
\tat java.base/java.lang.Thread.run(Thread.java:840)
"""
NO_WORKER = """Pipeline lcr-ser_1 failed in state FAILED: org.apache.flink.JobExecutionException: failed.
\tat org.apache.flink.Runner.run(Runner.java:1)
Caused by: java.lang.IllegalStateException: Process died with exit code 1
\tat org.apache.beam.ProcessManager.check(ProcessManager.java:1)
"""

PANIC = """Pipeline job-001 failed in state FAILED: panic in stage.Execute bundle processing goroutine: send on closed \
channel, stage: &{ID:stage-015 outputs:[{Local:None Global:ref_44}]},stackTrace:
goroutine 77 [running]:
runtime/debug.Stack()
\truntime/debug/stack.go:26 +0x5e
"""


@pytest.mark.parametrize("text", [LOCAL, WORKER, PRISM, FLINK], ids=["local", "worker", "prism", "flink"])
def test_every_engine_shows_the_message_of_the_step(text, tmp_path):
    stream = io.StringIO()
    RunConsole(stream).failed(RuntimeError(text), tmp_path / "run.log")
    assert stream.getvalue().splitlines()[0] == "Error: log.csv: 5 of 9 rows cannot be read"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (NO_WORKER, "java.lang.IllegalStateException: Process died with exit code 1"),
        (PANIC, "The Beam engine broke off: send on closed channel"),
        ("Pipeline job-1 failed in state FAILED: SDK worker disconnected", "SDK worker disconnected"),
        ("Traceback (most recent call last):\n  File\nKeyError\n", "KeyError"),
        ("Traceback (most recent call last):\n  File\na.B: one\n  two\n", "one\n  two"),
        ("`dim` should be at least 1. Received: 0.", "`dim` should be at least 1. Received: 0."),
    ],
)
def test_texts_of_other_forms(text, message):
    assert real_message(RuntimeError(text)) == message


def test_an_engine_that_has_gone_is_told_with_where_to_look():
    class Broken(Exception):
        def details(self):
            return "Stream removed (Socket closed)"

    message = real_message(Broken())
    assert message.startswith(
        "The Beam engine broke off: Stream removed (Socket closed). If the machine ran out of memory"
    )
    assert "docs/scale.md" in message
