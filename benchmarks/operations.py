"""Floating-point operations of the method's matrix products, counted by hand from its equations."""

from model.config import LcrSerConfig


def forward(config: LcrSerConfig, candidates: int, trajectories: int = 1, branches: int = 1) -> float:
    """Operations of one row in one pass forward; a product of [m, k] and [k, n] counts 2 m k n.

    Counted is the method as it is usually computed, each quantity once: histories are encoded and projected to keys
    and values once, reasoning steps attend to them, the head's first layer is applied to the user once, to each
    candidate once, and to the aggregated histories for each candidate and trajectory. What a shortcut of ours saves
    or adds does not move this floor. Elementwise work (softmax, normalisation, dropout) is not counted.

    Args:
        config: sizes.
        candidates: C.
        trajectories: N.
        branches: 2 with the branch of Eq. (9) that has no cross attention.
    """
    d, steps = config.dim, config.reasoning_steps
    lengths = (config.rec_length, config.search_length)
    encode = sum(6 * 2 * length * d * d + 4 * length * length * d for length in lengths)
    project = sum(2 * 2 * length * d * d for length in lengths) if steps else 0
    attend = [4 * 2 * d * d + 4 * (length + (steps + 1) / 2) * d for length in lengths]
    feed_forward = 2 * 2 * d * d
    # A crossed step has both attentions, a plain one MSA alone.
    crossed = steps * (2 * sum(attend) + 2 * feed_forward)
    plain = steps * (sum(attend) + 2 * feed_forward) if branches > 1 else 0
    aggregate = 2 * 2 * candidates * d * d + trajectories * sum(
        4 * candidates * (length + steps) * d for length in lengths
    )
    widths = (*config.mlp_units, 1)
    later = sum(2 * one * other for one, other in zip(widths, widths[1:], strict=False))
    shared = 2 * d * widths[0] * (1 + candidates)
    head = shared + trajectories * candidates * (2 * 2 * d * widths[0] + later)
    return encode + project + trajectories * (crossed + plain) + aggregate + head


def training(config: LcrSerConfig, candidates: int, branches: int) -> float:
    """Of a training step, for one row: forward, and twice as much backward."""
    return 3 * forward(config, candidates, branches=branches)


def bytes_moved(config: LcrSerConfig, branches: int) -> float:
    """Bytes of one row in one training step, if every quantity of the length of a history is written and read once.

    For each event: its embedding, queries, mixed events, attention, both normal forms, the FFN's hidden and output
    values, two dropout masks, H, and logits and weights for each head; as much again for their gradients. The
    candidates' and the reasoning steps' share is small.
    """
    d, heads = config.dim, config.num_heads
    numbers = sum(
        length * (9 * d + 2 * heads * d + 2 * heads * length) + config.reasoning_steps * branches * 8 * d
        for length in (config.rec_length, config.search_length)
    )
    return 4 * 2 * 2 * numbers
