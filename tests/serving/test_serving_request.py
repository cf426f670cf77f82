import numpy as np
import pytest

from serving.client.request import RankRequest, Search, request_inputs


def test_histories_are_padded_left_and_the_inside_of_a_search_right():
    inputs = request_inputs(
        [
            RankRequest("u1", ["c1", "c2"], ["i1", "i2"], [Search(["w1"], ["i3", "i4"]), Search(["w2", "w3"])]),
            RankRequest("u2", ["c3"], ["i5"], [Search(["ü"])]),
        ]
    )
    assert {name: value.tolist() for name, value in inputs.items()} == {
        "user": [b"u1", b"u2"],
        "rec_items": [[b"", b"i1", b"i2"], [b"", b"", b"i5"]],
        "search_words": [
            [[b"", b""], [b"w1", b""], [b"w2", b"w3"]],
            [[b"", b""], [b"", b""], ["ü".encode(), b""]],
        ],
        "search_items": [
            [[b"", b""], [b"i3", b"i4"], [b"", b""]],
            [[b"", b""], [b"", b""], [b"", b""]],
        ],
        "candidates": [[b"", b"c1", b"c2"], [b"", b"c3", b""]],
    }


def test_a_user_without_any_history_still_gives_every_dimension():
    inputs = request_inputs([RankRequest("u", ["c"])])
    assert {name: value.shape for name, value in inputs.items()} == {
        "user": (1,), "rec_items": (1, 1), "search_words": (1, 1, 1), "search_items": (1, 1, 1), "candidates": (1, 2),
        "rec_times": (1, 1), "search_times": (1, 1),
    }  # fmt: skip
    assert np.all(inputs["search_words"] == b"")


def test_times_stand_with_their_events():
    first, second = 1_764_036_000_000, 1_764_036_000_001
    one = RankRequest("u", ["c"], ["i", "j"], [Search(["w"], time=second)], rec_times=[first, second])
    two = RankRequest("u", ["c"], ["k"], [Search(["w"], time=7), Search(["x"], time=first)], rec_times=[second])
    inputs = request_inputs([one, two])
    assert inputs["rec_times"].tolist() == [[0, first, second], [0, 0, second]]
    assert inputs["search_times"].tolist() == [[0, 0, second], [0, 7, first]]
    assert inputs["rec_times"].dtype == inputs["search_times"].dtype == np.int64


def test_times_of_some_are_times_of_none():
    with_times = RankRequest("u", ["c"], ["i"], rec_times=[5])
    for without in (RankRequest("u", ["c"], ["i"]), RankRequest("u", ["c"], searches=[Search(["w"])])):
        assert not request_inputs([with_times, without]).keys() & {"rec_times", "search_times"}


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: RankRequest("u", []), "candidates: expected at least one"),
        (lambda: RankRequest("", ["c"]), "user: expected strings that are not blank, got ''"),
        (lambda: RankRequest("u", ["c", ""]), "candidates: expected strings that are not blank"),
        (lambda: RankRequest("u", [7]), "candidates: expected strings that are not blank, got 7"),
        (lambda: RankRequest("u", ["c"], "i1"), "rec_items: expected a list of strings, got the string 'i1'"),
        (lambda: Search(["w", None]), "a search's words"),
        (lambda: RankRequest("u", ["c"], ["i"], rec_times=[1, 2]), "rec_times: expected one for each of rec_items, 1"),
        (lambda: RankRequest(" \t\n\v\f\r", ["c"]), r"user: expected strings that are not blank, got ' \\t"),
        (lambda: RankRequest("u", ["c", " "]), "candidates: expected strings that are not blank, got ' '"),
        (lambda: RankRequest("u", ["c"], ["\n"]), "rec_items: expected strings that are not blank"),
        (lambda: Search(["w"], ["\r\n"]), "a search's items: expected strings that are not blank"),
        (lambda: RankRequest("u", ["a\ud800"]), "candidates: expected strings that UTF-8 can write"),
        (lambda: RankRequest("u", ["c"] * 10_001), "`candidates` .* 10000 candidates a request. Received: 10001"),
        (lambda: RankRequest("u", ["c"], ["i"] * 1_001), "`rec_items` .* 1000 clicks a request. Received: 1001"),
        (lambda: RankRequest("u", ["c"], searches=[Search(["w"])] * 1_001), "`search_words` .* 1000 searches .* 1001"),
        (lambda: RankRequest("u", ["c"], searches=[Search(["w"] * 251)]), "`search_words` .* 250 words .* 251"),
        (lambda: RankRequest("u", ["c"], searches=[Search([], ["i"] * 251)]), "`search_items` .* 250 items .* 251"),
    ],
)
def test_what_cannot_be_asked_is_named(build, says):
    with pytest.raises(ValueError, match=says):
        build()


LONGEST = RankRequest("u", ["c"] * 10_000, ["i"] * 1_000, [Search(["w"] * 250, ["i"] * 250)] * 1_000)


def test_a_request_may_be_as_large_as_the_limits_and_other_blanks_are_text():
    assert request_inputs([LONGEST])["search_words"].shape == (1, 1_001, 250)
    assert request_inputs([RankRequest("u", ["\u3000", "\xa0", "a b"])])["candidates"].tolist() == [
        [b"", "\u3000".encode(), "\xa0".encode(), b"a b"]
    ]


@pytest.mark.parametrize(
    ("requests", "says"),
    [
        ([RankRequest("u", ["c"])] * 1_025, "`user` should hold at most 1024 requests. Received: 1025"),
        (
            [RankRequest("u", ["c"])] * 26 + [RankRequest("u", ["c"] * 10_000)],
            r"`candidates` should hold at most 262144 cells.*Received: \[27, 10000\]",
        ),
        ([LONGEST] * 5, r"`search_words` should hold at most 1048576 strings.*\[5, 1000, 250\]"),
    ],
)
def test_what_is_too_much_together_is_named_before_anything_is_built(monkeypatch, requests, says):
    monkeypatch.setattr("serving.client.request._encoded", None)
    with pytest.raises(ValueError, match=says):
        request_inputs(requests)
