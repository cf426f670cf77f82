"""Figures of a made-up run, small but with everything in it."""

import copy
import math
from itertools import count

from components.example_gen.log_report import RULES

METRICS = ("HR@1", "HR@5", "NDCG@5", "MRR")
SLICES = ("all", "searches: none", "searches: some", "target: popular", "target: rare", "target: new")
EMPTY = "target: new"
NASTY = "<script>alert(1)</script> \"q\" 'p' a|b `c` 中文 & *x*"


def run_figures(**changes):
    """Figures with every part; `changes` replace parts by name."""
    return copy.deepcopy({**_FIGURES, **changes})


def without_baseline(figures):
    """The first run: nothing was pushed before."""
    for part in (figures["metrics"], figures["evaluation"]["models"], figures["evaluation"]["differences"]):
        part.pop("baseline")
    return figures


def stopped(**changes):
    """A run that two gates stopped, and whose Pusher says what one of them said."""
    figures = run_figures(pushed=None, version=None, blessed=False, push_reason="DataCheck: said again", **changes)
    figures["gates"][0]["reasons"] = ["search_words drifted: L-infinity 0.42 > 0.3"]
    figures["gates"][1]["reasons"] = ["`NDCG@5` 0.021 < 0.03"]
    return figures


def _estimates(base, numbers, p_value=None):
    """No two values alike, so that a number on a page can have come from one place alone."""

    def estimate(requests):
        value = base + 0.00137 * next(numbers)
        low, high = value - 0.02011, value + 0.02017
        return {"value": value, "low": low, "high": high, "requests": requests, "p_value": p_value}

    nothing = {"value": None, "low": None, "high": None, "requests": 0, "p_value": None}
    sizes = dict(zip(SLICES, (2000, 150, 1850, 900, 1100, 0), strict=True))
    return {
        name: {metric: estimate(size) if size else dict(nothing) for metric in METRICS} for name, size in sizes.items()
    }


def _evaluation():
    numbers = count()
    models = {
        role: _estimates(base, numbers)
        for role, base in (("candidate", 0.41), ("baseline", 0.36), ("popularity", 0.11))
    }
    differences = {"baseline": _estimates(0.0405, numbers, 0.032), "popularity": _estimates(0.3105, numbers, 0.002)}
    return {
        "level": 0.95,
        "resamples": 1000,
        "requests": 2000,
        "metrics": list(METRICS),
        "seconds": 3.1,
        "non_finite": 0,
        "models": models,
        "differences": differences,
        "full_catalogue": {
            "items": 768,
            "avoid": "past",
            "requests": 1999,
            "known_targets": 1987,
            "sampled": _estimates(0.51, numbers)["all"],
            "full": _estimates(0.21, numbers)["all"],
        },
    }


def states_figures(steps=2, requests=40):
    """States that end closer to the target on the search side, and farther from it on the other."""
    edges = [at / 10 for at in range(21)]

    def branch(start, fall):
        distance = [start - fall * step for step in range(steps + 1)]
        counts = [
            [round(requests * math.exp(-(((edge - mean) / 0.2) ** 2))) for edge in edges[:-1]] for mean in distance
        ]
        return {"distance": distance, "closer": [0.5 + 0.1 * step for step in range(steps + 1)], "counts": counts}

    def points(shift):
        return [[math.cos(at) * 10 + shift, math.sin(at * 1.7) * 10] for at in range(requests)]

    return {
        "requests": requests,
        "reasoning_steps": steps,
        "edges": edges,
        "unknown_targets": 3,
        "sides": {
            "search": {"crossed": branch(0.9, 0.15), "plain": branch(0.9, 0.1)},
            "rec": {"crossed": branch(0.7, -0.05), "plain": branch(0.7, -0.1)},
        },
        "tsne": {
            "perplexity": 10.0,
            "points": {
                "search": [points(8 - 3 * step) for step in range(steps + 1)],
                "rec": [points(4 + step) for step in range(steps + 1)],
                "target": points(0),
            },
        },
    }


