"""Requests to try a server with: good ones of each of its signatures, and ones made wrong by chance.

All are made of golden rows. A row is one request, and all rows of a signature have the same size, so that any of them
can go into one call, and each can be asked about alone.
"""

import dataclasses
import math
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from model import contract

EXAMPLES = "examples"
GOOD = "good"
WRONG_ROWS = "wrong rows"
GOLDEN_ROWS = 8
PREDICT = "/tensorflow.serving.PredictionService/Predict"
METHODS = (
    PREDICT,
    *(
        f"/tensorflow.serving.{name}"
        for name in (
            "PredictionService/GetModelMetadata",
            "PredictionService/Classify",
            "PredictionService/Regress",
            "PredictionService/MultiInference",
            "ModelService/GetModelStatus",
            "ModelService/HandleReloadConfigRequest",
            "Nothing/There",
        )
    ),
)
RAW = "raw TCP"
"""In place of a method: the bytes go to the port without gRPC."""
_SIZES = {
    contract.REC_ITEMS: (6,),
    contract.SEARCH_WORDS: (4, 3),
    contract.SEARCH_ITEMS: (4, 2),
    contract.CANDIDATES: (10,),
}
_VOCABULARIES = {contract.USER: contract.USER_VOCABULARY, contract.SEARCH_WORDS: contract.WORD_VOCABULARY}
_NASTY = (
    b"",
    b" ",
    b" \t\n\v\f\r",
    b"nobody knows me",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\0",
    b"a\0b",
    b"a\r\nb",
    b" a ",
    b"x" * 100_000,
    "é\u2028\u3000😀".encode(),
    b"-1",
    b"nan",
    b"%s%n",
    b"[4k] monitor",
)
_NOT_FINITE = (math.nan, math.inf, -math.inf, 3e38, -3e38, 1e-45)
_LARGE = (1_001, 1_025, 10_001, 60_000, 2**20 + 1, 2**31, 2**62)

Row = dict[str, npt.NDArray[Any]]
"""One request: input name -> values `[1, ...]`."""


@dataclasses.dataclass(frozen=True)
class Attempt:
    """A message, and what is known about its answer.

    Attributes:
        kind: what is wrong with it; `GOOD` if nothing.
        signature: that it is about.
        data: the message.
        method: that it is sent to, or `RAW`.
        golden: row of the call -> number of the golden row that stands there. Where the call is answered, these rows
            must be answered as they are alone.
    """

    kind: str
    signature: str
    data: bytes
    method: str = PREDICT
    golden: Mapping[int, int] = dataclasses.field(default_factory=dict)


