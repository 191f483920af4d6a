"""Controls for surface features: accuracy of words against routing, and similarities of words and length."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.categories.classifier import Classification
from moexray.stats.categories.predicted import predicted_products
from moexray.stats.categories.words import character_similarities, word_similarities
from moexray.stats.inference.resampled import gain_interval
from moexray.stats.inference.units import Units


@dataclass(frozen=True)
class PairedDifference:
    """Accuracy of one classifier minus that of another, over the same prompts, with its 95 % interval."""

    difference: float
    ci: tuple[float, float] | None


def paired_difference(first: Classification, second: Classification) -> PairedDifference:
    """Compare two classifiers prompt by prompt.

    Parameters
    ----------
    first, second
        Made of the same labels, folds, groups, seed and repeats.
    """
    gains = first.right.astype(np.float64) - second.right
    return PairedDifference(float(gains.mean()), gain_interval(gains, first.units, folds=first.folds))


def log_lengths(tokens: NDArray[np.integer]) -> NDArray[np.float64]:  # (prompts, parts)
    """Logarithms of the number of tokens of each prompt, or of each part of each prompt ``(prompts, parts)``."""
    return np.asarray(np.log(np.maximum(tokens.reshape(len(tokens), -1), 1).astype(np.float64)))


def length_features(tokens: NDArray[np.integer]) -> NDArray[np.float64]:  # (prompts, 2 * parts)
    """Logarithms of numbers of tokens, and their squared deviations, so that a middle length can predict.

    Parameters
    ----------
    tokens
        Number of tokens ``(prompts,)``, or of tokens of each part ``(prompts, parts)``, such as prompt and output.
    """
    logarithms = log_lengths(tokens)
    return np.column_stack([logarithms, (logarithms - logarithms.mean(axis=0)) ** 2])


def signature_products(vectors: NDArray[np.float64]) -> NDArray[np.float64]:  # (prompts, prompts)
    """Inner products of every two signatures, divided by the mean square of their length.

    Where all signatures have one length these are cosines. But a cosine divides by each signature's own length, in
    which there is the noise of few tokens, so that the mean cosine of two categories depends on their lengths and
    spreads. The mean of an inner product of two prompts does not: it is that of what is expected of them.
    """
    scale = float((vectors**2).sum(axis=1).mean())
    return np.asarray(vectors @ vectors.T) / (scale if scale > 0 else 1.0)


def surface_similarities(
    vectors: NDArray[np.float64],
    texts: Sequence[str],
    tokens: NDArray[np.integer],
    *,
    units: Units,
    rng: int | np.random.Generator,
) -> list[NDArray[np.float64]]:  # (prompts, prompts) each
    """Compute similarities of prompts in words and length, to be held fixed in `moexray.stats.partial_effect`.

    They are: similarity of words by counts, and by TF-IDF; of runs of characters; and the product of the signatures
    predicted from all of these and from length. The last covers words that routers treat similarly without being
    equal, which overlap of words misses.

    Parameters
    ----------
    vectors
        Signatures ``(prompts, dimensions)``.
    texts
        The texts of the tokens that the signatures are of.
    tokens
        Number of tokens of each prompt ``(prompts,)``, or of each part of each prompt ``(prompts, parts)``.
    units
        Prompts that belong together.
    rng
        Seed or generator of the folds of predictions.

    Raises
    ------
    NotComputable
        If no text holds a word, or there are fewer than three prompts, or groups of prompts.
    """
    if len(units) < 3:
        message = "it needs at least three prompts, or groups of prompts"
        raise NotComputable(message)
    counted, weighted = word_similarities(texts)
    characters = character_similarities(texts)
    kernel = counted + characters + _nearness(log_lengths(tokens))
    return [counted, weighted, characters, predicted_products(vectors, kernel, units, rng=rng)]


def _nearness(points: NDArray[np.float64]) -> NDArray[np.float64]:  # (prompts, prompts)
    """Gaussian kernel of points, as wide as they are spread; 1 for all where they do not differ."""
    apart = points - points.mean(axis=0)
    spread = float((apart**2).sum(axis=1).mean())
    if spread == 0:
        return np.ones((len(points), len(points)))
    squares = ((apart[:, None] - apart[None]) ** 2).sum(axis=2)
    return np.asarray(np.exp(-squares / spread / 2))
