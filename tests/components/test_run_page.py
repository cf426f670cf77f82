"""The Markdown page of a run: the verdict and its reasons, the numbers, what a part says that is not there."""

import pytest

from components.report.page import page
from tests.support.run_figures import EMPTY, METRICS, NASTY, SLICES, run_figures, stopped, without_baseline


def table(text, first_cell):
    """Rows of the table whose head begins with a cell, be it after an empty one: cells by first cell."""
    lines = text.splitlines()
    head = next(at for at, line in enumerate(lines) if line.lstrip("| ").startswith(f"{first_cell} |"))
    rows = {}
    for line in lines[head + 2 :]:
        if not line.startswith("|"):
            return rows
        cells = [cell.strip() for cell in line.replace("\\|", "\0").split("|")[1:-1]]
        rows[cells[0]] = cells[1:]
    return rows


def mean(estimate):
    return f"{estimate['value']:.4f} ({estimate['low']:.4f}–{estimate['high']:.4f})"


def difference(estimate):
    low, high, value = (f"{estimate[key]:+.4f}".replace("-", "−") for key in ("low", "high", "value"))
    return f"{value} ({low} to {high}), p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{estimate['p_value']:.3f}"


def test_a_push_comes_first_and_has_no_reasons_against_it():
    text = page.render(run_figures())
    assert text.startswith("# Run made_up\n\n**Pushed** as version `7`: `serving/made_up/7`\n")
    assert "Nothing was pushed" not in text and "stopped the push" not in text


def test_a_push_that_was_stopped_names_each_gate_and_its_reasons():
    text = page.render(stopped())
    assert text.startswith(
        "# Run made_up\n\n**Nothing was pushed.**\n\n"
        "- DataCheck: search_words drifted: L-infinity 0.42 > 0.3\n"
        "- Evaluator: `NDCG@5` 0.021 &lt; 0.03\n"
    )
    gates = table(text, "gate")
    assert {name: row[0] for name, row in gates.items()} == {
        "DataCheck": "**stopped the push**",
        "Evaluator": "**stopped the push**",
        "RankingCheck": "passed",
        "ServableCheck": "passed",
        "InfraValidator": "passed",
    }
    assert gates["DataCheck"][1].endswith("<br>skew was not checked: no requests")


def test_the_pushers_reason_does_not_repeat_the_gates():
    assert [reason.split(":")[0] for reason in page.why_not_pushed(stopped())] == ["DataCheck", "Evaluator"]


def test_a_model_that_is_pushed_already_is_said_to_be():
    unchanged = "unchanged: version 7 is this model already"
    figures = run_figures(push_reason=unchanged)
    assert page.why_not_pushed(figures) == [f"Pusher: {unchanged}"]
    assert f"- Pusher: {unchanged}\n" in page.render(figures)
    assert page.why_not_pushed(run_figures()) == []


def test_metrics_stand_in_the_order_of_a_table():
    names = ["MRR", "NDCG@20", "HR@10", "HR@2", "NDCG@5"]
    assert page.metric_names({"candidate": dict.fromkeys(names, 0.5)}) == ["HR@2", "HR@10", "NDCG@5", "NDCG@20", "MRR"]


def test_the_metric_table_holds_the_figures():
    figures = run_figures()
    models, differences = figures["evaluation"]["models"], figures["evaluation"]["differences"]
    text = page.render(figures)
    rows = table(text, "HR@1")  # the head of the table has an empty first cell
    assert rows == {
        **{
            title: [mean(models[role]["all"][metric]) for metric in METRICS]
            for title, role in (
                ("LCR-SER", "candidate"),
                ("last pushed model", "baseline"),
                ("popularity", "popularity"),
            )
        },
        **{
            f"LCR-SER less {title}": [difference(differences[role]["all"][metric]) for metric in METRICS]
            for title, role in (("last pushed model", "baseline"), ("popularity", "popularity"))
        },
    }
    assert "2,000 requests; 1 + 99 candidates, uniform, seed 2025. Intervals and tests: 95 %, 1,000 resamples" in text
    assert "Ties count against the positive." in text


def test_the_full_catalogue_stands_beside_the_stored_candidates():
    figures = run_figures()
    full = figures["evaluation"]["full_catalogue"]
    text = page.render(figures)
    section = text[text.index("### Sampled") :]
    assert table(section, "HR@1") == {
        "stored candidates": [mean(full["sampled"][metric]) for metric in METRICS],
        "full catalogue": [mean(full["full"][metric]) for metric in METRICS],
    }
    assert "all 768 items" in section and "1,999 requests, 1,987 of them" in section
    figures["evaluation"]["full_catalogue"] = None
    assert "full catalogue" not in page.render(figures)