class Maker:
    """Makes the attempts of a fuzz: attempt `number` depends on `seed` and `number` alone.

    Args:
        model_name: the model's name on the server.
        signatures: signature name -> SignatureDef.
        version: folder of the model, whose vocabularies give known ids.
        seed: of all that is drawn.
    """

    def __init__(self, model_name: str, signatures: Mapping[str, Any], version: Path, seed: int) -> None:
        self._model_name, self._signatures, self._seed = model_name, signatures, seed
        self._vocabularies = {path.name: path.read_bytes().split(b"\n")[:1_000] for path in version.glob("assets/*")}
        draw = random.Random(seed)  # noqa: S311 - nothing secret
        self.golden = {
            name: [self._row(draw, definition) for _ in range(GOLDEN_ROWS)]
            for name, definition in sorted(signatures.items())
        }
        """Signature name -> its golden rows."""

    def call(self, signature: str, rows: Sequence[Row]) -> predict_pb2.PredictRequest:
        """One call for some rows of a signature."""
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = self._model_name, signature
        for name, info in self._signatures[signature].inputs.items():
            values = np.concatenate([row[name] for row in rows])
            request.inputs[name].CopyFrom(tf.make_tensor_proto(values, tf.dtypes.as_dtype(info.dtype)))
        return request

    def attempt(self, number: int) -> Attempt:
        """A good request, some good rows beside wrong ones, or a call that is wrong as a whole."""
        draw = random.Random(f"{self._seed} {number}")  # noqa: S311 - nothing secret
        signature = draw.choice(sorted(self.golden))
        share = draw.random()
        if share < 0.2:
            chosen = draw.randrange(GOLDEN_ROWS)
            data = self.call(signature, [self.golden[signature][chosen]]).SerializeToString()
            return Attempt(GOOD, signature, data, golden={0: chosen})
        return self._with_wrong_rows(draw, signature) if share < 0.5 else self._wrong_call(draw, signature)

    def _with_wrong_rows(self, draw: random.Random, signature: str) -> Attempt:
        rows, golden = [], {}
        for place in range(draw.randint(1, 6)):
            chosen = draw.randrange(GOLDEN_ROWS)
            row, spoiled = self.golden[signature][chosen], draw.random() < 0.5
            rows.append(_spoiled_row(draw, row) if spoiled else row)
            if not spoiled:
                golden[place] = chosen
        return Attempt(WRONG_ROWS, signature, self.call(signature, rows).SerializeToString(), golden=golden)

    def _wrong_call(self, draw: random.Random, signature: str) -> Attempt:
        rows = draw.sample(self.golden[signature], draw.randint(1, 4))
        kind = draw.choice(sorted(_WRONG_CALLS))
        made = _WRONG_CALLS[kind](draw, self.call(signature, rows))
        if isinstance(made, Attempt):
            return dataclasses.replace(made, kind=kind, signature=signature)
        return Attempt(kind, signature, made.SerializeToString())

    def _row(self, draw: random.Random, definition: Any) -> Row:
        row = {}
        for name, info in sorted(definition.inputs.items()):
            dtype = tf.dtypes.as_dtype(info.dtype)
            if name == EXAMPLES:
                row[name] = np.array([self._example(draw)], object)
            elif dtype == tf.string:
                row[name] = self._strings(draw, name)
            else:
                inner = [size.size for size in info.tensor_shape.dim][1:]
                normal = np.random.default_rng(draw.randrange(2**32)).normal(size=(1, *inner))
                row[name] = (normal if dtype.is_floating and "mask" not in name else np.ones_like(normal)).astype(
                    dtype.as_numpy_dtype
                )
        return row

    def _strings(self, draw: random.Random, name: str) -> npt.NDArray[Any]:
        """Known and unknown ids; a history begins with some padding."""
        shape = (1, *_SIZES.get(name, ()))
        known = self._vocabularies.get(_VOCABULARIES.get(name, contract.ITEM_VOCABULARY), [b"known"])
        values = np.array(
            [
                draw.choice(known) if draw.random() < 0.9 else b"unknown %d" % draw.randrange(1_000)
                for _ in range(math.prod(shape))
            ],
            object,
        ).reshape(shape)
        if name in _SIZES and name != contract.CANDIDATES:
            values[:, : draw.randrange(values.shape[1])] = b""
        return values

    def _example(self, draw: random.Random) -> bytes:
        values = {name: self._strings(draw, name)[0] for name in (contract.USER, *_SIZES)}
        lists: dict[str, Sequence[Any]] = {name: np.ravel(value).tolist() for name, value in values.items()}
        for strings, counts in (
            (contract.SEARCH_WORDS, contract.SEARCH_WORD_COUNTS),
            (contract.SEARCH_ITEMS, contract.SEARCH_ITEM_COUNTS),
        ):
            lists[counts] = np.sum(values[strings] != b"", axis=1).tolist()
        lists = {name: [value for value in column if value != b""] for name, column in lists.items()}
        return _serialized({**lists, contract.LABEL: [draw.randrange(10)]})


def _serialized(lists: Mapping[str, Sequence[Any]]) -> bytes:
    example = tf.train.Example()
    for name, values in lists.items():
        feature = example.features.feature[name]
        if values and isinstance(values[0], bytes):
            feature.bytes_list.value.extend(values)
        else:
            feature.int64_list.value.extend(values)
    return example.SerializeToString(deterministic=True)


def _spoiled_row(draw: random.Random, row: Row) -> Row:
    """A row of the same shape with a value that nobody expects."""
    name = draw.choice(sorted(row))
    values = row[name].copy()
    place = tuple(draw.randrange(size) for size in values.shape)
    if name == EXAMPLES:
        values[place] = _spoiled_example(draw, values[place])
    elif values.dtype == object:
        values[place] = draw.choice(_NASTY)
    else:
        values[place] = draw.choice(_NOT_FINITE if values.dtype.kind == "f" else (-1, 2, 2**31))
    return {**row, name: values}


