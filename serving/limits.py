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
    MAX_SEARCH_STRINGS,
    MAX_STRINGS,
    REC_ITEMS,
    REC_TIMES,
    SEARCH_ITEMS,
    SEARCH_TIMES,
    SEARCH_WORDS,
)

MAX_MESSAGE_BYTES = 8 * 2**20
"""Of one gRPC message, and of one tensor that it stands for: `MAX_REQUESTS` requests of 500 strings of 14 bytes fit."""

MAX_REPLY_BYTES = 64 * 2**20
"""Of one reply that the client takes. The largest by the limits fit: the weights of `explain` for twice `MAX_STRINGS`
events (8 MiB), `MAX_RECOMMENDATIONS` ids of 512 bytes for each of `MAX_REQUESTS` requests (50 MiB), and as many states
of 60 KB from `encode`."""

LEADING = 1
"""Columns of padding that the client puts before events and candidates, since TF Serving, where it merges calls into a
batch, fills up a tensor with its first element. The limits leave room for them."""

_SEARCHES = (MAX_EVENTS, "searches a request")
_AXES = {
    REC_ITEMS: ((MAX_EVENTS, "clicks a request"),),
    REC_TIMES: ((MAX_EVENTS, "clicks a request"),),
    SEARCH_TIMES: (_SEARCHES,),
    SEARCH_WORDS: (_SEARCHES, (MAX_SEARCH_STRINGS, "words a search")),
    SEARCH_ITEMS: (_SEARCHES, (MAX_SEARCH_STRINGS, "items a search")),
    CANDIDATES: ((MAX_CANDIDATES, "candidates a request"),),
}


def excess(shapes: Mapping[str, Sequence[int]], leading: int = LEADING) -> str | None:
    """What in a call is above the limits.

    Args:
        shapes: input name -> shape, the batch first; padding counts.
        leading: columns of events, and of candidates, that are let pass above the limit: a client's own padding.

    Returns:
        A sentence that names the first such field, its limit and what it has; None if all fit.
    """
    for name, shape in shapes.items():
        axes = ((MAX_REQUESTS, "requests"), *_AXES.get(name, ()))
        for axis, (size, (limit, unit)) in enumerate(zip(shape, axes, strict=False)):
            if size > limit + (leading if axis == 1 else 0):
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
