"""Random numbers without a state: each depends on the seed, on what is drawn and on for whom, and on nothing else.

So a user comes out the same in a block of any size, and an item has its caption without a table of captions. NumPy's
generators draw from a stream, in which the place of a number depends on all that was drawn before it.
"""

import hashlib
from typing import Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_GAMMA: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)


class Draws:
    """Draws by purpose and key. SplitMix64 (Steele, Lea and Flood 2014) with a start for each purpose.

    `what` names a purpose: equal purpose and keys give equal numbers. Keys are integer arrays, taken together.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def uniform(self, what: str, *keys: Ints) -> Floats:
        """Numbers from 0 to 1, 1 left out, in the shape that the keys broadcast to."""
        digest = hashlib.blake2b(f"{self._seed}:{what}".encode(), digest_size=8).digest()
        state: npt.NDArray[np.uint64] = np.array(int.from_bytes(digest, "little"), np.uint64)
        with np.errstate(over="ignore"):
            for key in keys:
                state = _mixed(state + (key.astype(np.uint64) + np.uint64(1)) * _GAMMA)
        return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def integers(self, what: str, top: int | Ints, *keys: Ints) -> Ints:
        """Whole numbers from 0 to `top`, `top` left out."""
        return (self.uniform(what, *keys) * top).astype(np.int64)

    def normal(self, what: str, *keys: Ints) -> Floats:
        """Numbers of the standard normal distribution, by Box and Muller."""
        radius = np.sqrt(-2 * np.log1p(-self.uniform(f"{what}/radius", *keys)))
        return radius * np.cos(2 * np.pi * self.uniform(f"{what}/angle", *keys))

    def choice(self, what: str, shares: tuple[float, ...], *keys: Ints) -> Ints:
        """Places in `shares`, which add up to 1."""
        return np.searchsorted(np.cumsum(shares)[:-1], self.uniform(what, *keys), side="right")


def more(draws: Floats, again: float) -> Ints:
    """Turn uniform draws into geometric counts, from 0: how often in a row a chance of `again` comes true."""
    return np.floor(np.log1p(-draws) / np.log(again)).astype(np.int64) if again > 0 else np.zeros(draws.shape, np.int64)


def _mixed(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    state = (state ^ (state >> np.uint64(30))) * _FIRST
    state = (state ^ (state >> np.uint64(27))) * _SECOND
    return state ^ (state >> np.uint64(31))
