"""Embeddings of a request, sections 3.2.1 and 3.2.2."""

import numpy as np


def query_embedding(weights, words):
    """e_q of section 3.2.1: the mean of the embeddings of the query's words; zero for a query without words."""
    total = np.zeros(weights["words"].shape[1])
    for word in words:
        total = total + weights["words"][word]
    return total / max(len(words), 1)


def mean_of_clicks(weights, clicks):
    """M(V_q) of section 3.2.2: the mean of the embeddings of the clicked items; zero where none was clicked."""
    total = np.zeros(weights["items"].shape[1])
    for item in clicks:
        total = total + weights["items"][item]
    return total / max(len(clicks), 1)


def rec_events(weights, clicks):
    """The rows of E_r + P_r of section 3.2.2, oldest first. Positions count from the newest click back."""
    positions = weights["rec/positions"]
    return [weights["items"][item] + positions[age_row(positions, clicks, at)] for at, item in enumerate(clicks)]


def search_events(weights, searches):
    """The rows of E_s + P_s of section 3.2.2, oldest first.

    A search with neither a word nor a click is no event, but those before it count it as one.
    """
    positions = weights["search/positions"]
    events = []
    for at, (words, clicks) in enumerate(searches):
        if words or clicks:
            event = query_embedding(weights, words) + mean_of_clicks(weights, clicks)
            events.append(event + positions[age_row(positions, searches, at)])
    return events


def age_row(positions, history, at):
    """The row of `positions` for event number `at`: the last row for the newest event, the row above for the next."""
    age = len(history) - 1 - at
    return len(positions) - 1 - age
