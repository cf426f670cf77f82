"""Calls merged as TensorFlow Serving merges them: each client gets its own answer, whoever the others are."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from components.servable_check.requests import rank_inputs
from components.servable_check.session import SessionModel
from model import contract
from model.contract import CANDIDATES, REC_ITEMS, SEARCH_ITEMS, SEARCH_WORDS, USER
from tests.support.checkable_servable import example
from tests.support.merging import led, merge, split
from tests.support.small_servable import CATALOGUE

pytestmark = pytest.mark.slow

SIGNATURES = ("rank", "encode", "recommend", "explain", "serving_default")
ids = st.sampled_from(["a", "b", "c", "d", "never seen", "é"])
searches = st.lists(
    st.tuples(st.lists(ids, max_size=4), st.lists(ids, max_size=3)).filter(lambda search: search[0] or search[1]),
    max_size=4,
)
rows = st.builds(example, ids, st.lists(ids, max_size=6), searches, st.lists(ids, min_size=1, max_size=7))
clients = st.lists(st.lists(rows, min_size=1, max_size=3), min_size=2, max_size=5)


@pytest.fixture(scope="module")
def signatures(exported_small):
    with SessionModel(exported_small[1]) as model:
        yield model.signatures


def asked(signature, records, signatures):
    """What a client of ours sends to a signature, and the columns of the answer that are its own."""
    plain = rank_inputs(records)
    call = led(plain)
    history = {name: call[name] for name in (USER, REC_ITEMS, SEARCH_WORDS, SEARCH_ITEMS)}
    count = len(records)
    wide = {name: slice(1, 1 + plain[name].shape[1]) for name in (CANDIDATES, REC_ITEMS, SEARCH_WORDS)}
    if signature == "rank":
        return {**history, CANDIDATES: call[CANDIDATES]}, {"scores": wide[CANDIDATES], "ranks": wide[CANDIDATES]}
    if signature == "encode":
        return history, {}
    if signature == "score":
        state = signatures["encode"](**history)
        return {**state, CANDIDATES: call[CANDIDATES]}, {"scores": wide[CANDIDATES], "ranks": wide[CANDIDATES]}
    if signature == "recommend":
        k = 1 + len(records[0]) % 4
        more = {"k": np.full(count, k, np.int32), "leave_out_clicked": np.full(count, k % 2 == 0)}
        return {**history, **more}, {"items": slice(k), "scores": slice(k)}
    if signature == "explain":
        columns = {"rec_weights": wide[REC_ITEMS], "search_weights": wide[SEARCH_WORDS]}
        return {**history, "item": plain[CANDIDATES][:, 0]}, columns
    return {"examples": np.array(records, object)}, {"scores": slice(plain[CANDIDATES].shape[1])}


def own(answer, columns):
    """The part of an answer that is about what the client asked."""
    return {name: values[:, columns[name]] if name in columns else values for name, values in answer.items()}


def nearly_tied(scores):
    """Candidates as good as another one but for rounding, which depends on the rows of a call and on the processor."""
    near = np.abs(scores[..., :, None] - scores[..., None, :]) < 2e-5
    return (near & ~np.eye(scores.shape[-1], dtype=bool)).any(-1)


def check_equal(found, right):
    assert found.keys() == right.keys()
    for name, values in right.items():
        if values.dtype == object or values.dtype.kind in "ib":
            padding = found.get("scores", np.zeros(1))[..., : values.shape[-1]] == np.finfo(np.float32).min
            # The rank of padding is the last one, whatever the width.
            free = padding | nearly_tied(right["scores"]) if name == "ranks" else np.zeros(values.shape, bool)
            assert not ((found[name] != values) & ~free).any(), (name, found[name], values)
        else:
            np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("signature", [*SIGNATURES, "score"])
@settings(max_examples=25)
@given(drawn=clients)
def test_each_client_gets_the_answer_that_it_gets_alone(signatures, signature, drawn):
    calls, columns = zip(*(asked(signature, records, signatures) for records in drawn), strict=True)
    counts = [len(records) for records in drawn]
    answers = split(signatures[signature](**merge(calls)), counts)
    for call, mine, answer in zip(calls, columns, answers, strict=True):
        check_equal(own(answer, mine), own(signatures[signature](**call), mine))


def test_the_leading_padding_changes_no_answer(signatures):
    """Nor is a client wrong that sends none to a server that merges nothing."""
    records = [example("a", ["a", "b"], [(["red"], ["c"])], ["a", "d", "b"]), example("b", [], [], ["c"])]
    plain = rank_inputs(records)
    with_padding, without = signatures["rank"](**led(plain)), signatures["rank"](**plain)
    np.testing.assert_allclose(with_padding["scores"][:, 1:], without["scores"], rtol=1e-6)
    np.testing.assert_array_equal(with_padding["ranks"][0, 1:], without["ranks"][0])


def poison(kind):
    """A call that is nobody's request."""
    call = led(rank_inputs([example("a", ["a"], [(["red"], ["c"])], ["a", "b"])]))
    many = np.full((1, contract.MAX_EVENTS + 50), b"a", object)
    return {
        "too many clicks": {**call, REC_ITEMS: many},
        "too many candidates": {**call, CANDIDATES: np.full((1, contract.MAX_CANDIDATES + 50), b"a", object)},
        "too many words": {**call, SEARCH_WORDS: np.full((1, 2, contract.MAX_SEARCH_STRINGS + 50), b"red", object)},
        "more searches of items than of words": {**call, SEARCH_ITEMS: np.full((1, 9, 1), b"a", object)},
        "more searches of words than of items": {**call, SEARCH_WORDS: np.full((1, 9, 1), b"red", object)},
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "too many clicks",
        "too many candidates",
        "too many words",
        "more searches of items than of words",
        "more searches of words than of items",
    ],
)
def test_a_call_that_is_no_request_harms_its_client_alone(signatures, kind):
    good = [led(rank_inputs([example("a", ["a", "b", "c"], [(["red"], ["c"])], ["a", "d", "b"])]))]
    good.append(led(rank_inputs([example("b", ["d"], [], ["c", "a"]), example("c", [], [(["tall"], [])], ["a"])])))
    answers = split(signatures["rank"](**merge([good[0], poison(kind), good[1]])), [1, 1, 2])
    for call, answer in zip(good, (answers[0], answers[2]), strict=True):
        width = call[CANDIDATES].shape[1]
        alone = signatures["rank"](**call)
        np.testing.assert_allclose(answer["scores"][:, :width], alone["scores"], rtol=1e-5)
        real = call[CANDIDATES] != b""
        np.testing.assert_array_equal(answer["ranks"][:, :width][real], alone["ranks"][real])
    scores = answers[1]["scores"]
    assert np.isnan(scores).any(1).all()
    assert not ((answers[1]["ranks"] == 1) & np.isnan(scores)).any()


