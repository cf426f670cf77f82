"""Trainings of an experiment: each is done once, however often the experiment is started and by how many processes."""

import dataclasses
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from benchmarks.last_run import Experiment
from components.report.gather.states import reasoning_states
from components.trainer.placement import placed
from components.trainer.settings import DistributionSettings
from experiments.systems import System
from experiments.views import EVERYTHING, look_through
from model.config import MAIN_METRIC
from model.evaluation.evaluator import RankingEvaluator, ranking_metrics
from model.evaluation.full_catalogue import FullCatalogue
from model.ranker import Ranker, Reasoner
from model.registry import make_ranker
from model.training import reinforcement, supervised

RESULTS_FILE = "results.jsonl"
ANY_DEVICE = DistributionSettings()

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]


@dataclasses.dataclass(frozen=True)
class Results:
    """A folder of finished runs.

    Attributes:
        folder: of `results.jsonl`, a row a run, and `ranks/`, the ranks of the test requests of each, and `states/`.
    """

    folder: Path

    def rows(self) -> list[dict[str, Any]]:
        """Rows of all finished runs."""
        path = self.folder / RESULTS_FILE
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def row(self, system: System) -> dict[str, Any] | None:
        """The row of a seeded system with exactly these settings; None where it has not run."""
        return next((row for row in self.rows() if row["digest"] == system.digest), None)

    def ranks(self, system: System) -> Arrays:
        """Ranks of the test split's positives, `test` and where they were taken `full`, `[R]` each."""
        with np.load(self.folder / "ranks" / f"{system.digest}.npz") as arrays:
            return dict(arrays)

    def look(self, system: System) -> dict[str, Any] | None:
        """What `reasoning_states` found of a run; None where it was not asked."""
        path = self.folder / "states" / f"{system.digest}.json"
        return json.loads(path.read_text()) if path.exists() else None

    def add(self, system: System, row: dict[str, Any], ranks: Arrays, states: dict[str, Any] | None = None) -> None:
        """Keep a finished run: the row last, so that it never stands without the rest."""
        if states:
            (self.folder / "states").mkdir(exist_ok=True)
            (self.folder / "states" / f"{system.digest}.json").write_text(json.dumps(states))
        path = self.folder / "ranks" / f"{system.digest}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.npz")
        np.savez_compressed(partial, **dict[str, Any](ranks))
        partial.rename(path)
        own = {"system": system.name, "seed": system.supervised.seed, "digest": system.digest}
        line = json.dumps({**own, **row, **own})  # a row that is taken over has another's name
        # One write of one line: what several processes append stays apart.
        with (self.folder / RESULTS_FILE).open("a") as file:
            file.write(line + "\n")

    def take_over(self, system: System, *, look_at_states: bool) -> str:
        """Keep what another experiment on the same log found of a seeded system with exactly these settings.

        Returns:
            The other's name; nothing where none has run it, or none looked at its states if that is asked.
        """
        for folder in sorted(self.folder.parent.iterdir()):
            other = Results(folder)
            row = other.row(system)
            states = other.look(system) if look_at_states else None
            if row and bool(states) == look_at_states:
                found = {key: value for key, value in row.items() if not key.startswith("full")}
                self.add(system, found, {"test": other.ranks(system)["test"]}, states)
                return folder.name
        return ""

    @contextmanager
    def claim(self, system: System) -> Iterator[bool]:
        """Whether this process may run a system: no other one that lives is at a first stage that it needs."""
        needed = [system.first_stage, *filter(None, [system.reference])]
        paths = [self.folder / "claims" / one.digest for one in needed]
        own: list[Path] = []
        try:
            own += [path for path in paths if _claimed(path)]
            yield own == paths
        finally:
            for path in own:
                path.unlink(missing_ok=True)


def _claimed(path: Path) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not _lives(path.read_text()):
        path.unlink(missing_ok=True)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return False
    os.write(descriptor, str(os.getpid()).encode())
    os.close(descriptor)
    return True


def _lives(pid: str) -> bool:
    return pid.isdigit() and Path(f"/proc/{pid}").exists()


def run_all(
    systems: Sequence[System],
    seeds: Sequence[int],
    results: Results,
    experiment: Experiment,
    full: int = 0,
    *,
    look_at_states: bool = False,
    distribution: DistributionSettings = ANY_DEVICE,
) -> None:
    """Train what is missing, seed by seed, so that every system has been seen once before any is seen twice.

    Systems that differ in their second stage alone share the first. What another experiment on this log has found of
    equal settings is taken over, but for ranks among all items.

    Args:
        systems: to be compared.
        seeds: of each.
        results: where finished runs are kept.
        experiment: the log.
        full: so many test requests are ranked among all items too.
        look_at_states: keep what `reasoning_states` finds.
        distribution: on what each system is trained, by its size.
    """
    for seed in seeds:
        seeded = [one.seeded(seed) for one in systems]
        for system in seeded:
            if results.row(system):
                continue
            with results.claim(system) as claimed:
                if not claimed or results.row(system):
                    continue
                if not full and (other := results.take_over(system, look_at_states=look_at_states)):
                    print(f"{system.name}, seed {seed}: as found by {other}", flush=True)
                else:
                    with placed(distribution, system.model, system.supervised):
                        row, ranks, states = run_one(
                            system, results.folder / "checkpoints", experiment, full, look_at_states=look_at_states
                        )
                    results.add(system, row, ranks, states)
                    _show(system, row)
        if all(results.row(system) for system in seeded):
            for system in seeded:
                discard(results.folder / "checkpoints" / system.first_stage.digest)


