"""Latent cross reasoning, Eq. (2) to (7)."""

from tests.support.reference.encoding import attend, feed_forward


def start(weights, side, states):
    """h^(0) of section 3.2.3: the last state H[-1], or a learned vector where the history is empty."""
    return states[-1] if states else weights[f"{side}/empty"]


def reason(
    weights,
    search_events,
    rec_events,
    search_start,
    rec_start,
    *,
    num_steps,
    heads,
    post_norm,
    literal_eq5=False,
    cross=True,
):
    """The K reasoning steps of both sides.

    Args:
        weights: see `reference`.
        search_events, rec_events: the position-aware histories.
        search_start, rec_start: h^(0), with the noise of Eq. (14) if there is any.
        num_steps: K.
        literal_eq5: the recommendation side's MSA looks at the search context, as Eq. (5) is printed.
        cross: False leaves MCA out, for the states with a tilde in Eq. (9).

    Returns:
        h^(1) to h^(K) of the search side and of the recommendation side.
    """
    search, rec = search_start, rec_start
    search_context, rec_context = list(search_events), list(rec_events)
    search_states, rec_states = [], []
    for k in range(num_steps):
        # Eq. (2), then Eq. (6): the contexts hold the inputs of all steps so far, this one among them.
        search_input = search + weights["search/steps"][k]
        rec_input = rec + weights["rec/steps"][k]
        search_context.append(search_input)
        rec_context.append(rec_input)

        # Eq. (3) and the first line of Eq. (5).
        own_context = search_context if literal_eq5 else rec_context
        search = attend(weights, "search/msa", search_input, search_context, heads, post_norm)
        rec = attend(weights, "rec/msa", rec_input, own_context, heads, post_norm)

        # Eq. (4) and the second line of Eq. (5). MSA and FFN have the parameters of Eq. (1).
        if cross:
            search = attend(weights, "search/mca", search, rec_context, heads, post_norm)
            rec = attend(weights, "rec/mca", rec, search_context, heads, post_norm)
        search = feed_forward(weights, "search/ffn", search, post_norm)
        rec = feed_forward(weights, "rec/ffn", rec, post_norm)
        search_states.append(search)
        rec_states.append(rec)
    return search_states, rec_states


def all_states(states, steps):
    """H^(K) of Eq. (7): the states of the history, then those of the reasoning steps."""
    return [*states, *steps]
