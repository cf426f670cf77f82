"""Where reasoning brings the states of a model: the data of Fig. 4a, 4b and 5 of the paper."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.report.gather.tsne import tsne
from model.contract import UNKNOWN_ID
from model.data.requests import Requests
from model.data.windows import RequestWindows
from model.inspection.state_distances import SideDistances, StateDistances, state_distances
from model.ranker import CrossReasoner, Ranker

BATCH = 256
EDGES = np.linspace(0, 2, 41).round(2)
"""Of the bins of cosine distance."""
TSNE_REQUESTS, TSNE_POINTS = 200, 1400
"""At most; t-SNE of 1,400 points takes five seconds."""


def reasoning_states(
    model: Ranker, requests: Requests, *, max_requests: int = 1000, seed: int = 2025
) -> dict[str, Any] | None:
    """Distances of reasoning states to the item clicked, by cosine, and states and items in one plane.

    A request whose target is the unknown id is left out: that embedding stands for no item. One without searches
    counts on the search side too, where its h^(0) is the learned vector of an empty history.

    Args:
        model: the model.
        requests: with more than one candidate each.
        max_requests: how many to look at, evenly spread over those with a known target.
        seed: of t-SNE.

    Returns:
        None if the model does not reason over two sides, K is 0 or no target is known. Otherwise `requests` (looked
        at), `unknown_targets` (left out, of all), `reasoning_steps` (K), `edges` (of bins of distance), and `sides`:
        for `search` and `rec`, with cross attention (`crossed`) and without (`plain`), for k from 0 to K the means
        `distance` and `closer` of `StateDistances` and `counts`, the requests in each bin of distance. `tsne` holds
        `perplexity` and `points` `[x, y]` of up to 200 requests: with cross attention, of `search` and `rec` a list for
        each k, and of the items, `target`.
    """
    targets = np.take_along_axis(requests.candidates, requests.label[:, None], 1)[:, 0]
    known = np.flatnonzero(targets != UNKNOWN_ID)
    if not isinstance(model, CrossReasoner) or not model.num_steps or not len(known):
        return None
    rows = _spread(known, max_requests)
    windows = RequestWindows(requests, model.config)
    parts = [_look(model, windows, rows[begin : begin + BATCH]) for begin in range(0, len(rows), BATCH)]
    target, crossed, plain = tf.nest.map_structure(lambda *arrays: np.concatenate(arrays), *parts)
    return {
        "requests": len(rows),
        "unknown_targets": len(targets) - len(known),
        "reasoning_steps": model.num_steps,
        "edges": EDGES.tolist(),
        "sides": {
            side: {"crossed": _figures(getattr(crossed, side)), "plain": _figures(getattr(plain, side))}
            for side in SideDistances._fields
        },
        "tsne": _plane([side.states for side in crossed], target, seed),
    }


def _spread(rows: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(np.int32)]


def _look(model: Any, windows: RequestWindows, rows: npt.NDArray[Any]) -> tuple[Any, ...]:
    """Embeddings of the targets, and the `StateDistances` of both sides with and without cross attention: arrays."""
    batch, label = windows(tf.constant(rows, tf.int32))
    embedded = model.embed(batch)
    histories = model.read(embedded)
    crossed, plain = (
        state_distances(histories, model.reason(histories, cross=cross), embedded.candidates, label)
        for cross in (True, False)
    )
    target = tf.gather(embedded.candidates, label, batch_dims=1)
    return tf.nest.map_structure(lambda tensor: tensor.numpy(), (target, crossed, plain))


def _figures(found: StateDistances) -> dict[str, Any]:
    # Rounding of float32 may carry a distance out of its range.
    by_step = np.clip(found.distance.T, EDGES[0], EDGES[-1])
    return {
        "distance": _rounded(found.distance.mean(0, dtype=np.float64), 4),
        "closer": _rounded(found.closer.mean(0, dtype=np.float64), 4),
        "counts": [np.histogram(distances, EDGES)[0].tolist() for distances in by_step],
    }


def _plane(states: Sequence[npt.NDArray[Any]], target: npt.NDArray[Any], seed: int) -> dict[str, Any]:
    """States `[R, K + 1, d]` and targets `[R, d]` in one embedding: how far one is from another means something."""
    points_a_request = 2 * states[0].shape[1] + 1
    rows = _spread(np.arange(len(target)), min(TSNE_REQUESTS, TSNE_POINTS // points_a_request))
    together = np.stack([*(step for side in states for step in side[rows].swapaxes(0, 1)), target[rows]])
    plane = tsne(together.reshape(-1, together.shape[2]), seed)
    points = _rounded(plane.points.reshape(*together.shape[:2], 2), 3)
    count = len(points) // 2
    return {
        "perplexity": round(plane.perplexity, 3),
        "points": {"search": points[:count], "rec": points[count:-1], "target": points[-1]},
    }


def _rounded(values: npt.NDArray[Any], digits: int) -> list[Any]:
    # As float64: a float32 would be written with all its digits.
    return values.astype(np.float64).round(digits).tolist()
