"""What a request says is the same after TF Serving merged it with others."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.client.request import RankRequest, Search, request_inputs, rows_of

IDS = st.text("abü", min_size=1, max_size=2)
TIMES = st.integers(1, 2**45)


@st.composite
def requests(draw):
    timed = draw(st.booleans())
    events = draw(st.lists(st.tuples(IDS, TIMES), max_size=4))
    texts = st.tuples(st.lists(IDS, max_size=3), st.lists(IDS, max_size=3)).filter(any)
    searches = draw(st.lists(st.tuples(texts, TIMES), max_size=3))
    return RankRequest(
        draw(IDS),
        draw(st.lists(IDS, min_size=1, max_size=4)),
        [item for item, _ in events],
        [Search(words, items, time if timed else None) for (words, items), time in searches],
        [time for _, time in events] if timed else [],
    )


def _merged(tensor, more):
    """Padded on the right in each dimension but the first with the first element, as AddPadding of TF Serving does."""
    padding = [(0, 0), *((0, by) for by in more[: tensor.ndim - 1])]
    return np.pad(tensor, padding, constant_values=tensor.flat[0]) if tensor.ndim > 1 else tensor


def _encoded(values):
    return [value.encode() for value in values]


@given(st.lists(requests(), min_size=1, max_size=3), st.tuples(st.integers(0, 3), st.integers(0, 3)))
@settings(max_examples=100)
def test_the_padding_of_a_merged_batch_changes_nothing(asked, more):
    rows = rows_of({name: _merged(tensor, more) for name, tensor in request_inputs(asked).items()})
    timed = all(request.history.has_times for request in asked)
    for request, row in zip(asked, rows, strict=True):
        expected = {
            "user": request.user.encode(),
            "candidates": _encoded(request.candidates),
            "rec_items": _encoded(request.rec_items),
            "search_words": [_encoded(search.words) for search in request.searches],
            "search_items": [_encoded(search.items) for search in request.searches],
        }
        if timed:
            expected["rec_times"] = list(request.rec_times)
            expected["search_times"] = [search.time for search in request.searches]
        assert row == expected


@given(st.lists(requests(), min_size=1, max_size=3))
def test_what_tf_serving_pads_with_is_padding(asked):
    for name, tensor in request_inputs(asked).items():
        if tensor.ndim > 1:
            assert tensor.flat[0] in (b"", 0), name
