"""What reasoning does, in numbers: where the states go (the paper's Fig. 4a and 5), and what the attentions look at.

    python -m benchmarks.states --seed 2025    # contrastive loss as set, with its gradient everywhere, and without it
"""

import argparse
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.attention_weights import watch
from benchmarks.experiment import Experiment, append, in_scratch, quiet, read_experiment, without_searches
from model.lcr_ser import Embedded, LcrSer
from model.reasoning import Sides
from model.training import supervised
from model.training.windows import RequestWindows

REQUESTS = 2048
VARIANTS: dict[str, dict[str, Any]] = {
    "as set": {},
    "gradient everywhere": {"tcl_stop_gradient": "none"},
    "without TCL": {"tcl_weight": 0.0},
}


def main() -> None:
    """Trains a model for each variant and prints a line of JSON for it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=2025)
    parser.add_argument("--threads", type=int, default=0, help="of TensorFlow; 0 leaves it to choose")
    args = parser.parse_args()
    quiet(args.threads)
    experiment = read_experiment()
    results = experiment.settings.output_dir / "bench" / f"states_{experiment.settings.name}.jsonl"
    for name, changes in VARIANTS.items():
        config = dataclasses.replace(experiment.supervised, seed=args.seed, **changes)
        model = in_scratch(
            supervised.train, experiment.shape, config, experiment.timelines, experiment.eval_requests
        )
        append(results, {"variant": name, "seed": args.seed, **look_at(model, experiment)})


def look_at(model: LcrSer, experiment: Experiment) -> dict[str, Any]:
    """Means over test requests.

    Returns:
        `distance_SIDE[k]`: cosine distance of h^(k) to the target, k from 0 to K; `closer_SIDE[k]`: share of the other
        candidates that are farther away than the target (.5 is chance); `plain_...`: the same of the branch without
        cross attention. `steps_weight_SIDE`: weight of Eq. (8) on reasoning steps for the target.
        `cross_history_SIDE`, `cross_focus_SIDE`: weight that cross attention puts on real events of the other
        history, and its largest share there times the number of events (1 is uniform). `NDCG@5...`: of the model as
        it is, without cross attention, and with all searches taken away.
    """
    windows = RequestWindows(experiment.test_requests, model.config)
    rows = np.linspace(0, len(experiment.test_requests) - 1, REQUESTS).astype(np.int32)
    batch, label = windows(tf.constant(rows))
    embedded = model.embed(batch)
    histories = model.read(embedded)
    with watch(model.reasoning.search_cross) as of_search, watch(model.reasoning.rec_cross) as of_rec:
        steps = model.reason(histories)
    crossed_weights = {"search": of_search, "rec": of_rec}
    plain = model.reason(histories, cross=False)
    figures: dict[str, Any] = {}
    for name, states in (("", steps), ("plain_", plain)):
        for side in ("search", "rec"):
            start = getattr(histories, side).start[:, None]
            all_states = tf.concat([start, getattr(states, side)[:, 0]], 1)
            distance, closer = _distances(all_states, embedded, label)
            figures[f"{name}distance_{side}"], figures[f"{name}closer_{side}"] = distance, closer
    target = tf.gather(embedded.candidates, label, batch_dims=1)
    figures |= dict(_attention_figures(model, target, histories, steps, crossed_weights))
    figures["NDCG@5"] = experiment.test_metrics(model)["NDCG@5"]
    no_searches = dataclasses.replace(experiment, test_requests=without_searches(experiment.test_requests))
    figures["NDCG@5 without searches"] = no_searches.test_metrics(model)["NDCG@5"]
    reason = model.reason
    model.reason = lambda histories, training=False: reason(histories, cross=False)
    figures["NDCG@5 without cross attention"] = experiment.test_metrics(model)["NDCG@5"]
    model.reason = reason
    return figures


def _distances(states: tf.Tensor, embedded: Embedded, label: tf.Tensor) -> tuple[list[float], list[float]]:
    similar = tf.matmul(
        tf.math.l2_normalize(states, -1), tf.math.l2_normalize(embedded.candidates, -1), transpose_b=True
    )
    target = tf.gather(similar, label, axis=2, batch_dims=1)
    closer = tf.reduce_mean(tf.cast(similar < target[..., None], tf.float32), [0, 2]) * similar.shape[2]
    return _rounded(1 - tf.reduce_mean(target, 0)), _rounded(closer / (similar.shape[2] - 1))


def _attention_figures(
    model: LcrSer, target: tf.Tensor, histories: Sides, steps: Sides, crossed_weights: dict[str, list[np.ndarray]]
) -> Iterator[tuple[str, Any]]:
    other = {"search": histories.rec, "rec": histories.search}
    for side, attention in (("search", model.search_attention), ("rec", model.rec_attention)):
        history = getattr(histories, side)
        query = tf.linalg.matmul(target, attention.kernel, transpose_b=True) * attention.dim**-0.5
        scores = tf.linalg.matvec(tf.concat([history.states, getattr(steps, side)[:, 0]], 1), query)
        real = tf.concat([history.mask, tf.ones_like(getattr(steps, side)[:, 0, :, 0], tf.bool)], 1)
        weights = tf.nn.softmax(tf.where(real, scores, -1e9))
        yield f"steps_weight_{side}", _rounded(tf.reduce_mean(weights[:, history.mask.shape[1]:], 0))
        events = other[side].mask.numpy().sum(1)
        several = events > 1
        of_history = [step[several, 0, :, : other[side].mask.shape[1]] for step in crossed_weights[side]]
        yield f"cross_history_{side}", [round(float(step.sum(-1).mean()), 4) for step in of_history]
        yield f"cross_focus_{side}", [
            round(float((step.max(-1) / step.sum(-1) * events[several, None]).mean()), 4) for step in of_history
        ]


def _rounded(values: tf.Tensor) -> list[float]:
    return [round(float(value), 4) for value in values]


if __name__ == "__main__":
    main()
