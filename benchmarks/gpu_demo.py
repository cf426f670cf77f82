"""The demo log for a machine without TFX: `python -m benchmarks.gpu_demo FOLDER` packs the last run's.

As every command, it reads the current settings. FOLDER gets the transformed Examples of the three splits, in a folder
`Split-NAME` each, and `settings.json` with the settings of model and stages.
"""

import argparse
import dataclasses
import importlib.util
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import tensorflow as tf

from benchmarks.gpu_journal import Journal
from benchmarks.gpu_plan import DEMO, GRPO, SUPERVISED
from model.config import MAIN_METRIC, GrpoConfig, SupervisedConfig
from model.data.requests import read_requests
from model.data.timelines import read_timelines
from model.evaluation.evaluator import evaluate
from model.ranker import Ranker
from model.registry import make_config
from model.training import reinforcement, supervised

SPLITS = ("train", "eval", "test")
SETTINGS = "settings.json"
MOST_MIB = 64
"""What travels to a machine at once."""


def main() -> None:
    """Pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="is made; should not be there yet")
    pack(parser.parse_args().folder)


def pack(folder: Path) -> None:
    """Copy what `train_demo` reads of the last run.

    Raises:
        FileNotFoundError: if there was no run.
        ValueError: if it is larger than 64 MiB.
    """
    from benchmarks.last_run import newest_transform, read_experiment

    experiment = read_experiment()
    _, examples = newest_transform(experiment.settings)
    size = sum(file.stat().st_size for split in SPLITS for file in (examples / f"Split-{split}").iterdir()) / 2**20
    if size > MOST_MIB:
        raise ValueError(f"A log should take at most {MOST_MIB} MiB. Received: {size:.0f} MiB in {examples}.")
    for split in SPLITS:
        shutil.copytree(examples / f"Split-{split}", folder / f"Split-{split}")
    write_settings(folder, experiment.shape, experiment.supervised, experiment.grpo)
    print(f"{folder}: {size:.1f} MiB")


def write_settings(folder: Path, shape: Any, of_supervised: SupervisedConfig, of_grpo: GrpoConfig) -> None:
    """Write `settings.json`; the shape has the sizes of the tables."""
    content = {"shape": shape, "supervised": of_supervised, "grpo": of_grpo}
    text = json.dumps({name: dataclasses.asdict(one) for name, one in content.items()}, indent=2)
    (folder / SETTINGS).write_text(text + "\n")


def train_demo(journal: Journal, folder: Path, *, short: bool) -> None:
    """Both stages on a packed log: the time of each, its first step and its evaluations included, and NDCG@5 after it.

    Args:
        journal: written to.
        folder: as `pack` left it.
        short: two steps of each stage.
    """
    settings = json.loads((folder / SETTINGS).read_text())
    of_supervised, of_grpo = SupervisedConfig(**settings["supervised"]), GrpoConfig(**settings["grpo"])
    if short:
        of_supervised = dataclasses.replace(of_supervised, max_steps=2)
        of_grpo = dataclasses.replace(of_grpo, max_steps=2)
    if importlib.util.find_spec("tensorboard") is None:
        # Where it is not packed, TensorFlow refuses to write its events; the table of a training is written as ever.
        tf.summary.scalar = lambda *_args, **_kwargs: None
    files = {split: sorted(map(str, (folder / f"Split-{split}").iterdir())) for split in SPLITS}
    timelines = read_timelines(files["train"])
    eval_requests, test_requests = (read_requests(files[split]) for split in ("eval", "test"))

    def tell(stage: str, model: Ranker, began: float) -> None:
        journal.give(DEMO, f"{stage}: time", time.perf_counter() - began)
        metrics = evaluate(model, test_requests, of_supervised.eval_batch_size)
        journal.give(DEMO, f"{stage}: {MAIN_METRIC} of the test split", metrics[MAIN_METRIC], metrics=metrics)

    with tempfile.TemporaryDirectory() as scratch:

        def folders(stage: str) -> dict[str, Any]:
            return {"checkpoint_dir": f"{scratch}/{stage}/checkpoints", "log_dir": f"{scratch}/{stage}/log"}

        began = time.perf_counter()
        shape = make_config(settings["shape"])
        model = supervised.train(shape, of_supervised, timelines, eval_requests, **folders(SUPERVISED))
        tell(SUPERVISED, model, began)
        began = time.perf_counter()
        tell(GRPO, reinforcement.train(model, of_grpo, timelines, eval_requests, **folders(GRPO)), began)


if __name__ == "__main__":
    main()
