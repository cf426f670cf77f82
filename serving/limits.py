"""The limits of `model.contract` on the shapes of a call: the client checks them before it sends, the server before it
decodes."""

import math
from collections.abc import Mapping, Sequence

from model.contract import (
    CANDIDATES,
    MAX_CANDIDATES,
    MAX_EVENTS,
    MAX_PAIRS,
    MAX_REQUESTS,
    MAX_STRINGS,
    REC_ITEMS,
    REC_TIMES,
    SEARCH_ITEMS,
    SEARCH_TIMES,
    SEARCH_WORDS,
)

MAX_MESSAGE_BYTES = 8 * 2**20
"""Of one gRPC message, and of one tensor that it stands for: `MAX_REQUESTS` requests of 500 strings of 14 bytes fit."""

_SEARCHES = (MAX_EVENTS, "searches a request")
_AXES = {
    REC_ITEMS: ((MAX_EVENTS, "clicks a request"),),
    REC_TIMES: ((MAX_EVENTS, "clicks a request"),),
    SEARCH_TIMES: (_SEARCHES,),
    SEARCH_WORDS: (_SEARCHES, (MAX_EVENTS, "words a search")),
    SEARCH_ITEMS: (_SEARCHES, (MAX_EVENTS, "items a search")),
    CANDIDATES: ((MAX_CANDIDATES, "candidates a request"),),
}


def excess(shapes: Mapping[str, Sequence[int]]) -> str | None:
    """What in a call is above the limits.

    Args:
        shapes: input name -> shape, the batch first; padding counts.

    Returns:
        A sentence that names the first such field, its limit and what it has; None if all fit.
    """
    for name, shape in shapes.items():
        for size, (limit, unit) in zip(shape, ((MAX_REQUESTS, "requests"), *_AXES.get(name, ())), strict=False):
            if size > limit:
                return f"`{name}` should hold at most {limit} {unit}. Received: {size}."
        cells = math.prod(shape)
        if name == CANDIDATES and cells > MAX_PAIRS:
            return (
                f"`{name}` should hold at most {MAX_PAIRS} cells, requests times the longest list of candidates. "
                f"Received: {list(shape)}. Send fewer requests in a call."
            )
        if name in _AXES and cells > MAX_STRINGS:
            return (
                f"`{name}` should hold at most {MAX_STRINGS} strings, padding included. Received: {list(shape)}. "
                "Send fewer requests in a call."
            )
    return None
