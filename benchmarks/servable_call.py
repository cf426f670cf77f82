"""What a call of a servable costs: `python -m benchmarks.servable_call DIRECTORY`.

In one run, in turns, on requests of random known ids with full histories and 100 candidates:

- operations that a call of each signature executes, in a session as TF Serving makes it;
- the time of `rank` for one user, for 24 and for 32 in one call, of `serving_default` on an
  Example, of `score` on a kept state, `recommend`, `explain`;
- with `--before`, the same of another servable of the same shape, such as one that an earlier commit exported;
- with `--address`, calls over gRPC to a server of the same version, against the bare session.

Users, items and words are read from the vocabularies among the servable's assets.
"""

import argparse
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import grpc
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

from benchmarks.machine import describe
from benchmarks.result import report
from benchmarks.timing import time_in_turns
from components.servable_check.session import SessionModel
from model import contract

Call = dict[str, npt.NDArray[Any]]
ROUNDS = 200
IDLE = ("Const", "NoOp", "_Arg", "_Retval")
"""Operations that compute nothing."""


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", help="a servable: a version's folder")
    parser.add_argument("--before", help="another one, of the same shape")
    parser.add_argument(
        "--address", help="of a server of the first one; the model's name is that of its folder's parent"
    )
    args = parser.parse_args()
    tf.get_logger().setLevel("ERROR")
    directories = {"now": args.directory, **({"before": args.before} if args.before else {})}
    models = {name: SessionModel(directory) for name, directory in directories.items()}
    asked = {name: calls(model, Path(args.directory)) for name, model in models.items()}
    operations = {name: {one: _operations(models[name], *call) for one, call in asked[name].items()} for name in models}
    subjects: dict[str, Callable[[], Any]] = {
        f"{one}, {name}": functools.partial(models[name].signatures[signature], **inputs)
        for name in models
        for one, (signature, inputs) in asked[name].items()
    }
    if args.address:
        stub = PredictionServiceStub(grpc.insecure_channel(args.address))
        for one in ("rank", "score"):
            message = _message(Path(args.directory).parent.name, *asked["now"][one])
            subjects[f"{one}, over gRPC"] = functools.partial(stub.Predict, message)
    times = time_in_turns(subjects, ROUNDS)
    base = times["rank, now"]
    rows = [("", "operations", "median ms", "of `rank`", "p99 ms")]
    for name, timing in times.items():
        one, where = name.split(", ")
        count = operations.get(where, {}).get(one)
        rows.append(
            (
                name,
                "" if count is None else str(count),
                f"{1e3 * timing.median:.2f}",
                f"{timing.over(base):.2f}",
                f"{1e3 * np.percentile(timing.walls, 99):.2f}",
            )
        )
    detail = {
        "machine": describe(0),
        "operations": operations,
        "median_ms": {n: 1e3 * t.median for n, t in times.items()},
    }
    report("servable_call", 1e3 * base.median, "ms for a call of `rank`", "half of before", detail, rows)


def calls(model: SessionModel, directory: Path) -> dict[str, tuple[str, Call]]:
    """What is asked: signature and inputs, by what it is called."""
    known = {name: (directory / "assets" / name).read_text().splitlines() for name in ("users", "items", "words")}
    random = np.random.default_rng(2025)

    def some(name: str, *shape: int) -> npt.NDArray[Any]:
        found = random.choice(known[name], size=shape)
        return np.array([one.encode() for one in found.ravel()], object).reshape(shape)

    def history(rows: int) -> Call:
        every = {
            contract.USER: some("users", rows),
            contract.REC_ITEMS: some("items", rows, 15),
            contract.SEARCH_WORDS: some("words", rows, 10, 3),
            contract.SEARCH_ITEMS: some("items", rows, 10, 1),
        }
        return {name: values for name, values in every.items() if name in model.inputs[contract.SIGNATURE_ENCODE]}

    one = history(1)
    candidates = some("items", 1, 100)
    state = model.signatures[contract.SIGNATURE_ENCODE](**one)
    features = {contract.CANDIDATES: candidates[0], **{name: values.ravel() for name, values in one.items()}}
    example = tf.train.Example()
    for name, values in features.items():
        example.features.feature[name].bytes_list.value.extend(values)
    for name, each in ((contract.SEARCH_WORD_COUNTS, 3), (contract.SEARCH_ITEM_COUNTS, 1)):
        example.features.feature[name].int64_list.value.extend([each] * 10)
    asked = {
        "rank": (contract.SIGNATURE_RANK, {**one, contract.CANDIDATES: candidates}),
        "rank of 24": (contract.SIGNATURE_RANK, {**history(24), contract.CANDIDATES: some("items", 24, 100)}),
        "rank of 32": (contract.SIGNATURE_RANK, {**history(32), contract.CANDIDATES: some("items", 32, 100)}),
        "serving_default": (contract.SIGNATURE_DEFAULT, {"examples": np.array([example.SerializeToString()], object)}),
        "encode": (contract.SIGNATURE_ENCODE, one),
        "score": (contract.SIGNATURE_SCORE, {**state, contract.CANDIDATES: candidates}),
    }
    if contract.SIGNATURE_RECOMMEND in model.signatures:
        more = {contract.K: np.array([10], np.int32), contract.LEAVE_OUT_CLICKED: np.array([True])}
        asked["recommend"] = (contract.SIGNATURE_RECOMMEND, {**one, **more})
    if contract.SIGNATURE_EXPLAIN in model.signatures:
        asked["explain"] = (contract.SIGNATURE_EXPLAIN, {**one, contract.ITEM: candidates[:, 0]})
    return asked


def _operations(model: SessionModel, signature: str, call: Call) -> int:
    """How many a call executes, functions inlined and constants folded."""
    (definition,) = cast(functools.partial[Any], model.signatures[signature]).args
    fetches = {name: tensor.name for name, tensor in definition.outputs.items()}
    feeds = {definition.inputs[name].name: values for name, values in call.items()}
    options = tf.compat.v1.RunOptions(trace_level=tf.compat.v1.RunOptions.FULL_TRACE)
    told = tf.compat.v1.RunMetadata()
    model._session.run(fetches, feeds)
    model._session.run(fetches, feeds, options=options, run_metadata=told)
    labels = [node.timeline_label for device in told.step_stats.dev_stats for node in device.node_stats]
    kinds = [label.partition(" = ")[2].partition("(")[0] for label in labels]
    return sum(kind not in IDLE for kind in kinds)


def _message(name: str, signature: str, call: Call) -> Any:
    message = predict_pb2.PredictRequest()
    message.model_spec.name, message.model_spec.signature_name = name, signature
    for key, values in call.items():
        message.inputs[key].CopyFrom(tf.make_tensor_proto(values))
    return message


if __name__ == "__main__":
    main()
