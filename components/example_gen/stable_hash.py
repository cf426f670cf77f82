"""Hashes that are the same on every machine, in every process and with every release of a library."""

import numpy as np
import numpy.typing as npt
import polars as pl

Hashes = npt.NDArray[np.uint64]
_BUCKETS = (1 << 63) - 1
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def of_strings(values: pl.Series) -> Hashes:
    """Hash strings, `[n]`, by the fingerprint that TensorFlow promises not to change."""
    import tensorflow as tf  # workers that only read need none

    with tf.device("CPU"):
        return tf.strings.to_hash_bucket_fast(values.to_numpy(), _BUCKETS).numpy().astype(np.uint64)


def mix(*parts: npt.ArrayLike) -> Hashes:
    """Hash tuples of integers, given as arrays that broadcast: splitmix64 (Steele et al., 2014), part by part."""
    state: Hashes = np.zeros((), np.uint64)
    with np.errstate(over="ignore"):
        for part in parts:
            state = (state ^ np.asarray(part).astype(np.uint64)) + _GOLDEN
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state ^= state >> np.uint64(31)
    return state


def uniform(hashes: Hashes) -> npt.NDArray[np.float64]:
    """Turn hashes into numbers in [0, 1), with 53 bits."""
    return (hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53