@pytest.mark.parametrize("has_baseline", [True, False])
def test_slices_are_compared_with_the_last_pushed_model_or_else_with_popularity(has_baseline):
    figures = run_figures() if has_baseline else without_baseline(run_figures())
    evaluation, other = figures["evaluation"], "baseline" if has_baseline else "popularity"
    text = page.render(figures)
    rows = table(text, "slice")
    assert list(rows) == list(SLICES)
    assert rows[EMPTY] == ["0", "no request", "no request", "no request"]
    for name in SLICES[:-1]:
        of_candidate = evaluation["models"]["candidate"][name]
        assert rows[name] == [
            f"{of_candidate['NDCG@5']['requests']:,}",
            mean(of_candidate["NDCG@5"]),
            mean(of_candidate["HR@5"]),
            difference(evaluation["differences"][other][name]["NDCG@5"]),
        ]
    assert ("last pushed model" in text) == has_baseline
    assert f"1 of 5 slices hold no request: {EMPTY}." in text


def test_what_the_data_check_measured_is_folded_away():
    text = page.render(run_figures())
    folded = text[text.index("<details><summary>What DataCheck measured") : text.index("## Training")]
    assert "| drift | search_words | infinity_norm | 0.0423 | 0.1 |\n" in folded
    assert "| skew | rec_items | jensen_shannon | one side is empty | 0.5 |\n" in folded


def test_rows_set_aside_and_repaired_have_their_reasons():
    [(file, cells)] = table(page.render(run_figures()), "file").items()
    assert file == "`rec\0inter.csv.gz`" and cells[:3] == ["101,615", "3", "7"]
    assert cells[3].startswith("item_id is empty: 2, first at line 50808: `''`<br>timestamp is not finite: 1, first")
    assert cells[3].endswith("<br>a list in quotes: 7")
    text = page.render(run_figures())
    assert "- 1,319 searches with more clicked items than `items_per_search`: " in text
    assert "- Times are ordinal numbers, no dates (" in text


@pytest.mark.slow
def test_warnings_about_the_log_stand_above_the_metrics_in_both_forms():
    figures = run_figures()
    assert "Warning" not in page.render(figures) + page.render_html(figures)
    figures["log"]["warnings"] = ["2 users (such as `7.0`): are their ids written alike?", NASTY]
    text = page.render(figures)
    warned = text.index(
        "\n\n- **Warning about the log:** 2 users (such as `7.0`): are their ids written alike?\n- **Warn"
    )
    assert text.index("## What ran") < warned < text.index("\n\n## Ranking of the test split")
    html = page.render_html(figures)
    verdict = html[html.index('id="verdict"') : html.index('id="ranking"')]
    assert "<li>2 users (such as <code>7.0</code>): are their ids written alike?</li>" in verdict
    assert "<script" not in html and verdict.count("alert(1)") >= 1


def test_figures_of_a_run_that_is_older_than_its_page_are_shown():
    """Rules and warnings that the run did not know yet."""
    figures = run_figures()
    del figures["log"]["warnings"], figures["log"]["rules"]["repeated_clicks"]
    for text in (page.render(figures), page.render_html(figures)):
        assert "1,319 searches with more clicked items" in text and "Warning" not in text


def test_without_reasoning_steps_there_are_no_states_and_the_page_says_why():
    figures = run_figures(states=None)
    assert "so there is nothing to measure to" in page.render(figures)
    figures["settings"]["model"]["reasoning_steps"] = 0
    text = page.render(figures)
    assert "The model takes no reasoning steps (K = 0), so there are no states to look at." in text
    assert "step 0" not in text[text.index("## What reasoning does") :]


def test_searches_used_have_shares_and_the_steps_have_the_rest():
    text = page.render(run_figures())
    assert "**User `u1`, target `i<9>`:** rank 3 of 100 candidates.\n" in text
    rows = table(text, "search, newest first")
    assert rows["`red shoes`"] == ["`i1`, `i2`", "41.2 %"]
    assert rows["no words"] == ["`i3`", "6.2 %"]
    assert rows["*reasoning steps*"] == ["", "33.8 %"]  # 1 - 0.4125 - 0.1875 - 0.0625


def test_strings_of_users_neither_break_tables_nor_become_markup():
    figures = run_figures(name=NASTY)
    figures["gates"][0]["notes"] = [NASTY]
    figures["gates"][0]["detail"]["measurements"][0]["feature"] = NASTY
    text = page.render(figures)
    assert text.splitlines()[0] == ("# Run &lt;script>alert(1)&lt;/script> \"q\" 'p' a|b `c` 中文 &amp; \\*x\\*")
    assert table(text, "gate")["DataCheck"][1].endswith("a\0b `c` 中文 &amp; \\*x\\*")
    assert all("`" in line.split("<script>")[0] for line in text.splitlines() if "<script>" in line)  # as code alone


def test_the_numbers_of_the_cost():
    text = page.render(run_figures())
    assert "| parameters | 123,457, 98,765 of them in embedding tables |\n| model on disk | 4.2 MB |\n" in text
    assert "| supervised | 2,346 rows a second |\n" in text and "| evaluation | not measured |\n" in text
    assert text.index("| SupervisedTrainer | 1 min 1 s |") < text.index("| Transform | 31.5 s |")


def test_targets_that_are_left_out_of_the_distances_are_counted():
    figures = run_figures()
    text = page.render(figures)
    assert "before reasoning. Left out: 3 requests whose target no vocabulary holds.\n\n| | | step 0 |" in text
    figures["states"]["unknown_targets"] = 0
    assert "before reasoning.\n\n| | | step 0 |" in page.render(figures)
