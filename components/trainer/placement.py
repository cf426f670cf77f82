"""Whether a stage trains on the card or on the CPU."""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import tensorflow as tf

from components.trainer.settings import DistributionSettings
from model.config import GrpoConfig, RankerConfig, SupervisedConfig

Stage: TypeAlias = SupervisedConfig | GrpoConfig
LOGGER = logging.getLogger(__name__)
_CORE_SECONDS = 100e-9
"""Of one core, for a unit of `work`. This and the next two are rounded from measurements that docs/gpu.md tells of."""
_CARD_STEP_SECONDS = 0.05
"""Of a card, for a step of either stage that is small: as long as it takes to be told what to do."""
_CARD_START_SECONDS = 10.0
"""Of a card, until it has done its first step."""
_GRPO_ROWS = 15
"""Supervised rows that cost as much as one of GRPO, with its trajectories and negatives."""


def work(model: RankerConfig, stage: Stage) -> int:
    """How large a step is: rows of its batch, by events of a row, by width of the model."""
    rows = stage.batch_size * (_GRPO_ROWS if isinstance(stage, GrpoConfig) else 1)
    return rows * (model.rec_length + model.search_length) * model.dim


def pays(model: RankerConfig, stage: Stage) -> bool:
    """Whether a card would be done with a stage before a core is: its steps save more than its start takes.

    Of a stage without a limit of steps, one is enough to be quicker.
    """
    saved = work(model, stage) * _CORE_SECONDS - _CARD_STEP_SECONDS
    return saved > 0 and (not stage.max_steps or stage.max_steps * saved > _CARD_START_SECONDS)


def leaves_the_card(settings: DistributionSettings, model: RankerConfig, stage: Stage) -> bool:
    """Whether a stage trains on the CPU although there may be a card."""
    if settings.device == "auto" and settings.strategy == "none":
        return not pays(model, stage)
    return settings.device == "cpu"


def told(settings: DistributionSettings, model: RankerConfig, stages: Mapping[str, Stage]) -> str:
    """Which of a run's stages, by their names, train on the CPU although there may be a card; empty where none does."""
    leaving = [name for name, stage in stages.items() if leaves_the_card(settings, model, stage)]
    if not leaving:
        return ""
    each = " and ".join(leaving)
    reason = "that is set" if settings.device == "cpu" else "work this small is done sooner there"
    return f"{each} on the CPU: {reason} (distribution.device: {settings.device})"


def cards() -> int:
    """How many cards TensorFlow can use."""
    return len(tf.config.get_visible_devices("GPU"))


def require_card(settings: DistributionSettings) -> None:
    """Refuse to go on where a card is asked for and there is none.

    Raises:
        ValueError: if so.
    """
    if settings.device == "gpu" and not cards():
        raise ValueError(
            "`distribution.device` should be auto or cpu where TensorFlow can use no card. Received: gpu. The line "
            "above that begins with `device`, in a log with `Device:`, says what it finds; docs/gpu.md what it needs."
        )


@contextlib.contextmanager
def placed(settings: DistributionSettings, model: RankerConfig, stage: Stage) -> Iterator[None]:
    """The scope in which a stage trains: on the CPU where that is chosen, else where TensorFlow puts it.

    A scope, and not a hidden card: on one machine all steps of the pipeline are one process, whose devices cannot be
    changed when the first of them has used TensorFlow.

    Raises:
        ValueError: if a card is asked for and there is none.
    """
    require_card(settings)
    if not cards() or not leaves_the_card(settings, model, stage):
        yield
        return
    LOGGER.info("Device: %s", told(settings, model, {"this stage": stage}))
    with tf.device("CPU"):
        yield