def _log():
    file = {
        "table": "rec_inter.csv",
        "file": "rec|inter.csv.gz",
        "rows": 101615,
        "bad_rows": 3,
        "bad": [
            {"reason": "item_id is empty", "rows": 2, "samples": [{"line": 50808, "value": ""}]},
            {"reason": "timestamp is not finite", "rows": 1, "samples": [{"line": 50809, "value": NASTY}]},
        ],
        "repaired": [{"reason": "a list in quotes", "rows": 7, "samples": []}],
        "kept_as": "",
        "read_before": False,
        "fatal": None,
    }
    return {
        "settings": {"log_dir": "logs/" + NASTY, "split": "leave_one_out"},
        "files": [file],
        "log": {
            "users": 2001,
            "users_with_clicks": 1998,
            "users_with_searches": 1997,
            "searches": 19006,
            "searches_with_click": 11348,
            "searches_without_click": 7658,
            "clicks": 50769,
            "recommended_without_click": 50843,
            "items": 768,
            "items_found": 1064,
            "items_in_both": 752,
        },
        "rules": {**dict.fromkeys(RULES, 0), "searches_cut": 1319},
        "splits": {
            "train_users": 2000,
            "train_targets": 46149,
            "eval_requests": 1952,
            "test_requests": 1953,
            "without_history": 9,
            "without_candidates": 0,
            "example_bytes": 1687316,
        },
        "negatives": {
            "number": 99,
            "sampling": "uniform",
            "avoid": "whole_log",
            "existing": False,
            "candidates_file": "",
            "seed": 2025,
        },
        "cuts": None,
        "warnings": [],
        "times": {"error": None, "notes": ["Times are ordinal numbers, no dates (" + NASTY + ")"]},
    }


_EVALUATION = _evaluation()
_FIGURES = {
    "name": "made_up",
    "finished": "2026-11-25T03:50:20+00:00",
    "environment": {
        "python": "3.10.13",
        "tensorflow": "2.16.2",
        "keras": "3.12.0",
        "tfx": "1.16.0",
        "processor": "A <fast> one",
        "cores": 2,
        "gpus": 0,
        "code": "0123456789abcdef",
    },
    "settings": {"name": "made_up", "model": {"dim": 32, "reasoning_steps": 2}, "evaluation": {"ks": [1, 5]}},
    "log": _log(),
    "metrics": {
        role: {metric: _EVALUATION["models"][role]["all"][metric]["value"] for metric in METRICS}
        for role in ("candidate", "baseline")
    },
    "evaluation": _EVALUATION,
    "gates": [
        {
            "gate": "DataCheck",
            "reasons": [],
            "notes": ["skew was not checked: no requests"],
            "detail": {
                "measurements": [
                    {
                        "kind": "drift",
                        "feature": "search_words",
                        "measure": "infinity_norm",
                        "value": 0.0423,
                        "threshold": 0.1,
                    },
                    {
                        "kind": "skew",
                        "feature": "rec_items",
                        "measure": "jensen_shannon",
                        "value": None,
                        "threshold": 0.5,
                    },
                ]
            },
        },
        *(
            {"gate": gate, "reasons": [], "notes": [], "detail": {}}
            for gate in ("Evaluator", "RankingCheck", "ServableCheck", "InfraValidator")
        ),
    ],
    "blessed": True,
    "pushed": "serving/made_up/7",
    "version": "7",
    "push_reason": None,
    "training": {
        "supervised": [
            {"step": 1.0, "loss": 0.7583},
            {"step": 10.0, "loss": 0.6165, "eval/NDCG@5": 0.3011},
            {"step": 20.0, "loss": 0.5979, "eval/NDCG@5": 0.4212},
        ],
        "grpo": [
            {"step": 0.0, "eval/NDCG@5": 0.4212},
            {"step": 1.0, "loss": -0.1689},
            {"step": 15.0, "loss": -0.1247, "eval/NDCG@5": 0.4307},
        ],
    },
    "cost": {
        "parameters": 123457,
        "embedding_parameters": 98765,
        "model_bytes": 4200000,
        "rows_a_second": {"supervised": 2345.6, "grpo": 321.0, "evaluation": None},
        "seconds": {"Transform": 31.5, "SupervisedTrainer": 61.0, "Pusher": 0.4},
    },
    "states": states_figures(),
    "used_searches": [
        {
            "user": "u1",
            "target": "i<9>",
            "rank": 3,
            "candidates": 100,
            "searches": [
                {"words": ["red", "shoes"], "items": ["i1", "i2"], "weight": 0.4125},
                {"words": [NASTY], "items": [], "weight": 0.1875},
                {"words": [], "items": ["i3"], "weight": 0.0625},
            ],
        }
    ],
}
