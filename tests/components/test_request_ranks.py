"""Ranks by request in a Parquet file, and fingerprints of requests."""

import hashlib
import subprocess
import sys

import numpy as np
import polars as pl
import tensorflow as tf

from components.evaluation.request_ranks import RequestRanks, fingerprints

RANKS = RequestRanks(
    np.array([2**64 - 1, 0, 7], np.uint64),
    {"candidate": np.array([1, 100, 3], np.int32), "popularity": np.array([4, 5, 6], np.int32)},
    {"all": np.ones(3, bool), "clicks in history: 1 to 4": np.array([True, False, True])},
)


def _assert_equal(found, expected):
    for one, other in (
        (found.ranks, expected.ranks),
        (found.masks, expected.masks),
        ({"": found.requests}, {"": expected.requests}),
    ):
        assert list(one) == list(other)
        for name in one:
            assert one[name].dtype == other[name].dtype
            np.testing.assert_array_equal(one[name], other[name])


def test_what_is_written_is_read_again(tmp_path):
    path = str(tmp_path / "ranks.parquet")
    RANKS.write(path)
    _assert_equal(RequestRanks.read(path), RANKS)


def test_the_columns_are_as_documented(tmp_path):
    RANKS.write(str(tmp_path / "ranks.parquet"))
    frame = pl.read_parquet(tmp_path / "ranks.parquet")
    assert dict(frame.schema) == {
        "request": pl.UInt64,
        "rank: candidate": pl.Int32,
        "rank: popularity": pl.Int32,
        "slice: all": pl.Boolean,
        "slice: clicks in history: 1 to 4": pl.Boolean,
    }
    assert frame.row(1) == (0, 100, 5, True, False)


def test_other_file_systems_go_through_tensorflow():
    RANKS.write("ram://ranks.parquet")
    assert tf.io.gfile.exists("ram://ranks.parquet")
    _assert_equal(RequestRanks.read("ram://ranks.parquet"), RANKS)


def test_no_request_is_a_file_too(tmp_path):
    empty = RequestRanks(fingerprints([]), {"candidate": np.zeros(0, np.int32)}, {"all": np.zeros(0, bool)})
    empty.write(str(tmp_path / "ranks.parquet"))
    _assert_equal(RequestRanks.read(str(tmp_path / "ranks.parquet")), empty)


def test_a_local_file_is_read_without_tensorflow(tmp_path):
    RANKS.write(str(tmp_path / "ranks.parquet"))
    code = (
        "import sys; from components.evaluation.request_ranks import RequestRanks\n"
        "print(RequestRanks.read(sys.argv[1]).ranks['candidate'].tolist(), 'tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "ranks.parquet")], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[1, 100, 3] False\n"


def test_fingerprints_are_of_the_bytes_alone():
    records = [b"", b"a", b"b", b"a"]
    found = fingerprints(records)
    assert found.dtype == np.uint64
    assert found[1] == found[3]
    assert len(set(found.tolist())) == 3
    assert found.tolist() == [int.from_bytes(hashlib.blake2b(one, digest_size=8).digest(), "little") for one in records]
    assert fingerprints(records[1:]).tolist() == found[1:].tolist()
