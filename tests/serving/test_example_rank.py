"""The example of a client ranks as the model does."""

import runpy
import sys
from pathlib import Path

from tests.support.toy_servable import expected_score

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "rank.py"


def test_it_prints_its_candidates_in_the_order_of_the_model(still_server, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), still_server.address, "lcr_ser"])
    request = runpy.run_path(str(EXAMPLE))["request"]
    scores = {item: expected_score(1, request, item) for item in request.candidates}
    best_first = sorted(scores, key=scores.__getitem__, reverse=True)
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert printed == [[f"{rank}.", item, f"{scores[item]:.4f}"] for rank, item in enumerate(best_first, 1)]
