"""A Beam pipeline that refuses what some engine cannot run, although the in-memory runner does."""

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2 as protos
from apache_beam.pvalue import PCollection


class StrictPipeline(beam.Pipeline):
    """Raises where one of its own collections may hold a None or does, and keeps its graph in `proto`.

    Flink ends a job over a null in a side input; Beam's own parts are not looked into, as they run everywhere.
    """

    proto: protos.Pipeline

    def run(self, *args: Any, **kwargs: Any) -> Any:
        self.proto = self.to_runner_api(use_fake_coders=False)
        if nullable := nullable_collections(self.proto):
            raise ValueError(f"Collections have nullable coders: {nullable}.")
        for number, (label, collection) in enumerate(_own_collections(self)):
            _ = collection | f"NoneIn{number}" >> beam.Map(_refuse_none, label)
        return super().run(*args, **kwargs)


def nullable_collections(proto: protos.Pipeline) -> list[str]:
    """Names of the collections whose coder holds a nullable one, among side inputs and what our own transforms give.

    The insides of Beam's own, such as Reshuffle, have some: of times, in the values of keys.
    """
    parts = proto.components
    [root] = proto.root_transform_ids
    own = [one for part in parts.transforms[root].subtransforms for one in parts.transforms[part].outputs.values()]
    looked_at = {*own, *_side_inputs(parts)}
    return sorted(_names([one for one in looked_at if _is_nullable(parts.pcollections[one].coder_id, parts)], parts))


def side_inputs(proto: protos.Pipeline) -> list[str]:
    """Names of the collections that a graph reads as side inputs."""
    return sorted(_names(_side_inputs(proto.components), proto.components))


def _names(collections: Iterable[str], parts: protos.Components) -> set[str]:
    return {parts.pcollections[one].unique_name for one in collections}


def _side_inputs(parts: protos.Components) -> Iterator[str]:
    for transform in parts.transforms.values():
        if transform.spec.urn == common_urns.primitives.PAR_DO.urn:
            for tag in protos.ParDoPayload.FromString(transform.spec.payload).side_inputs:
                yield transform.inputs[tag]


def _is_nullable(coder_id: str, parts: protos.Components) -> bool:
    coder = parts.coders[coder_id]
    return coder.spec.urn == common_urns.coders.NULLABLE.urn or any(
        _is_nullable(part, parts) for part in coder.component_coder_ids
    )


def _own_collections(pipeline: beam.Pipeline) -> list[tuple[str, PCollection]]:
    """What the transforms directly below the pipeline give out."""
    [root] = pipeline.transforms_stack
    return [(part.full_label, one) for part in root.parts for one in part.outputs.values()]


def _refuse_none(element: Any, label: str) -> None:
    if element is None:
        raise ValueError(f"An element of {label} is None.")
