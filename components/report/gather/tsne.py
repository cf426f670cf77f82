"""Vectors drawn in the plane."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

_ITERATIONS = 500
"""Half of scikit-learn's number: the divergence that it lowers is within a tenth by then."""
_PERPLEXITY = 30.0
_POINTS_A_NEIGHBOUR = 3
"""Perplexity is about the number of neighbours that a point keeps; a third of all points is the most that works."""


class Plane(NamedTuple):
    """Where the vectors came to lie.

    Attributes:
        points: `[N, 2]`.
        perplexity: of the embedding.
    """

    points: npt.NDArray[Any]
    perplexity: float


def tsne(vectors: npt.NDArray[Any], seed: int) -> Plane:
    """t-SNE of vectors `[N, d]`, N at least 5, by the angles between them. The same vectors give the same points."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    perplexity = min(_PERPLEXITY, (len(vectors) - 1) / _POINTS_A_NEIGHBOUR)
    # Of vectors of length one, the square of the Euclidean distance, which t-SNE works with, is twice the cosine
    # distance; with metric="cosine" scikit-learn would square the cosine distance.
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    embedding = TSNE(init="pca", perplexity=perplexity, max_iter=_ITERATIONS, random_state=seed)
    with threadpool_limits(1):  # several may add up in another order each time, and the steps enlarge that
        return Plane(embedding.fit_transform(directions.astype(np.float32)), perplexity)