def run_one(
    system: System, checkpoints: Path, experiment: Experiment, full: int = 0, *, look_at_states: bool = False
) -> tuple[dict[str, Any], Arrays, dict[str, Any] | None]:
    """Train a system and rank the test split, once.

    Args:
        system: with its seed.
        checkpoints: of all systems, from which a training that was killed goes on.
        experiment: the log.
        full: so many test requests, evenly spread, are ranked among all items too.
        look_at_states: of a model that reasons.

    Returns:
        What is known of the run, ranks by name, and the states.
    """
    model, told = train(system, checkpoints, experiment)
    batch = system.supervised.eval_batch_size
    ranks = {"test": RankingEvaluator(model, experiment.test_requests, batch).ranks()}
    if full:
        ranks |= full_ranks(model, experiment, full)
    of_eval = RankingEvaluator(model, experiment.eval_requests, batch)()
    row = {
        "eval": of_eval,
        "test": ranking_metrics(ranks["test"]),
        **{name: ranking_metrics(ranks[name]) for name in ranks if name.startswith("full")},
        "parameters": int(sum(np.prod(variable.shape) for variable in model.trainable_variables)),
        **told,
    }
    states = reasoning_states(model, experiment.test_requests) if look_at_states else None
    keras.backend.clear_session()
    return row, ranks, states


def train(system: System, checkpoints: Path, experiment: Experiment) -> tuple[Ranker, dict[str, Any]]:
    """Train a system until its eval split stops improving.

    Args:
        system: with its seed.
        checkpoints: where a first stage that has been trained before is found, whatever system it was for.
        experiment: the log.

    Returns:
        The model; and `steps` and `targets` that its first stage saw, whether that was `capped`, stopped by its largest
        number of steps while it could still have improved, and `seconds` of both stages; None where one was killed and
        went on, for nobody knows how long it took before.
    """
    folder = checkpoints / system.first_stage.digest
    logs, log_dir = (experiment.timelines, experiment.eval_requests), str(folder / "logs")
    begin, went_on = time.monotonic(), (folder / "supervised").exists()
    start = None
    if system.view != EVERYTHING:
        keras.utils.set_random_seed(system.supervised.seed)
        start = make_ranker(system.model)
        reference = train(system.reference, checkpoints, experiment)[0] if system.reference else None
        look_through(start, system.view, reference)
    model = supervised.train(
        system.model, system.supervised, *logs, checkpoint_dir=str(folder / "supervised"), log_dir=log_dir, start=start
    )
    told_file = folder / "told.json"
    if not told_file.exists():
        told = _told(folder / "logs" / "supervised.csv", system, len(experiment.timelines.targets))
        folder.mkdir(parents=True, exist_ok=True)
        told_file.write_text(json.dumps({**told, "seconds": None if went_on else time.monotonic() - begin}))
    told = json.loads(told_file.read_text())
    begin, second = time.monotonic(), folder / system.digest
    went_on = second.exists() or told["seconds"] is None
    dirs: dict[str, Any] = {"checkpoint_dir": str(second / "checkpoints"), "log_dir": str(second / "logs")}
    if system.grpo and isinstance(model, Reasoner):
        model = reinforcement.train(model, system.grpo, *logs, **dirs)
    elif system.further:
        model = supervised.train(system.model, system.further, *logs, start=model, **dirs)
    else:
        return model, told
    return model, {**told, "seconds": None if went_on else told["seconds"] + time.monotonic() - begin}


def full_ranks(model: Ranker, experiment: Experiment, count: int) -> Arrays:
    """Ranks among all known items; a target that no vocabulary holds comes last.

    Args:
        model: trained.
        experiment: the log.
        count: requests at the most, evenly spread.

    Returns:
        `full`, where every past click of the user but the target is left out, and `full_with_past`, where it is not.
    """
    logs = (experiment.test_requests, experiment.timelines)
    return {
        "full": FullCatalogue(model, *logs, avoid="past", max_requests=count).ranks(),
        "full_with_past": FullCatalogue(model, *logs, avoid="none", max_requests=count).ranks(),
    }


def discard(folder: Path) -> None:
    """Delete the checkpoints of a finished training."""
    shutil.rmtree(folder, ignore_errors=True)


def _told(path: Path, system: System, targets: int) -> dict[str, Any]:
    """How long a training took, by its table of metrics; nothing for a model without a step."""
    rows = np.genfromtxt(path, delimiter=",", names=True, dtype=float, ndmin=1) if path.exists() else None
    if rows is None or "step" not in (rows.dtype.names or ()):
        return {"steps": 0, "targets": 0, "capped": False}
    steps = int(rows["step"].max())
    batch = min(system.supervised.batch_size, targets)
    cap = system.supervised.max_epochs * (targets // batch)
    cap = min(cap, system.supervised.max_steps or cap)
    return {"steps": steps, "targets": steps * batch, "capped": bool(steps and steps >= cap)}


def _show(system: System, row: dict[str, Any]) -> None:
    capped = ", stopped at its cap" if row["capped"] else ""
    seconds = "" if row["seconds"] is None else f", {row['seconds']:.0f} s"
    print(
        f"{system.name}, seed {system.supervised.seed}: {MAIN_METRIC} {row['eval'][MAIN_METRIC]:.4f} on eval, "
        f"{row['test'][MAIN_METRIC]:.4f} on test, {row['steps']} steps{capped}{seconds}",
        flush=True,
    )
