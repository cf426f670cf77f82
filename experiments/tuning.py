"""The same small budget of trials for every system, on the eval split alone."""

import fcntl
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import yaml

from benchmarks.last_run import Experiment
from components.trainer.placement import placed
from components.trainer.settings import DistributionSettings
from experiments.runs import ANY_DEVICE, Results, discard, train
from experiments.systems import System, systems_of
from model.config import MAIN_METRIC
from model.evaluation.evaluator import RankingEvaluator

BEST_FILE = "best.yaml"
TRIALS_FILE = "trials.jsonl"


def tune(
    config: Mapping[str, Any],
    results: Results,
    experiment: Experiment,
    seed: int,
    distribution: DistributionSettings = ANY_DEVICE,
) -> None:
    """Search settings by trials, and write the best of each system to `best.yaml`.

    The first trial is of the settings as they stand: a handful of draws alone could all be worse. Equal is the number
    of trials, not the length of the trainings: each stops when eval stops improving. Trials are drawn and logged by
    KerasTuner, which goes on from where a search was stopped. Several processes may share the work, a system each.

    Args:
        config: `systems` as `systems_of` takes it, `trials`, and `search`: by the name of a setting
            (`supervised.learning_rate`), a list of values or `{min, max, log}`; a system's own `search` replaces it.
        results: their folder is that of the search.
        experiment: the log.
        seed: of the draws and of the trainings.
        distribution: on what each system is trained, by its size.
    """
    (results.folder / "trials").mkdir(parents=True, exist_ok=True)
    for name in config["systems"]:
        with _locked(results.folder / "trials" / f"{_file_name(name)}.lock", wait=False) as alone:
            if alone:
                _search(config, name, results, experiment, seed=seed, distribution=distribution)
            else:
                print(f"{name}: another process is searching", flush=True)


def _search(
    config: Mapping[str, Any],
    name: str,
    results: Results,
    experiment: Experiment,
    *,
    seed: int,
    distribution: DistributionSettings,
) -> None:
    space = (config["systems"][name] or {}).get("search", config.get("search", {}))
    system = systems_of(config, experiment)[name]
    own = _own_settings(system, space)
    space = {key: space[key] for key in own}
    oracle = _oracle(space, own, config["trials"] if space else 1, seed)
    oracle.verbose = 0
    oracle._set_project_dir(str(results.folder / "trials"), _file_name(name))
    if (results.folder / "trials" / _file_name(name) / "oracle.json").exists():
        oracle.reload()
    while (trial := oracle.create_trial("tune")).status != "STOPPED":
        values = trial.hyperparameters.values
        tried = systems_of(config, experiment, {name: nested(values)})[name].seeded(seed)
        with placed(distribution, tried.model, tried.supervised):
            row = _try(tried, results.folder / "checkpoints", experiment)
        oracle.update_trial(trial.trial_id, {MAIN_METRIC: row[MAIN_METRIC]})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
        oracle.save()  # once more: while it ends, a trial is still written down as going on
        with (results.folder / TRIALS_FILE).open("a") as file:
            file.write(json.dumps({"system": name, "settings": values, **row}) + "\n")
        print(f"{name}: {MAIN_METRIC} {row[MAIN_METRIC]:.4f} on eval with {values}, {row['steps']} steps", flush=True)
    _keep_best(name, oracle, results.folder / BEST_FILE)


@contextmanager
def _locked(path: Path, *, wait: bool) -> Iterator[bool]:
    """Whether this process holds the lock of a file, which the kernel frees however a process ends."""
    with path.open("a") as file:
        held = True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            held = False
        yield held


def _try(system: System, checkpoints: Path, experiment: Experiment) -> dict[str, Any]:
    model, told = train(system, checkpoints, experiment)
    found = RankingEvaluator(model, experiment.eval_requests, system.supervised.eval_batch_size)()
    discard(checkpoints / system.first_stage.digest)
    keras.backend.clear_session()
    return {**found, **told}


class _OwnFirst(keras_tuner.oracles.RandomSearchOracle):
    """Random draws, after one trial of the settings as they stand, whether or not they lie in the space."""

    own: Mapping[str, Any]

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """As KerasTuner asks for it: the values of the next trial."""
        if self.trials:
            return super().populate_space(trial_id)
        values = dict(self.own)
        self._duplicate(values)  # keeps them, so that they are not drawn again
        return {"status": "RUNNING", "values": values}


def _oracle(space: Mapping[str, Any], own: Mapping[str, Any], trials: int, seed: int) -> Any:
    parameters = keras_tuner.HyperParameters()
    for key, values in space.items():
        if isinstance(values, list):
            parameters.Choice(key, values)
        else:
            sampling = "log" if values.get("log") else "linear"
            parameters.Float(key, values["min"], values["max"], sampling=sampling)
    objective = keras_tuner.Objective(MAIN_METRIC, "max")
    oracle = _OwnFirst(objective, trials, seed, parameters, allow_new_entries=False)
    oracle.own = own
    return oracle


def _keep_best(name: str, oracle: Any, path: Path) -> None:
    [trial] = oracle.get_best_trials(1)
    with _locked(path.with_suffix(".lock"), wait=True):
        best = yaml.safe_load(path.read_text()) if path.exists() else {}
        best[name] = nested(trial.hyperparameters.values)
        partial = path.with_suffix(".partial")
        partial.write_text(yaml.safe_dump(best))
        partial.rename(path)


def nested(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """`{"supervised.learning_rate": 1}` as `{"supervised": {"learning_rate": 1}}`."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        section, _, field = key.partition(".")
        found.setdefault(section, {})[field] = value
    return found


def _own_settings(system: System, keys: Iterable[str]) -> dict[str, Any]:
    """As they stand, by name; without those that its model does not have."""
    found = {}
    for key in keys:
        section, _, field = key.partition(".")
        part = getattr(system, section)
        if hasattr(part, field):
            found[key] = getattr(part, field)
    return found


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)
