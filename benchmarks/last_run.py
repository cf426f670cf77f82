"""What the experiments share: a run's transformed log, its settings, and a training that leaves nothing behind."""

import dataclasses
import json
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from components.transform.vocabularies import table_sizes
from model.config import GrpoConfig, LcrSerConfig, SupervisedConfig
from model.data.requests import Requests, read_requests
from model.data.timelines import Timelines, read_timelines
from model.evaluation.evaluator import RankingEvaluator, ranking_metrics
from model.lcr_ser import LcrSer
from tfx_pipeline.settings import Settings, load


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A log and the settings of its profile.

    Attributes:
        settings: of the pipeline.
        shape, supervised, grpo: settings of the model and of its stages.
        timelines, eval_requests, test_requests: the three splits.
    """

    settings: Settings
    shape: LcrSerConfig
    supervised: SupervisedConfig
    grpo: GrpoConfig
    timelines: Timelines
    eval_requests: Requests
    test_requests: Requests

    def test_metrics(self, model: LcrSer) -> dict[str, float]:
        """HR and NDCG over the whole test split."""
        return ranking_metrics(RankingEvaluator(model, self.test_requests, self.supervised.eval_batch_size).ranks())


def read_experiment() -> Experiment:
    """Read what the last run of the current settings has transformed.

    Raises:
        FileNotFoundError: if there was none.
    """
    settings = load()
    graph, examples = newest_transform(settings)
    sizes = table_sizes(tft.TFTransformOutput(str(graph)), settings.vocabulary.model_dump())

    def files(split: str) -> list[str]:
        return sorted(map(str, (examples / f"Split-{split}").glob("*")))

    return Experiment(
        settings=settings,
        shape=cast(LcrSerConfig, dataclasses.replace(settings.model, **sizes)),
        supervised=settings.supervised,
        grpo=settings.grpo,
        timelines=read_timelines(files("train")),
        eval_requests=read_requests(files("eval")),
        test_requests=read_requests(files("test")),
    )


def newest_transform(settings: Settings) -> tuple[Path, Path]:
    """Directories of the last run's Transform: of its graph, and of its Examples, a folder `Split-NAME` a split.

    Raises:
        FileNotFoundError: if there was no run.
    """
    outputs = settings.run_dir / "artifacts" / "Transform"
    runs = sorted((outputs / "transform_graph").glob("*"), key=lambda path: int(path.name))
    if not runs:
        raise FileNotFoundError(f"{outputs} should hold a transformed log. Received: none; do `make run` first.")
    return runs[-1], outputs / "transformed_examples" / runs[-1].name


def quiet(threads: int) -> None:
    """Silences progress and limits TensorFlow to a number of threads; call it before any other work."""
    logging.getLogger("lcr_ser.progress").setLevel(logging.ERROR)
    tf.get_logger().setLevel("ERROR")  # which warns of every model that is traced anew
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def in_scratch(train: Callable[..., LcrSer], *args: Any, **kwargs: Any) -> LcrSer:
    """Call a training with directories that are deleted afterwards."""
    with tempfile.TemporaryDirectory() as scratch:
        return train(*args, checkpoint_dir=f"{scratch}/checkpoints", log_dir=f"{scratch}/log", **kwargs)


def append(path: Path, row: dict[str, Any]) -> None:
    """Add a line of JSON to a file of results, and print it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps({name: round(value, 5) if isinstance(value, float) else value for name, value in row.items()})
    with path.open("a") as file:
        file.write(line + "\n")
    print(line, flush=True)


def without_searches(log: Timelines | Requests) -> Any:
    """The same log, as if nobody had ever searched."""
    changes: dict[str, Any] = {"search_offsets": np.zeros_like(log.search_offsets)}
    if isinstance(log, Timelines):
        changes["rec_searches_before"] = np.zeros_like(log.rec_searches_before)
    return dataclasses.replace(log, **changes)


def newest_model(log: Experiment) -> Path:
    """Directory of the SavedModel of the last run."""
    models = log.settings.run_dir / "artifacts" / "GrpoTrainer" / "model"
    found = sorted(models.glob("*/Format-Serving"), key=lambda path: int(path.parent.name))
    if not found:
        raise FileNotFoundError(f"{models} should hold a trained model. Received: none; do `make run` first.")
    return found[-1]
