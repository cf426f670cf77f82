"""What a servable with 5,000,000 items costs TF Serving: size on disk, time to load, memory, by kind of ids.

    python -m benchmarks.servable_size                 # --items 100000 for a quick look

Real: the graph of Transform (analysed by Beam over two Examples), the model, its SavedModel with all signatures, and
the fresh process that loads it and answers `rank` for a known user with 100 candidates, and `recommend`. Not real: the
weights are as they were drawn, and the vocabulary of items is written over the one that Beam counted, since counting
five million strings is Transform's cost and not the servable's. It names the items `item_0000000`, 12 bytes each;
users and words are those of the two Examples. The fresh process is TensorFlow in Python: its memory before it loads
is reported too, and is more than TF Serving's own.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.machine import describe
from benchmarks.result import report
from model import contract
from tests.support.transform_graph import example, write_transform_graph

MEGABYTE = 1e6
EXAMPLES = [
    example(
        user=[user],
        rec_items=["item_0000000"],
        rec_searches_before=[0],
        rec_is_target=[1],
        search_words=["word"],
        search_word_counts=[1],
        search_items=["item_0000001"],
        search_item_counts=[1],
    )
    for user in ("user_0", "user_1")
]


def main() -> None:
    """Measures and reports; with `--load`, is the fresh process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=5_000_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save", help=argparse.SUPPRESS)
    parser.add_argument("--load", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.load:
        print(json.dumps(_load(args.load)))
    elif args.save:
        _save(args.save, Path(args.save).name, args.items, args.dim)
    else:
        _report(args)


def _report(args: argparse.Namespace) -> None:
    measured = {}
    for kind in ("vocabulary", "hash"):
        with tempfile.TemporaryDirectory() as folder:
            servable = str(Path(folder) / kind)
            sizes = ("--items", str(args.items), "--dim", str(args.dim))
            _in_fresh_process("--save", servable, *sizes)
            measured[kind] = {"disk_mb": _megabytes(servable), **json.loads(_in_fresh_process("--load", servable))}
    rows = [
        ("", *measured),
        *((key, *(f"{values[key]:,.1f}" for values in measured.values())) for key in measured["hash"]),
    ]
    detail = {
        "machine": describe(args.threads),
        "items": args.items,
        "dim": args.dim,
        "table_mb": (args.items + contract.FIRST_KNOWN_ID) * args.dim * 4 / MEGABYTE,
        **measured,
    }
    report(
        "servable_size",
        measured["vocabulary"]["peak_rss_mb"],
        "MB at the most",
        "below 4,000 with 5,000,000 items",
        detail,
        rows,
    )


def _in_fresh_process(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.servable_size", *arguments],  # noqa: S603
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout.strip().split("\n")[-1]


def _save(directory: str, kind: str, items: int, dim: int) -> None:
    from components.servable.saving import save
    from components.servable.servable import Servable
    from model.config import LcrSerConfig
    from model.lcr_ser import LcrSer

    settings = {
        "items": kind,
        "users": "vocabulary",
        "words": "vocabulary",
        "max_items": items,
        "max_users": None,
        "max_words": None,
    }
    with tempfile.TemporaryDirectory() as folder:
        graph = write_transform_graph(f"{folder}/graph", settings, EXAMPLES)
        if kind == "vocabulary":
            with open(graph.vocabulary_file_by_name(contract.ITEM_VOCABULARY), "w") as file:
                file.writelines(f"item_{number:07}\n" for number in range(items))
        # Users and words: the two or one of `EXAMPLES`.
        rows = items + contract.FIRST_KNOWN_ID
        shape = LcrSerConfig(num_users=4, num_items=rows, num_words=3, dim=dim, retrieval=True)
        servable = Servable(LcrSer(shape), graph)
        save(servable, directory, servable.signatures())


def _load(directory: str) -> dict[str, Any]:
    request = {
        contract.USER: tf.constant(["user_0"]),
        contract.REC_ITEMS: tf.constant([["item_0000000", "item_0000007"]]),
        contract.SEARCH_WORDS: tf.constant([[["word"]]]),
        contract.SEARCH_ITEMS: tf.constant([[["item_0000001"]]]),
        contract.CANDIDATES: tf.constant([[f"item_{number:07}" for number in range(100)]]),
    }
    before = _peak()
    start = time.perf_counter()
    loaded = tf.saved_model.load(directory)
    seconds = [time.perf_counter() - start]
    for _ in range(2):
        start = time.perf_counter()
        scores = loaded.signatures[contract.SIGNATURE_RANK](**request)["scores"].numpy()
        seconds.append(time.perf_counter() - start)
    if not np.isfinite(scores).all() or len(np.unique(scores)) < scores.size // 2:
        raise ValueError(f"`scores` should be finite and differ between known items. Received: {scores}.")
    return {
        "assets_mb": _megabytes(f"{directory}/assets"),
        "load_s": seconds[0],
        "first_rank_s": seconds[1],
        "second_rank_ms": 1e3 * seconds[2],
        "peak_rss_mb": _peak(),
        "rss_before_mb": before,
        **_recommend(loaded, request),
    }


def _recommend(loaded: Any, request: dict[str, tf.Tensor]) -> dict[str, float]:
    """The best ten of the whole catalogue, for one request and for as many as a server merges; 0 where it cannot."""
    if contract.SIGNATURE_RECOMMEND not in loaded.signatures:
        return {"recommend_ms": 0.0, "recommend_24_ms": 0.0, "peak_rss_with_it_mb": _peak()}
    milliseconds = []
    for rows in (1, contract.MAX_MERGED_ROWS):
        history = {name: tf.repeat(value, rows, 0) for name, value in request.items() if name != contract.CANDIDATES}
        asked = {contract.K: tf.fill([rows], 10), contract.LEAVE_OUT_CLICKED: tf.fill([rows], True)}
        for _ in range(3):
            start = time.perf_counter()
            loaded.signatures[contract.SIGNATURE_RECOMMEND](**history, **asked)["scores"].numpy()
            milliseconds.append(1e3 * (time.perf_counter() - start))
    return {
        "recommend_ms": min(milliseconds[1:3]),
        "recommend_24_ms": min(milliseconds[4:]),
        "peak_rss_with_it_mb": _peak(),
    }


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEGABYTE


def _megabytes(directory: str) -> float:
    return sum(path.stat().st_size for path in Path(directory).rglob("*") if path.is_file()) / MEGABYTE


if __name__ == "__main__":
    main()
