"""The rank that each model of a run gives to each test request: what a paired test of two runs needs, as a file."""

import dataclasses
import hashlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

RANKS_FILE = "ranks.parquet"
"""The name of the file, in an artifact and in the folder of a run's report."""
_REQUEST, _RANK, _SLICE = "request", "rank: ", "slice: "


@dataclasses.dataclass(frozen=True)
class RequestRanks:
    """Ranks and slices of the requests of a test split.

    Attributes:
        requests: fingerprint of each request, uint64 `[R]`; equal ones are the same question.
        ranks: of each request's positive, int32 `[R]`, by model: `candidate`, and `baseline` and `popularity` where
            there are such.
        masks: bool `[R]` by slice.
    """

    requests: npt.NDArray[Any]
    ranks: dict[str, npt.NDArray[Any]]
    masks: dict[str, npt.NDArray[Any]]

    def write(self, path: str) -> None:
        """Write a Parquet file: columns `request`, `rank: candidate`, ..., `slice: all`, ..., a row a request.

        Args:
            path: local, or a URI of a file system that TensorFlow knows.
        """
        columns = {
            _REQUEST: self.requests.astype(np.uint64),
            **{_RANK + name: ranks.astype(np.int32) for name, ranks in self.ranks.items()},
            **{_SLICE + name: mask for name, mask in self.masks.items()},
        }
        content = io.BytesIO()
        pl.DataFrame(columns).write_parquet(content)
        with _opened(path, "wb") as file:
            file.write(content.getvalue())

    @staticmethod
    def read(path: str) -> "RequestRanks":
        """Read what `write` wrote; a local file without loading TensorFlow."""
        with _opened(path, "rb") as file:
            frame = pl.read_parquet(io.BytesIO(file.read()))

        def columns(prefix: str) -> dict[str, npt.NDArray[Any]]:
            return {
                name.removeprefix(prefix): frame[name].to_numpy() for name in frame.columns if name.startswith(prefix)
            }

        return RequestRanks(frame[_REQUEST].to_numpy(), columns(_RANK), columns(_SLICE))


def fingerprints(records: Sequence[bytes]) -> npt.NDArray[Any]:
    """Fingerprint of each serialized raw request Example, uint64 `[R]`: the same on every machine and in every version.

    It depends on all that the Example holds: user, histories with their times, candidates and label. Among a million
    different requests two have the same with a probability of 3e-8.
    """
    digests = b"".join(hashlib.blake2b(record, digest_size=8).digest() for record in records)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def _opened(path: str, mode: str) -> Any:
    if "://" not in path:
        return open(path, mode)
    import tensorflow as tf

    return tf.io.gfile.GFile(path, mode)
