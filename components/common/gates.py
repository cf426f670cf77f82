"""The gates: a new one is an entry of `GATES`, its component in `tfx_pipeline.stages.judging`, its channel in `gates`
there."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from tfx import types
from tfx.components.util import model_utils
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter

from components.common.artifacts import GateVerdict
from components.common.verdict import Verdict, read_verdict


def infra_verdict(blessing: types.Artifact) -> Verdict:
    """The `InfraBlessing` of the stock InfraValidator in the form of the other gates."""
    passed = model_utils.is_infra_validated(blessing)
    return Verdict(
        "InfraValidator",
        ()
        if passed
        else ("TF Serving did not load the model, or did not answer; the log of the run says what it said",),
    )


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
`components.evaluator.results`.
"""


def gate_inputs() -> dict[str, ChannelParameter]:
    """The gates among the inputs of a component."""
    return {name: ChannelParameter(type=gate.artifact, optional=gate.optional) for name, gate in GATES.items()}


def read_verdicts(inputs: Mapping[str, types.Artifact]) -> dict[str, Verdict]:
    """The verdicts among the inputs of a component, by name."""
    return {name: gate.read(inputs[name]) for name, gate in GATES.items() if name in inputs}
