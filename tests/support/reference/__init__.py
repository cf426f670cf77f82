"""Equations 1 to 17 of the paper once more, in plain NumPy float64, to compare the Keras layers with.

Written from the paper, one request, one candidate and one step at a time; nothing here is shared with `model/`, and
nothing of Keras or TensorFlow is imported. Padding does not exist: a request is

    {"user": id, "clicks": [id, ...], "searches": [([word, ...], [clicked id, ...]), ...], "candidates": [id, ...]}

with both histories oldest first. Settings are plain arguments, and weights are one dict of arrays by name:

| name | shape | in the paper |
|---|---|---|
| `users`, `items`, `words` | `[rows, d]` | E_U, E_V, E_W |
| `{side}/positions` | `[length, d]`, the last row is of the newest event | P_s, P_r |
| `{side}/empty` | `[d]` | h^(0) where the history is empty |
| `{side}/steps` | `[K, d]` | the position embeddings of Eq. (2) |
| `{side}/msa/{part}/kernel`, `.../bias` | `[d, d]`, `[d]` | MSA; `part` is `query`, `key`, `value` or `out` |
| `{side}/mca/{part}/kernel`, `.../bias` | `[d, d]`, `[d]` | MCA |
| `{side}/ffn/{part}/kernel`, `.../bias` | `[d, d]`, `[d]` | FFN; `part` is `hidden` or `out` |
| `{side}/{msa, mca or ffn}/norm/scale`, `.../shift` | `[d]` | normalisation, with `post_norm` only |
| `{side}/att` | `[d, d]` | Att of Eq. (8) |
| `mlp/{i}/kernel`, `.../bias` | `[in, out]`, `[out]` | layer i of the MLP of Eq. (10), from 0 |

`side` is `search` or `rec`.
"""

from tests.support.reference import aggregation, embedding, encoding, grpo, losses, reasoning, scoring

__all__ = ["aggregation", "embedding", "encoding", "grpo", "losses", "reasoning", "scoring"]
