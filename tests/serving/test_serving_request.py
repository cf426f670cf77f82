import numpy as np
import pytest

from serving.request import RankRequest, Search, request_inputs


def test_histories_are_padded_left_and_the_inside_of_a_search_right():
    inputs = request_inputs([
        RankRequest("u1", ["c1", "c2"], ["i1", "i2"], [Search(["w1"], ["i3", "i4"]), Search(["w2", "w3"])]),
        RankRequest("u2", ["c3"], ["i5"], [Search(["ü"])]),
    ])
    assert {name: value.tolist() for name, value in inputs.items()} == {
        "user": [b"u1", b"u2"],
        "rec_items": [[b"i1", b"i2"], [b"", b"i5"]],
        "search_words": [[[b"w1", b""], [b"w2", b"w3"]], [[b"", b""], ["ü".encode(), b""]]],
        "search_items": [[[b"i3", b"i4"], [b"", b""]], [[b"", b""], [b"", b""]]],
        "candidates": [[b"c1", b"c2"], [b"c3", b""]],
    }


def test_a_user_without_any_history_still_gives_every_dimension():
    inputs = request_inputs([RankRequest("u", ["c"])])
    assert {name: value.shape for name, value in inputs.items()} == {
        "user": (1,), "rec_items": (1, 1), "search_words": (1, 1, 1), "search_items": (1, 1, 1), "candidates": (1, 1),
    }  # fmt: skip
    assert np.all(inputs["search_words"] == b"")


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: RankRequest("u", []), "candidates: expected at least one"),
        (lambda: RankRequest("", ["c"]), "user: expected non-empty strings, got ''"),
        (lambda: RankRequest("u", ["c", ""]), "candidates: expected non-empty strings"),
        (lambda: RankRequest("u", [7]), "candidates: expected non-empty strings, got 7"),
        (lambda: RankRequest("u", ["c"], "i1"), "rec_items: expected a list of strings, got the string 'i1'"),
        (lambda: Search(["w", None]), "a search's words"),
    ],
)
def test_what_cannot_be_asked_is_named(build, says):
    with pytest.raises(ValueError, match=says):
        build()
