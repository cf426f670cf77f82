"""ExampleGen as a process of its own, slow enough to be stopped while it writes."""

import sys
import time

import apache_beam as beam
from tfx.types import standard_artifacts

from components.common.artifacts import Candidates, LogReport
from components.example_gen import flow
from components.example_gen.executor import Executor
from components.example_gen.settings import LogSettings
from components.example_gen.shard_files import ShardFiles
from tfx_pipeline.beam.engine import jobs_end_with_the_run


class SlowFiles(ShardFiles):
    """Sleeps after each shard."""

    def write(self, *args):
        written = super().write(*args)
        time.sleep(1)
        return written


COMMAND = (sys.executable, "-c", f"from {__name__} import main; main()")
"""To be given LOG_DIR OUT_DIR BEAM_ARGUMENT...; not `-m`, for a worker has to find the classes of this module."""


def main():
    log, out, *arguments = sys.argv[1:]
    outputs = {}
    kinds = {"examples": standard_artifacts.Examples, "log_report": LogReport, "candidates": Candidates}
    for name, kind in kinds.items():
        outputs[name] = [kind()]
        outputs[name][0].uri = f"{out}/{name}"
    build = flow.build
    flow.build = lambda pipeline, spans, settings, output, *rest, **more: build(
        pipeline, spans, settings, SlowFiles(**vars(output)), *rest, **more
    )
    context = Executor.Context(tmp_dir=out, make_beam_pipeline_fn=lambda: beam.Pipeline(argv=arguments))
    settings = LogSettings(log_dir=log, num_negatives=9, shard_bytes=700)
    with jobs_end_with_the_run():
        Executor(context).Do({}, outputs, {"settings": settings.to_json(), "input_fingerprint": "", "code_hash": ""})
