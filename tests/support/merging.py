"""How TensorFlow Serving merges the calls of several clients, and what a client that knows it sends.

`--enable_batching` with `pad_variable_length_inputs`: every tensor is padded on the right, in each dimension but the
first, with its own first element, the rows of all calls are concatenated, and the outputs are cut apart by rows.
"""

import numpy as np

from model.contract import CANDIDATES, REC_ITEMS, REC_TIMES, SEARCH_ITEMS, SEARCH_TIMES, SEARCH_WORDS


def merge(calls):
    """One call of many: name -> array of each."""
    merged = {}
    for name in calls[0]:
        tensors = [call[name] for call in calls]
        widths = np.max([tensor.shape[1:] for tensor in tensors], axis=0, initial=0).astype(int)
        padded = [
            np.pad(
                tensor,
                [(0, 0), *((0, width - size) for width, size in zip(widths, tensor.shape[1:], strict=True))],
                constant_values=tensor.flat[0],
            )
            for tensor in tensors
        ]
        merged[name] = np.concatenate(padded)
    return merged


def split(outputs, rows):
    """The outputs of each call, from those of all: each gets its rows, at the width of the widest."""
    ends = np.cumsum(rows)
    return [
        {name: values[end - n : end] for name, values in outputs.items()} for n, end in zip(rows, ends, strict=True)
    ]


def led(call):
    """The same call with an empty first element in every tensor that may be padded: an empty column, or search."""
    front = {name: 1 for name in (REC_ITEMS, REC_TIMES, SEARCH_WORDS, SEARCH_ITEMS, SEARCH_TIMES, CANDIDATES)}
    return {
        name: np.pad(
            values,
            [(0, 0), (front[name], 0), *[(0, 0)] * (values.ndim - 2)],
            constant_values=b"" if values.dtype == object else 0,
        )
        if name in front
        else values
        for name, values in call.items()
    }