def _spoiled_example(draw: random.Random, good: bytes) -> bytes:  # noqa: PLR0911 - a case each
    example = tf.train.Example.FromString(good)
    features = example.features.feature
    name = draw.choice(sorted(features))
    feature = features[name]
    match draw.randrange(9):
        case 0:
            return good[: draw.randrange(len(good))]
        case 1:
            return draw.randbytes(draw.randrange(100))
        case 2:
            del features[name]
        case 3:
            feature.float_list.value.append(1.0)
        case 4:
            feature.ClearField(feature.WhichOneof("kind"))
        case 5:
            counts = features[draw.choice((contract.SEARCH_WORD_COUNTS, contract.SEARCH_ITEM_COUNTS, contract.LABEL))]
            counts.int64_list.value[:] = draw.choice(([0], [1], [9] * 4, [-1, 5], [2**62, 2**62], [3] * 2_000, []))
        case 6:
            feature.bytes_list.value.extend([b"more"] * draw.choice((1, 1_001, 10_001)))
        case 7:
            feature.bytes_list.value.extend(draw.choices(_NASTY, k=3))
        case 8:
            feature.int64_list.value.extend([7] * draw.choice((1, 1_001)))
    return example.SerializeToString()


def _an_input(draw: random.Random, request: Any) -> tuple[str, Any]:
    name = draw.choice(sorted(request.inputs))
    return name, request.inputs[name]


def _set_shape(proto: Any, shape: Sequence[int]) -> None:
    del proto.tensor_shape.dim[:]
    for size in shape:
        proto.tensor_shape.dim.add().size = size


def _shape(proto: Any) -> list[int]:
    return [size.size for size in proto.tensor_shape.dim]


def _repeat(proto: Any, shape: Sequence[int]) -> None:
    """Fills a shape from one value of its own."""
    one = tf.make_tensor_proto(tf.make_ndarray(proto).ravel()[:1], tf.dtypes.as_dtype(proto.dtype))
    proto.CopyFrom(one)
    _set_shape(proto, shape)


def _wrong_model(draw: random.Random, request: Any) -> Any:
    spec = request.model_spec
    name = draw.choice(("name", "version", "version_label", "signature_name"))
    if name == "version":
        spec.version.value = draw.choice((-1, 0, 7, 2**63 - 1))
    else:
        setattr(spec, name, draw.choice(("", "other", "ü" * 10_000, "a\0b", "\n")))
    return request


def _output_filter(draw: random.Random, request: Any) -> Any:
    request.output_filter.extend(draw.choices(("scores", "ranks", "rank", "user", "", "colour", "é" * 10_000), k=2))
    return request


def _wrong_names(draw: random.Random, request: Any) -> Any:
    name, proto = _an_input(draw, request)
    if draw.random() < 0.7:
        new = draw.choice(("", "colour", name.upper(), "é" * 10_000))
        request.inputs[new].CopyFrom(proto)
    if draw.random() < 0.7:
        del request.inputs[name]
    return request


def _many_inputs(draw: random.Random, request: Any) -> Any:
    for number in range(draw.choice((1, 100, 10_000, 10_000, 300_000))):
        request.inputs[f"input-{number}"].SetInParent()
    return request


def _wrong_type(draw: random.Random, request: Any) -> Any:
    _an_input(draw, request)[1].dtype = draw.choice((0, 1, 2, 3, 7, 9, 10, 19, 20, 21, 101, 120, 99, 2**31 - 1))
    return request


def _wrong_shape(draw: random.Random, request: Any) -> Any:
    proto = _an_input(draw, request)[1]
    shape = _shape(proto)
    match draw.randrange(4):
        case 0:
            proto.tensor_shape.unknown_rank = True
        case 1:
            shape = [1] * draw.choice((0, 1, 4, 255, 10_000))
        case 2:
            shape.append(1)
        case 3:
            shape[draw.randrange(len(shape))] = draw.choice((-(2**63), -1, 0, 7, *_LARGE))
    _set_shape(proto, shape)
    return request


def _one_value_for_all(draw: random.Random, request: Any) -> Any:
    """The shape is anything, in one dimension or in all; one value fills it."""
    proto = _an_input(draw, request)[1]
    shape = _shape(proto)
    for place in range(len(shape)) if draw.random() < 0.3 else [draw.randrange(len(shape))]:
        shape[place] = draw.choice((0, 1, 100, 1_000, *_LARGE))
    _repeat(proto, shape)
    if proto.string_val and draw.random() < 0.3:
        proto.string_val[0] = b"x" * draw.choice((88_000, 2**20))
    return request


