"""Verdicts of gates: each stage that may stop a push says so in one artifact, with its reasons.

`GATES` is the table of them: a new gate is an entry there, and its component in `tfx_pipeline.stages.judging`.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from tfx import types
from tfx.components.util import model_utils
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter
from tfx.utils import io_utils

FILE_NAME = "verdict.json"


class GateVerdict(types.Artifact):
    """`verdict.json`, and the custom property `passed`, 1 or 0."""

    TYPE_NAME = "GateVerdict"


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


def infra_verdict(blessing: types.Artifact) -> Verdict:
    """The `InfraBlessing` of the stock InfraValidator in the form of the other gates."""
    passed = model_utils.is_infra_validated(blessing)
    return Verdict(
        "InfraValidator",
        ()
        if passed
        else ("TF Serving did not load the model, or did not answer; the log of the run says what it said",),
    )


def write_verdict(artifact: types.Artifact, verdict: Verdict) -> None:
    """Put a verdict into a `GateVerdict` artifact."""
    text = json.dumps(dataclasses.asdict(verdict), indent=2)
    io_utils.write_string_file(os.path.join(artifact.uri, FILE_NAME), text)
    artifact.set_int_custom_property("passed", int(verdict.passed))


def read_verdict(artifact: types.Artifact) -> Verdict:
    """The verdict in a `GateVerdict` artifact."""
    content = json.loads(io_utils.read_string_file(os.path.join(artifact.uri, FILE_NAME)))
    return Verdict(**{**content, "reasons": tuple(content["reasons"]), "notes": tuple(content["notes"])})


class Gate(NamedTuple):
    """How a gate reaches the Pusher and the run page.

    Attributes:
        artifact: what its component puts out.
        read: the verdict in it.
        optional: whether a pipeline may do without.
    """

    artifact: type[types.Artifact] = GateVerdict
    read: Callable[[types.Artifact], Verdict] = read_verdict
    optional: bool = False


RANKING_VERDICT: Final = "ranking_verdict"
"""Its detail is the evaluation that the run page shows."""
GATES: Final[Mapping[str, Gate]] = {
    "verdict": Gate(),
    RANKING_VERDICT: Gate(),
    "servable_verdict": Gate(),
    "infra_blessing": Gate(standard_artifacts.InfraBlessing, infra_verdict, optional=True),
}
"""By the name of the input of Pusher and RunReport, in the order in which reasons are told.

The Evaluator's blessing is none of them: it is told with the metrics that it is about, see
`components.evaluator_results`.
"""


def gate_inputs() -> dict[str, ChannelParameter]:
    """The gates among the inputs of a component."""
    return {name: ChannelParameter(type=gate.artifact, optional=gate.optional) for name, gate in GATES.items()}


def read_verdicts(inputs: Mapping[str, types.Artifact]) -> dict[str, Verdict]:
    """The verdicts among the inputs of a component, by name."""
    return {name: gate.read(inputs[name]) for name, gate in GATES.items() if name in inputs}
