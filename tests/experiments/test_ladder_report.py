"""The tables of the ladder against numbers worked out by hand."""

from experiments.ladder_report import report

ORDER = [
    "Base",
    "+LCR",
    "+TRA",
    "+TCL",
    "+RL",
    "control",
    "control, GRPO's rate",
    "control, GRPO's rate and candidates",
    "K = 0",
    "K = 0, no searches",
]


def row(rung, seed, value):
    return {"rung": rung, "seed": seed, **dict.fromkeys(("HR@1", "HR@5", "HR@10", "NDCG@5", "NDCG@10"), value)}


def test_means_deviations_and_paired_tests():
    rows = [row("Base", seed, value) for seed, value in ((1, 0.1), (2, 0.2), (3, 0.3))]
    rows += [row("+LCR", seed, value) for seed, value in ((2, 0.21), (3, 0.33), (4, 0.9))]
    lines = report(rows, ORDER).splitlines()
    assert "| Base | 3 | 0.2000 ± 0.1000 |" in lines[2]
    assert "| +LCR | 3 | 0.4800 ± 0.3686 |" in lines[3]
    # Seeds 2 and 3 alone are in both: differences .01 and .03, t = .02 / (.0141 / sqrt(2)) = 2; with one degree of
    # freedom p = 1 - 2 atan(2) / pi.
    assert lines[-1] == "| +LCR against Base | 2 | +0.0200 | 2.00 | 0.295 |"
    assert len(lines) == 8


def test_a_single_seed_has_neither_deviation_nor_test():
    lines = report([row("Base", 1, 0.1), row("+LCR", 1, 0.2)], ORDER).splitlines()
    assert "| Base | 1 | 0.1000 | 0.1000 |" in lines[2]
    assert lines[-1].startswith("|---")


def test_a_control_that_kept_its_start_has_no_test():
    rows = [row(rung, seed, 0.1 * seed) for rung in ("+TCL", "control") for seed in (1, 2)]
    assert report(rows, ORDER).splitlines()[-1] == "| control against +TCL | 2 | +0.0000 | | |"
