"""Small finished runs for tests of what compares them."""

import json

import numpy as np

from components.evaluation.intervals import estimate_metrics
from components.evaluation.request_ranks import RequestRanks
from components.report.compare.comparison import Run

METRICS = ("HR@1", "NDCG@5", "MRR")


def make_run(ranks, requests=None, masks=None, name="small", settings=None, clicks=90):
    """A run with these ranks of the candidate, whose figures are as its own evaluation would write them."""
    ranks = np.asarray(ranks, np.int32)
    requests = np.arange(len(ranks)) if requests is None else requests
    masks = {"all": np.ones(len(ranks), bool), **(masks or {})}
    by_model = {"candidate": ranks, "popularity": np.full(len(ranks), 50, np.int32)}
    found = estimate_metrics(by_model, masks, METRICS, resamples=200)
    estimates = {
        model: {part: {metric: vars(one) for metric, one in of_part.items()} for part, of_part in of_model.items()}
        for model, of_model in found.models.items()
    }
    figures = {
        "name": name,
        "finished": None,
        "environment": {"python": "3.10.13", "cores": 2, "code": "c0de"},
        "settings": {"name": name, "warm_start": False, **(settings or {"model": {"dim": 32}})},
        "log": {
            "settings": {"log_dir": "/logs"},
            "cuts": None,
            "log": {"clicks": clicks, "users": 9},
            "files": [{"table": "rec", "file": f"rec_{part}.csv", "rows": clicks, "bad_rows": 1} for part in "xy"],
        },
        "evaluation": {"level": 0.95, "resamples": 200, "metrics": list(METRICS), "models": estimates},
    }
    # As a reader of the file gets it.
    return Run(json.loads(json.dumps(figures)), RequestRanks(np.asarray(requests, np.uint64), by_model, masks))


def write_run(run, folder):
    """Write a run into a folder, as a run does; the folder as text."""
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(run.figures))
    run.ranks.write(str(folder / "ranks.parquet"))
    return str(folder)
