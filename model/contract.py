"""The contract between logs, model and servable: feature names, reserved ids and shapes.

Everything that names a feature imports the name from here: ExampleGen, Transform, the trainers, the
servable and the scoring client. The module imports nothing, so that `serving/` can use it alone.

The symbols in its shapes are those of `model/__init__.py`.

Examples (raw: ids and words as strings; transformed: the same names with int64 ids) hold flat lists:

| feature | timeline Example (train) | request Example (eval, test, serving) |
|---|---|---|
| `user` | one id | one id |
| `rec_items` | all clicks in time order | clicks strictly before the target, oldest first |
| `rec_times` | for each click: when, in milliseconds | the same (stored ones; a served one may lack it) |
| `rec_clicks_before` | for each click: clicks strictly earlier | - |
| `rec_searches_before` | for each click: searches strictly earlier | - |
| `rec_is_target` | for each click: 1 if it is a training target | - |
| `search_words` | words of all searches, one after another | the same, of the searches before the target |
| `search_word_counts` | for each search: its number of words | the same |
| `search_items` | clicked items of all searches, one after another | the same |
| `search_item_counts` | for each search: its number of clicked items (0: none) | the same |
| `search_times` | for each search: when, in milliseconds | the same (stored ones; a served one may lack it) |
| `search_clicks_before` | for each search: clicks strictly earlier | - |
| `search_searches_before` | for each search: searches strictly earlier | - |
| `search_is_target` | for each search: 1 if its clicked items are training targets | - |
| `candidates` | - | C ids: the positive and its stored negatives |
| `label` | - | the column of the positive in `candidates` (absent when serving) |

Times are the log's: unix milliseconds, or ordinal numbers where it has no dates. They are int64 all the way: in
float32 two minutes are one time, and int32 does not reach them.

A search is a training target if an item was clicked in it and there is something to predict it from, words or an event
strictly earlier. A timeline ends before the user's eval target or the cut, its searches strictly earlier, so that no
search behind them is a target.

A model batch holds dense int32 tensors, padded on the LEFT with 0 so that the newest event is the last
column: `user [B]`, `rec_items [B, Lr]`, `search_words [B, Ls, W]`, `search_items [B, Ls, M]`,
`candidates [B, C]`. The words and the clicked items inside one search are padded on the right. A model that reads
them gets `rec_times [B, Lr]` and `search_times [B, Ls]` too, int64; the time of padding is 0 and means nothing.

Ids and words, in a log as in a request, are read without the `BLANKS` around them: " 7" and "7\n" are the id "7". What
is nothing but blanks is no id: a log's row without one is set aside, and in a request it is an unknown one, while the
empty string in a request's tensor is padding.
"""

from typing import Final

BLANKS: Final = " \t\n\v\f\r"
"""What does not count around an id or a word: ASCII's blanks, which `tf.strings.strip` takes away."""

PADDING_ID: Final = 0
UNKNOWN_ID: Final = 1
FIRST_KNOWN_ID: Final = 2
"""Vocabulary entry i becomes id i + FIRST_KNOWN_ID."""

USER: Final = "user"
REC_ITEMS: Final = "rec_items"
REC_CLICKS_BEFORE: Final = "rec_clicks_before"
REC_SEARCHES_BEFORE: Final = "rec_searches_before"
REC_IS_TARGET: Final = "rec_is_target"
SEARCH_WORDS: Final = "search_words"
SEARCH_WORD_COUNTS: Final = "search_word_counts"
SEARCH_ITEMS: Final = "search_items"
SEARCH_ITEM_COUNTS: Final = "search_item_counts"
REC_TIMES: Final = "rec_times"
SEARCH_TIMES: Final = "search_times"
SEARCH_CLICKS_BEFORE: Final = "search_clicks_before"
SEARCH_SEARCHES_BEFORE: Final = "search_searches_before"
SEARCH_IS_TARGET: Final = "search_is_target"
QUERY: Final = "query"
"""The words of the search that is a training target, `[B, W]`: only batches of searches hold it."""
CANDIDATES: Final = "candidates"
LABEL: Final = "label"