def test_a_state_of_another_model_is_scored_as_nobodys(signatures):
    records = [example("a", ["a", "b"], [], ["a", "d", "b"]), example("b", ["c"], [], ["c", "a", "b"])]
    call, _ = asked("score", records, signatures)
    right = signatures["score"](**call)
    call[contract.FINGERPRINT] = call[contract.FINGERPRINT] + np.array([0, 1])
    found = signatures["score"](**call)
    np.testing.assert_array_equal(found["scores"][0], right["scores"][0])
    assert np.isnan(found["scores"][1, 1:]).all()
    assert (found["ranks"][1] == 4).all()


def test_a_narrower_state_harms_its_client_alone(signatures):
    """It is filled up. A wider one makes all others wider, which Python's session does not feed."""
    records = [example("a", ["a", "b"], [], ["a", "d", "b"])]
    call, _ = asked("score", records, signatures)
    other = {**call, "rec_states": np.ones((1, 2, 4), np.float32)}
    answers = split(signatures["score"](**merge([call, other])), [1, 1])
    np.testing.assert_allclose(answers[0]["scores"], signatures["score"](**call)["scores"], rtol=1e-6)


def test_recommendations_are_the_best_of_all_items(signatures):
    """The catalogue is smaller than the first stage: what is ranked is all of it."""
    records = [example("a", ["a", "b"], [(["red"], ["c"])], ["a"]), example("b", [], [], ["c"])]
    call, _ = asked("recommend", records, signatures)
    history = {name: call[name] for name in (USER, REC_ITEMS, SEARCH_WORDS, SEARCH_ITEMS)}
    items = np.array([[item.encode() for item in CATALOGUE]] * 2, object)
    scores = signatures["rank"](**history, candidates=items)["scores"]
    for leave_out, clicked in ((False, [set(), set()]), (True, [{b"a", b"b", b"c"}, set()])):
        more = {"k": np.array([100, 2], np.int32), "leave_out_clicked": np.full(2, leave_out)}
        found = signatures["recommend"](**history, **more)
        for row, k in enumerate((100, 2)):
            order = [column for column in np.argsort(-scores[row]) if items[row, column] not in clicked[row]][:k]
            right = [*items[row, order], *[b""] * (100 - len(order))]
            assert found["items"][row].tolist() == right
            np.testing.assert_allclose(found["scores"][row, : len(order)], scores[row, order], rtol=1e-5)
            assert (found["scores"][row, len(order) :] == np.finfo(np.float32).min).all()


@pytest.mark.parametrize("k", [0, -1, contract.MAX_RECOMMENDATIONS + 1, 2**31 - 1])
def test_a_k_out_of_range_is_answered_alone(signatures, k):
    call, _ = asked("recommend", [example("a", ["a"], [], ["a"]), example("b", [], [], ["c"])], signatures)
    found = signatures["recommend"](**{**call, "k": np.array([2, k], np.int32)})
    assert [item != b"" for item in found["items"][0, :2]] == [True, True]
    assert (found["items"][1] == b"").all()
    assert np.isnan(found["scores"][1]).all()


def test_a_call_to_recommend_keeps_the_limit_of_pairs(signatures):
    """Each of its rows has candidates of its own making."""
    call, _ = asked("recommend", [example("a", ["a"], [], ["a"])], signatures)
    rows = 524  # 2^18 pairs // 500 candidates
    many = {name: np.repeat(values, rows + 1, 0) for name, values in call.items()}
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"`user` should hold from 1 to 524 rows. Received:.*525"):
        signatures["recommend"](**many)
    found = signatures["recommend"](**{name: values[:rows] for name, values in many.items()})
    assert (found["items"] == signatures["recommend"](**call)["items"]).all()
