"""The two Trainers of a pipeline, one after the other, as TFX would run them: `python trainer_step.py FOLDER`.

`write_inputs` makes what Transform would have put out; the models are then in `FOLDER/supervised` and `FOLDER/grpo`.
"""

import sys
import types
from pathlib import Path

from tests.support.log_files import request_examples, timeline_examples, write_split
from tests.support.random_logs import NUM_ITEMS, random_logs
from tests.support.transform_graph import example as raw_example
from tests.support.transform_graph import write_transform_graph

VOCABULARY = {
    **dict.fromkeys(("items", "users", "words"), "hash"),
    "max_items": NUM_ITEMS - 2,
    "max_users": 62,
    "max_words": 10,
}
"""Hashed, so that the ids of a log in memory are rows of the tables."""
MODEL = {
    "dim": 8,
    "rec_length": 6,
    "search_length": 5,
    "words_per_search": 4,
    "items_per_search": 3,
    "mlp_units": [4],
    "reasoning_steps": 1,
    "dropout": 0.2,
    "retrieval": True,
}
SUPERVISED = {
    "batch_size": 64,
    "eval_batch_size": 64,
    "learning_rate": 0.02,
    "max_epochs": 100,
    "max_steps": 60,
    "patience": 100,
    "max_eval_requests": 40,
    "checkpoint_every": 2,
}
GRPO = {
    "num_trajectories": 3,
    "noise_scale": 2.0,
    "num_negatives": 9,
    "batch_size": 32,
    "eval_batch_size": 64,
    "learning_rate": 0.01,
    "max_steps": 4,
    "eval_every": 2,
}


def write_inputs(folder):
    """A Transform graph, and a log of 60 users in three files of timelines and one of requests."""
    timelines, requests = random_logs()
    write_split(folder / "transformed" / "Split-train", list(timeline_examples(timelines)), 3)
    write_split(folder / "transformed" / "Split-eval", list(request_examples(requests)), 1)
    nothing = {"search_words": ["w"], "search_word_counts": [1], "search_items": ["i"], "search_item_counts": [1]}
    write_transform_graph(
        str(folder / "graph"), VOCABULARY, [raw_example(user=["u"], rec_items=["i"], rec_is_target=[1], **nothing)]
    )


def fn_args(folder, stage, base_model, wait_seconds):
    return types.SimpleNamespace(
        transform_output=str(folder / "graph"),
        train_files=[str(folder / "transformed" / "Split-train" / "*")],
        eval_files=[str(folder / "transformed" / "Split-eval" / "*")],
        base_model=base_model,
        serving_model_dir=str(folder / stage / "Format-Serving"),
        model_run_dir=str(folder / stage / "run"),
        custom_config={
            "model": MODEL,
            "vocabulary": VOCABULARY,
            "checkpoints": str(folder / "checkpoints"),
            "code": "code",
            "distribution": {"strategy": "multi_worker", "wait_seconds": wait_seconds},
            stage: {"supervised": SUPERVISED, "grpo": GRPO}[stage],
        },
    )


def main(folder, wait_seconds=300):
    from components.trainer.run_fn import supervised_run_fn
    from tfx_pipeline.export import grpo_run_fn

    first = fn_args(folder, "supervised", None, wait_seconds)
    supervised_run_fn(first)
    grpo_run_fn(fn_args(folder, "grpo", first.serving_model_dir, wait_seconds))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
