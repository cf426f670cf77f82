"""Hands the weights and batches of a Keras model to the NumPy equations of `reference`."""

import numpy as np

from model.contract import CANDIDATES, REC_ITEMS, SEARCH_ITEMS, SEARCH_WORDS, USER


def settings_of(config):
    """The settings that `reference.scoring` takes."""
    return {
        "num_steps": config.reasoning_steps,
        "heads": config.num_heads,
        "post_norm": config.post_norm,
        "literal_eq5": config.literal_eq5,
        "aggregate": config.aggregation,
    }


def weights_of(model):
    """The weights of a model as `reference` names them."""
    return reference_weights({name: variable.numpy() for name, variable in variables_of(model).items()})


def reference_weights(values):
    """Arrays by the names of `variables_of`, as float64 by the names of `reference`."""
    weights = {}
    for name, value in values.items():
        array = np.asarray(value, np.float64)
        if "/key_value/" in name:
            for part, half in zip(("key", "value"), np.split(array, 2, axis=-1), strict=True):
                weights[name.replace("key_value", part)] = half
        else:
            weights[name] = array
    return weights


def variables_of(model):
    """All trainable variables, by the names of `reference`; `key_value` is its `key` and its `value` side by side."""
    found = {layer.name: layer.table for layer in model.tables}
    for side in ("search", "rec"):
        found[f"{side}/positions"] = getattr(model, f"{side}_positions").positions
        encoder = getattr(model.reasoning, f"{side}_encoder")
        parts = {"msa": encoder.attention, "ffn": encoder}
        if model.config.reasoning_steps:
            parts["mca"] = getattr(model.reasoning, f"{side}_cross")
            found[f"{side}/empty"] = getattr(model.reasoning, f"{side}_empty")
            found[f"{side}/steps"] = getattr(model.reasoning, f"{side}_steps")
        for part, layer in parts.items():
            found.update(_parts_of(f"{side}/{part}", layer))
        if model.config.aggregation == "target":
            found[f"{side}/att"] = getattr(model, f"{side}_attention").kernel
    for index, layer in enumerate((model.head, *model.head.later)):
        found[f"mlp/{index}/kernel"], found[f"mlp/{index}/bias"] = layer.kernel, layer.bias
    return found


def _parts_of(name, layer):
    found = {}
    for part in ("query", "key_value", "hidden", "out"):
        if hasattr(layer, part):
            found[f"{name}/{part}/kernel"], found[f"{name}/{part}/bias"] = (
                getattr(layer, part).kernel,
                getattr(layer, part).bias,
            )
    if layer.norm is not None:
        found[f"{name}/norm/scale"], found[f"{name}/norm/shift"] = layer.norm.gamma, layer.norm.beta
    return found


def requests_of(batch):
    """The rows of a model batch (arrays) as requests without padding."""
    requests = []
    for row in range(len(batch[USER])):
        words, clicks = _without_padding(batch[SEARCH_WORDS][row]), _without_padding(batch[SEARCH_ITEMS][row])
        searches = list(zip(words, clicks, strict=True))
        while searches and searches[0] == ([], []):
            searches.pop(0)
        requests.append(
            {
                "user": batch[USER][row],
                "clicks": [item for item in batch[REC_ITEMS][row] if item],
                "searches": searches,
                "candidates": batch[CANDIDATES][row],
            }
        )
    return requests


def _without_padding(ids):
    return [[int(one) for one in search if one] for search in ids]