def _as_large_as_allowed(draw: random.Random, request: Any) -> Any:
    """One tensor, or the batch of all, at a limit of the contract or one above it."""
    more = draw.randint(0, 1)
    if draw.random() < 0.5:
        for proto in request.inputs.values():
            _repeat(proto, [contract.MAX_REQUESTS + more, *_shape(proto)[1:]])
        if contract.CANDIDATES in request.inputs:
            _repeat(
                request.inputs[contract.CANDIDATES],
                [contract.MAX_REQUESTS + more, contract.MAX_PAIRS // contract.MAX_REQUESTS],
            )
        return request
    name, proto = _an_input(draw, request)
    shape = _shape(proto)
    if len(shape) > 1:
        limit = contract.MAX_CANDIDATES if name == contract.CANDIDATES else contract.MAX_EVENTS
        shape[draw.randrange(1, len(shape))] = limit + more
        _repeat(proto, shape)
    return request


def _wrong_count(draw: random.Random, request: Any) -> Any:
    proto = _an_input(draw, request)[1]
    values = proto.string_val or proto.float_val or proto.int64_val
    if values:
        more = draw.choice((-1, 1, 1_000))
        values.extend(list(values[:1]) * more) if more > 0 else values.pop()
    else:
        proto.tensor_content = proto.tensor_content[: draw.randrange(len(proto.tensor_content))]
    return request


def _wrong_field(draw: random.Random, request: Any) -> Any:
    proto = _an_input(draw, request)[1]
    if draw.random() < 0.5:
        for field in ("string_val", "float_val", "int64_val", "tensor_content"):
            proto.ClearField(field)
    match draw.randrange(4):
        case 0:
            proto.tensor_content = draw.randbytes(draw.choice((1, 8, 1_000)))
        case 1:
            proto.float_val.extend([math.nan] * 3)
        case 2:
            proto.string_val.extend(_NASTY)
        case 3:
            proto.resource_handle_val.add().device = "/cpu:0"
    return request


def _batches_differ(draw: random.Random, request: Any) -> Any:
    proto = _an_input(draw, request)[1]
    values = tf.make_ndarray(proto)
    rows = draw.choice((0, 1, 2, 3, 5))
    values = values[:rows] if rows <= len(values) else np.concatenate([values] * rows)[:rows]
    proto.CopyFrom(tf.make_tensor_proto(values, tf.dtypes.as_dtype(proto.dtype)))
    return request


def _empty_batch(draw: random.Random, request: Any) -> Any:
    for proto in request.inputs.values():
        values = tf.make_ndarray(proto)
        proto.CopyFrom(tf.make_tensor_proto(values[:0], tf.dtypes.as_dtype(proto.dtype)))
    return request


def _damaged(draw: random.Random, request: Any) -> Attempt:
    """Bytes that were lost or changed on their way."""
    data = bytearray(request.SerializeToString())
    if draw.random() < 0.3:
        del data[draw.randrange(len(data)) :]
    for _ in range(draw.choice((1, 3, 30))):
        if data:
            data[draw.randrange(len(data))] = draw.randrange(256)
    return Attempt("", "", bytes(data), draw.choice((PREDICT, draw.choice(METHODS))))


def _garbage(draw: random.Random, _request: Any) -> Attempt:
    return Attempt("", "", draw.randbytes(draw.choice((0, 1, 10, 1_000, 100_000))), draw.choice((*METHODS, RAW)))


def _too_long(draw: random.Random, request: Any) -> Attempt:
    """Fields of two bytes that take many more in memory, below the size of a message and at times above it."""
    proto = _an_input(draw, request)[1]
    field = draw.choice((b"\x42\x00", b"\x72\x00", b"\x12\x02\x12\x00"))  # a string, a resource, a dimension
    size = draw.choice((10_000, 2**20, 2**20, 2**23 - 2**12, 2**23 + 1))
    proto.MergeFromString(field * (size // len(field)))
    return Attempt("", "", request.SerializeToString())


_WRONG_CALLS: dict[str, Callable[[random.Random, Any], Any]] = {
    "model, version, signature": _wrong_model,
    "output filter": _output_filter,
    "names of inputs": _wrong_names,
    "number of inputs": _many_inputs,
    "type": _wrong_type,
    "shape": _wrong_shape,
    "one value": _one_value_for_all,
    "limits": _as_large_as_allowed,
    "number of values": _wrong_count,
    "field of values": _wrong_field,
    "batches differ": _batches_differ,
    "empty batch": _empty_batch,
    "damaged": _damaged,
    "garbage": _garbage,
    "long message": _too_long,
}
