"""Verdicts: each stage that may stop a push says so in one artifact, with its reasons."""

import dataclasses
import json
import os
from typing import Any

from tfx import types
from tfx.utils import io_utils

FILE_NAME = "verdict.json"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a gate found.

    Attributes:
        gate: name of the component.
        reasons: why nothing may be pushed, a line each; none lets the push go on.
        notes: what else a person should know, such as a check that could not be made.
        detail: everything that was measured, to be read by programs.
    """

    gate: str
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    detail: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether a model may be pushed, as far as this gate can tell."""
        return not self.reasons


def write_verdict(artifact: types.Artifact, verdict: Verdict) -> None:
    """Put a verdict into a `GateVerdict` artifact."""
    text = json.dumps(dataclasses.asdict(verdict), indent=2)
    io_utils.write_string_file(os.path.join(artifact.uri, FILE_NAME), text)
    artifact.set_int_custom_property("passed", int(verdict.passed))


def read_verdict(artifact: types.Artifact) -> Verdict:
    """The verdict in a `GateVerdict` artifact."""
    content = json.loads(io_utils.read_string_file(os.path.join(artifact.uri, FILE_NAME)))
    return Verdict(**{**content, "reasons": tuple(content["reasons"]), "notes": tuple(content["notes"])})
