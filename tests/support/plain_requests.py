"""Requests of flat arrays as the NumPy equations of `reference` take them, cut to what a model looks at."""


def plain_requests(requests, config):
    """A dictionary for each request: `user`, `clicks`, `searches` (words, items) and `candidates`, without padding."""
    return [_plain(requests, row, config) for row in range(len(requests))]


def _plain(requests, row, config):
    begin, end = requests.search_offsets[row : row + 2]
    searches = [
        (
            requests.search_words[slice(*requests.word_offsets[at : at + 2])].tolist()[: config.words_per_search],
            requests.search_items[slice(*requests.item_offsets[at : at + 2])].tolist()[: config.items_per_search],
        )
        for at in range(begin, end)
    ]
    clicks = requests.rec_items[slice(*requests.rec_offsets[row : row + 2])].tolist()
    return {
        "user": requests.users[row],
        "clicks": clicks[-config.rec_length :],
        "searches": searches[-config.search_length :],
        "candidates": requests.candidates[row].tolist(),
    }
