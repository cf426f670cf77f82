"""Tables of experiments, with figures worked out by hand."""

import re

import numpy as np
import pytest

from experiments.tables import METRICS, Cell, Table, as_html, compare, full_table, latex, markdown, table2


def row(system, seed, on_eval, on_test, **more):
    return {
        "system": system, "seed": seed, "eval": {"NDCG@5": on_eval}, "test": dict.fromkeys(METRICS, on_test),
        "capped": False, **more,
    }  # fmt: skip


ROWS = [
    row("A", 1, 0.5, 0.4),
    row("A", 2, 0.7, 0.6),
    row("B", 1, 0.8, 0.7),
    row("B", 2, 0.8, 0.9),
    row("C", 1, 0.1, 0.1),
    row("C", 2, 0.1, 0.1, capped=True),
]


def ranks_of(rank):
    return np.random.default_rng(rank).integers(rank, rank + 3, (2, 60))


def test_best_and_second_are_marked_and_the_star_stands_at_the_best_alone():
    ranks = {"A": ranks_of(8), "B": ranks_of(1), "C": ranks_of(20)}
    compared = compare(ROWS, ranks, np.arange(60))
    assert compared.order == ["B", "A", "C"]
    table = table2(ROWS, ["A", "B", "C"], compared, "")
    cells = {name: cells[3] for name, cells in table.rows}
    # Deviations with ddof 1: .2 / sqrt 2.
    assert cells["A"] == Cell("0.5000 ± 0.1414", 2, False)
    assert cells["B"] == Cell("0.8000 ± 0.1414", 1, True)
    assert cells["C"] == Cell("0.1000 ± 0.0000", 0, False)
    assert any(note.startswith("C: a run was stopped at its cap") for note in table.notes)


def test_a_best_on_test_that_is_not_the_best_on_eval_gets_no_star():
    ranks = {"A": ranks_of(1), "B": ranks_of(8)}
    rows = [row("A", s, 0.1, 0.9) for s in (1, 2)] + [row("B", s, 0.5, 0.2) for s in (1, 2)]
    table = table2(rows, ["A", "B"], compare(rows, ranks, np.arange(60)), "")
    assert not [cell for _, cells in table.rows for cell in cells if cell.star]


def test_equal_systems_get_no_star():
    ranks = {"A": ranks_of(3), "B": ranks_of(3)}
    rows = [row(name, s, 0.5 + 0.1 * (name == "A"), 0.5) for name in "AB" for s in (1, 2)]
    table = table2(rows, ["A", "B"], compare(rows, ranks, np.arange(60)), "")
    assert not [cell for _, cells in table.rows for cell in cells if cell.star]


def test_equal_systems_share_their_place():
    rows = [row(name, 1, 0.1, value) for name, value in (("A", 0.5), ("B", 0.4), ("C", 0.5), ("D", 0.3), ("E", 0.4))]
    table = table2(rows, list("ABCDE"), None, "")
    assert [cells[3].place for _, cells in table.rows] == [1, 2, 1, 0, 2]


def test_the_order_against_the_whole_catalogue_is_told():
    def three(name, sampled, full):
        return row(name, 1, 0.1, sampled, full={"NDCG@10": full}, full_with_past={"NDCG@10": full / 2})

    rows = [three("A", 0.5, 0.1), three("B", 0.4, 0.2), three("C", 0.3, 0.05)]
    table = full_table(rows, ["A", "B", "C"])
    assert [cell.text for cell in table.rows[1][1]] == ["0.4000", "0.2000", "0.1000"]
    assert table.notes == ["Another place among all items than among candidates: A, B."]
    assert full_table([row("A", 1, 0.1, 0.1)], ["A"]) is None


TABLE = Table(
    "A & B_1, 50 %", ("HR@1", "NDCG@5"), [("ReaRec (ERL)", [Cell("0.1 ± 0.2", 1, True), Cell("0.3", 2)])], ["<note>"]
)


def test_markdown():
    assert "| ReaRec (ERL) | **0.1 ± 0.2**\\* | <u>0.3</u> |" in markdown(TABLE)
    assert markdown(TABLE).splitlines()[3] == "|---|---|---|"


def test_latex():
    text = latex(TABLE)
    assert r"ReaRec (ERL) & \textbf{0.1 $\pm$ 0.2}* & \underline{0.3} \\" in text
    assert r"\caption{A \& B\_1, 50 \%}" in text
    assert text.count(r"\begin") == text.count(r"\end") == 2


def test_html_needs_no_network_and_escapes():
    page = as_html([TABLE], "A & B")
    assert "<td><strong>0.1 ± 0.2*</strong></td><td><u>0.3</u></td>" in page
    assert "&lt;note&gt;" in page and "<note>" not in page
    assert not re.search(r"https?://|src=", page)


@pytest.mark.parametrize("metric", METRICS)
def test_differences_are_taken_on_test(metric):
    ranks = {"A": np.full((2, 40), 9), "B": np.full((2, 40), 1)}
    rows = [row(name, s, 0.5 + 0.1 * (name == "B"), 0.5) for name in "AB" for s in (1, 2)]
    found = compare(rows, ranks, np.arange(40)).differences[metric]["A"]
    at_nine = {"HR@10": 1.0, "NDCG@10": 1 / np.log2(10)}.get(metric, 0.0)
    assert found.value == pytest.approx(1 - at_nine)
