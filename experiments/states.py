"""What reasoning does, in numbers: where the states go (the paper's Fig. 4a and 5), and what the attentions look at.

python -m experiments.states --seed 2025    # contrastive loss as set, with its gradient everywhere, and without it
"""

import argparse
import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from benchmarks.last_run import Experiment, append, in_scratch, quiet, read_experiment, without_searches
from model.data.windows import RequestWindows
from model.inspection.attention_weights import watch
from model.inspection.state_distances import state_distances
from model.layers.reasoning import EncodedHistories, Sides
from model.lcr_ser import LcrSer
from model.training import supervised

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
        model = in_scratch(supervised.train, experiment.shape, config, experiment.timelines, experiment.eval_requests)
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
        found = state_distances(histories, states, embedded.candidates, label)
        for side in Sides._fields:
            of_side = getattr(found, side)
            figures[f"{name}distance_{side}"] = _rounded(tf.reduce_mean(of_side.distance, 0))
            figures[f"{name}closer_{side}"] = _rounded(tf.reduce_mean(of_side.closer, 0))
    target = tf.gather(embedded.candidates, label, batch_dims=1)
    for side, weights in model.target_weights(target, histories, steps)._asdict().items():
        figures[f"steps_weight_{side}"] = _rounded(tf.reduce_mean(weights.steps, 0))
    figures |= dict(_cross_figures(histories, crossed_weights))
    figures["NDCG@5"] = experiment.test_metrics(model)["NDCG@5"]
    no_searches = dataclasses.replace(experiment, test_requests=without_searches(experiment.test_requests))
    figures["NDCG@5 without searches"] = no_searches.test_metrics(model)["NDCG@5"]
    reason = model.reason
    model.reason = functools.partial(reason, cross=False)  # type: ignore[method-assign]
    figures["NDCG@5 without cross attention"] = experiment.test_metrics(model)["NDCG@5"]
    model.reason = reason  # type: ignore[method-assign]
    return figures


def _cross_figures(
    histories: EncodedHistories, crossed_weights: dict[str, list[npt.NDArray[Any]]]
) -> Iterator[tuple[str, list[float]]]:
    for side, other in (("search", histories.rec), ("rec", histories.search)):
        events = other.mask.numpy().sum(1)
        several = events > 1
        of_history = [step[several, 0, :, : other.mask.shape[1]] for step in crossed_weights[side]]
        yield f"cross_history_{side}", [round(float(step.sum(-1).mean()), 4) for step in of_history]
        yield (
            f"cross_focus_{side}",
            [round(float((step.max(-1) / step.sum(-1) * events[several, None]).mean()), 4) for step in of_history],
        )


def _rounded(values: tf.Tensor) -> list[float]:
    return [round(float(value), 4) for value in values]


if __name__ == "__main__":
    main()