HISTORY_FEATURES: Final = (
    USER,
    REC_ITEMS,
    SEARCH_WORDS,
    SEARCH_WORD_COUNTS,
    SEARCH_ITEMS,
    SEARCH_ITEM_COUNTS,
)
"""What a timeline and a request have in common."""
TIME_FEATURES: Final = (REC_TIMES, SEARCH_TIMES)
"""What timelines and stored requests hold too; a served request needs it only for a model that reads times."""
CLICK_TARGET_FEATURES: Final = (REC_CLICKS_BEFORE, REC_SEARCHES_BEFORE, REC_IS_TARGET)
SEARCH_TARGET_FEATURES: Final = (SEARCH_CLICKS_BEFORE, SEARCH_SEARCHES_BEFORE, SEARCH_IS_TARGET)
TIMELINE_FEATURES: Final = (*HISTORY_FEATURES, *TIME_FEATURES, *CLICK_TARGET_FEATURES, *SEARCH_TARGET_FEATURES)
REQUEST_FEATURES: Final = (*HISTORY_FEATURES, CANDIDATES)
"""What a request must hold when it is served; times and `label` are added where it is stored for evaluation."""

INPUTS: Final = {
    USER: (USER,),
    REC_ITEMS: (REC_ITEMS,),
    SEARCH_WORDS: (SEARCH_WORDS, SEARCH_WORD_COUNTS),
    SEARCH_ITEMS: (SEARCH_ITEMS, SEARCH_ITEM_COUNTS),
    REC_TIMES: (REC_TIMES,),
    SEARCH_TIMES: (SEARCH_TIMES,),
}
"""What a model may read besides `candidates`: tensors of a batch, and the features of an Example that hold each.
A model that reads times reads what they are of, too."""

ITEM_VOCABULARY: Final = "items"
USER_VOCABULARY: Final = "users"
WORD_VOCABULARY: Final = "words"

SIGNATURE_DEFAULT: Final = "serving_default"
SIGNATURE_RANK: Final = "rank"
SIGNATURE_ENCODE: Final = "encode"
SIGNATURE_SCORE: Final = "score"
SIGNATURE_RECOMMEND: Final = "recommend"
SIGNATURE_EXPLAIN: Final = "explain"
SIGNATURE_RANK_EVAL: Final = "rank_eval"

K: Final = "k"
LEAVE_OUT_CLICKED: Final = "leave_out_clicked"
ITEM: Final = "item"
"""Inputs of `recommend` and `explain` beside the history."""

FINGERPRINT: Final = "fingerprint"
"""What a state says of the model that encoded it."""

MAX_REQUESTS: Final = 1_024
"""B at the most in one call of a signature; a larger batch is refused."""
MAX_CANDIDATES: Final = 10_000
"""C at the most of one request."""
MAX_PAIRS: Final = 2**18
"""B times C at the most in one call: what is computed for each pair takes about 2 KB."""
MAX_EVENTS: Final = 1_000
"""Clicks, and searches, at the most of one request, before the newest are kept; words and clicked items of one search
of an Example at the most too. A tensor may have one more column, of padding."""
MAX_SEARCH_STRINGS: Final = 250
"""Words, and clicked items, at the most of one search in a tensor."""
MAX_STRINGS: Final = 2**20
"""Strings at the most in one tensor of a client's call, and in one feature of one Example."""
MAX_MERGED_STRINGS: Final = 2**23
"""Strings at the most in one tensor of calls that a server has merged, and padded for each other: 24 requests of all
that one may hold."""
MAX_RECOMMENDATIONS: Final = 100
"""k at the most of `recommend`."""
FIRST_STAGE: Final = 500
"""Candidates that `recommend` ranks, of the whole catalogue."""
MAX_MERGED_ROWS: Final = 24
"""Requests at the most that a server merges into one call: with `MAX_CANDIDATES` each they keep `MAX_PAIRS`."""
