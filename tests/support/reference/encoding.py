"""Transformer layer of one history, Eq. (1); the reasoning steps use its parts again."""

import math

import numpy as np


def dense(weights, name, vector):
    """x W + b."""
    return vector @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]


def softmax(scores):
    """Shares in proportion to e^score, as a list."""
    highest = max(scores)
    powers = [math.exp(score - highest) for score in scores]
    total = sum(powers)
    return [power / total for power in powers]


def layer_norm(weights, name, vector):
    """Zero mean and unit variance (plus 1e-5, as the authors' framework has it), then scale and shift."""
    mean = vector.sum() / len(vector)
    variance = ((vector - mean) ** 2).sum() / len(vector)
    return (vector - mean) / math.sqrt(variance + 1e-5) * weights[f"{name}/scale"] + weights[f"{name}/shift"]


def multi_head_attention(weights, name, query, context, heads):
    """MSA or MCA of one query vector over the vectors of `context`, as in Vaswani et al. (the paper's [30])."""
    queries = dense(weights, f"{name}/query", query)
    keys = [dense(weights, f"{name}/key", vector) for vector in context]
    values = [dense(weights, f"{name}/value", vector) for vector in context]
    width = len(query) // heads
    joined = []
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        shares = softmax([queries[part] @ key[part] / math.sqrt(width) for key in keys])
        joined.append(sum(share * value[part] for share, value in zip(shares, values, strict=True)))
    return dense(weights, f"{name}/out", np.concatenate(joined))


def attend(weights, name, query, context, heads, post_norm):
    """MSA(Q, K, V) + Q of Eq. (1) to (5), normalised with `post_norm`."""
    total = multi_head_attention(weights, name, query, context, heads) + query
    return layer_norm(weights, f"{name}/norm", total) if post_norm else total


def feed_forward(weights, name, vector, post_norm):
    """FFN of Eq. (1) to (5), with a residual sum and normalised with `post_norm`."""
    hidden = np.maximum(dense(weights, f"{name}/hidden", vector), 0.0)
    outputs = dense(weights, f"{name}/out", hidden)
    return layer_norm(weights, f"{name}/norm", vector + outputs) if post_norm else outputs


def encode(weights, side, events, heads, post_norm):
    """H of Eq. (1): each event attends to itself and to those before it (causal mask)."""
    states = []
    for at, event in enumerate(events):
        attended = attend(weights, f"{side}/msa", event, events[: at + 1], heads, post_norm)
        states.append(feed_forward(weights, f"{side}/ffn", attended, post_norm))
    return states
