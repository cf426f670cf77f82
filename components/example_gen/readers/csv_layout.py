"""Finds where the rows of a block of CSV text lie, if its quotes stand where they should."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_QUOTE, _COMMA, _NEWLINE, _RETURN = b'",\n\r'


class Layout(NamedTuple):
    """Where the `N` rows of a block lie.

    Attributes:
        starts, ends: byte offsets `[N]`, the line feed at the end not counted in.
        blank: `[N]`, whether nothing is in the row.
        commas: `[N]`, outside quotes.
        lines_before: `[N]`, line feeds before the row.
        quoted: whether the block has a quote.
        end: offset at which the last whole row ends, its line feed counted in.
        lines: line feeds up to there.
    """

    starts: npt.NDArray[Any]
    ends: npt.NDArray[Any]
    blank: npt.NDArray[Any]
    commas: npt.NDArray[Any]
    lines_before: npt.NDArray[Any]
    quoted: bool
    end: int
    lines: int


def find_layout(block: bytes, last: bool) -> Layout | None:
    """Find the rows of a block; None where only `csv` can tell."""
    if b"\0" in block or not block.isascii() and _BYTE_ORDER_MARK in block or _has_lone_return(block):
        return None
    data = np.frombuffer(block, np.uint8)
    feeds, quotes = np.flatnonzero(data == _NEWLINE), np.flatnonzero(data == _QUOTE)
    if not _well_quoted(data, quotes):
        return None
    # A row ends where the number of quotes before is even.
    ends = feeds[np.searchsorted(quotes, feeds) % 2 == 0]
    if last and not block.endswith(b"\n") and len(quotes) % 2 == 0:
        ends = np.append(ends, len(block))
    if not len(ends):
        return None
    starts = np.concatenate([[0], ends[:-1] + 1])
    end = min(int(ends[-1]) + 1, len(block))
    commas = np.diff(_commas_before(ends, np.flatnonzero(data == _COMMA), quotes), prepend=0)
    blank = (starts == ends) | ((ends - starts == 1) & (data[starts] == _RETURN))
    return Layout(
        starts,
        ends,
        blank,
        commas,
        np.searchsorted(feeds, starts),
        bool(len(quotes)),
        end,
        int(np.searchsorted(feeds, end)),
    )


def _has_lone_return(block: bytes) -> bool:
    returns = block.count(b"\r")
    return returns > 0 and returns != block.count(b"\r\n")


def _commas_before(ends: npt.NDArray[Any], commas: npt.NDArray[Any], quotes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Count the commas outside quotes before the ends of rows."""
    # All commas, less those between a quote that opens and the one that closes: far fewer look-ups than a comma each.
    pairs = np.searchsorted(commas, quotes[: len(quotes) // 2 * 2]).reshape(-1, 2)
    inside = np.concatenate([[0], np.cumsum(pairs[:, 1] - pairs[:, 0])])
    return np.searchsorted(commas, ends) - inside[np.searchsorted(quotes, ends) // 2]


def _well_quoted(data: npt.NDArray[Any], quotes: npt.NDArray[Any]) -> bool:
    """Whether every quote opens or closes a whole field, or doubles inside one."""
    opening, closing = quotes[::2], quotes[1::2]
    before = data[opening[opening > 0] - 1]
    after = data[closing[closing < len(data) - 1] + 1]
    return bool(
        np.isin(before, (_COMMA, _NEWLINE, _QUOTE)).all() and np.isin(after, (_COMMA, _NEWLINE, _RETURN, _QUOTE)).all()
    )
