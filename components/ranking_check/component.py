"""The RankingCheck component."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.common.artifacts import GateVerdict, Ranks
from components.ranking_check.executor import Executor
from components.ranking_check.settings import RankingCheckSettings


class RankingCheckSpec(ComponentSpec):
    """Inputs, outputs and parameters of RankingCheck."""

    PARAMETERS = {name: ExecutionParameter(type=str) for name in ("settings", "code_hash")}
    INPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "baseline_model": ChannelParameter(type=standard_artifacts.Model, optional=True),
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "transformed_examples": ChannelParameter(type=standard_artifacts.Examples),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph),
    }
    OUTPUTS = {"verdict": ChannelParameter(type=GateVerdict), "ranks": ChannelParameter(type=Ranks)}


class RankingCheck(base_component.BaseComponent):
    """Stop the push of a model that misses a threshold on a slice, or is significantly worse than the last pushed one.

    The TFX Evaluator beside it gives a model its blessing by means over all requests. This one keeps each request's
    rank, which intervals, paired tests and comparisons of runs need and the Evaluator does not write.

    Args:
        model, baseline_model: the candidate and the last pushed one.
        examples: raw.
        transformed_examples, transform_graph: of the same run.
        settings: what is measured and asked.
        code_hash: changes when the code of the check does.
    """

    SPEC_CLASS = RankingCheckSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        model: types.BaseChannel,
        baseline_model: types.BaseChannel,
        examples: types.BaseChannel,
        transformed_examples: types.BaseChannel,
        transform_graph: types.BaseChannel,
        settings: RankingCheckSettings,
        code_hash: str,
    ) -> None:
        super().__init__(
            RankingCheckSpec(
                model=model,
                baseline_model=baseline_model,
                examples=examples,
                transformed_examples=transformed_examples,
                transform_graph=transform_graph,
                settings=settings.to_json(),
                code_hash=code_hash,
                verdict=types.Channel(type=GateVerdict),
                ranks=types.Channel(type=Ranks),
            )
        )
