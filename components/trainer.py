"""`run_fn` of both training stages: adapters between the TFX Trainer and the plain functions of `model.training`."""

import dataclasses
import hashlib
import json
import os
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from components.servable import Servable, restore, save_weights
from model import inputs as contract
from model.config import GrpoConfig, ModelConfig, SupervisedConfig
from model.lcr_ser import LcrSer
from model.training import reinforcement, supervised
from model.training.requests import read_requests
from model.training.timelines import read_timelines


def supervised_run_fn(fn_args: Any) -> None:
    """Train LCR-SER on timelines, Eq. (1) to (12), and save its weights for the next stage.

    Args:
        fn_args: of the TFX Trainer. `custom_config` holds `model` and `supervised` (fields of `ModelConfig` and
            `SupervisedConfig`), `checkpoints` (a directory that outlives a killed run) and `code`.
    """
    transform = tft.TFTransformOutput(fn_args.transform_output)
    config = SupervisedConfig(**fn_args.custom_config["supervised"])
    checkpoints = _checkpoint_dir(fn_args)
    model = supervised.train(
        _model_config(fn_args, transform), config, read_timelines(_files(fn_args.train_files)),
        read_requests(_files(fn_args.eval_files)), checkpoint_dir=checkpoints, log_dir=fn_args.model_run_dir)
    save_weights(model, fn_args.serving_model_dir)
    tf.io.gfile.rmtree(checkpoints)


def grpo_run_fn(fn_args: Any) -> None:
    """Optimise the supervised model's reasoning by GRPO, Eq. (13) to (17), and export it.

    Args:
        fn_args: as above, with `grpo` (fields of `GrpoConfig`) instead of `supervised`, and `base_model`, the
            exported supervised model.
    """
    transform = tft.TFTransformOutput(fn_args.transform_output)
    config = GrpoConfig(**fn_args.custom_config["grpo"])
    checkpoints = _checkpoint_dir(fn_args)
    model = restore(LcrSer(_model_config(fn_args, transform)), fn_args.base_model)
    model = reinforcement.train(
        model, config, read_timelines(_files(fn_args.train_files)), read_requests(_files(fn_args.eval_files)),
        checkpoint_dir=checkpoints, log_dir=fn_args.model_run_dir)
    _export(model, transform, fn_args.serving_model_dir)
    tf.io.gfile.rmtree(checkpoints)


def _model_config(fn_args: Any, transform: tft.TFTransformOutput) -> ModelConfig:
    rows: dict[str, Any] = {
        f"num_{name}": transform.vocabulary_size_by_name(name) + contract.FIRST_KNOWN_ID
        for name in (contract.USER_VOCABULARY, contract.ITEM_VOCABULARY, contract.WORD_VOCABULARY)
    }
    return dataclasses.replace(ModelConfig(**fn_args.custom_config["model"]), **rows)


def _files(patterns: list[str]) -> list[str]:
    return sorted(path for pattern in patterns for path in tf.io.gfile.glob(pattern))


def _checkpoint_dir(fn_args: Any) -> str:
    """Name a directory by all that the training depends on, so that only the same training goes on from it."""
    depends_on = [fn_args.transform_output, fn_args.train_files, fn_args.base_model, fn_args.custom_config]
    digest = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()[:16]
    return os.path.join(fn_args.custom_config["checkpoints"], digest)


def _export(model: LcrSer, transform: tft.TFTransformOutput, directory: str) -> None:
    servable = Servable(model, transform)
    tf.saved_model.save(servable, directory, signatures=servable.signatures())
