"""The first step of a run on Kubeflow: the fingerprint of the log, as it is when the run begins.

It is never cached. ExampleGen takes its answer as a parameter, so an unchanged log is not read again, and a changed
one, or a new span of it, is: nobody has to say which day a scheduled run is about.

`python -m tfx_pipeline.kubeflow.log_fingerprint --settings JSON --output FILE [--demo]`
"""

import argparse
import os
import sys

from components.example_gen.errors import LogError
from components.example_gen.fingerprint import span_fingerprints, whole_fingerprint
from components.example_gen.settings import LogSettings


def main(arguments: list[str]) -> None:
    """Write the fingerprint to a file, from which Kubeflow makes an output parameter.

    Args:
        arguments: of the command line. `--settings`: JSON of `LogSettings`; `--output`: the file; `--demo`: the demo
            log is written first where it is not there yet.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--settings", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--demo", action="store_true")
    given = parser.parse_args(arguments)
    settings = LogSettings.from_json(given.settings)
    if given.demo:
        from synthetic_logs.demo import write_demo_log

        write_demo_log(settings.log_dir)
    try:
        spans = span_fingerprints(settings)
    except LogError as error:
        sys.exit(f"Error: {error}")
    found = whole_fingerprint(spans)
    newest = f", newest span {list(spans)[-1]}" if any(spans) else ""
    print(f"{settings.log_dir}: fingerprint {found}{newest}")  # noqa: T201
    os.makedirs(os.path.dirname(given.output), exist_ok=True)
    with open(given.output, "w") as file:
        file.write(found)


if __name__ == "__main__":
    main(sys.argv[1:])
