"""The similarity of every two prompts, as a matrix."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.signatures import Signatures, Weighting
from moexray.stats.pairs.similarity import unit_rows
from moexray.studies.cohort import Cohort
from moexray.studies.header import Header, header_of


@dataclass(frozen=True, eq=False)
class SimilarityMatrix:
    """Cosine similarities of signatures.

    Attributes
    ----------
    signatures
        What was studied.
    ids, categories
        Of each prompt of the matrix.
    matrix
        ``(prompts, prompts)``.
    """

    signatures: Header
    ids: tuple[str, ...]
    categories: tuple[str, ...]
    matrix: NDArray[np.float64]


def similarity_matrix(
    signatures: Signatures, *, tokens: str = "all", weighting: Weighting = "counts", seed: int = 0
) -> SimilarityMatrix:
    """Return the similarity of every two prompts; of more than 5,000, of 2,000 drawn at random.

    Parameters
    ----------
    signatures
        What was recorded.
    tokens, weighting
        Which tokens, and what signatures are shares of; see `Signatures.vectors`.
    seed
        Of the draw of prompts, where it is needed: the prompts are those that `analyze` draws.

    Raises
    ------
    AnalysisError
        If no prompt has such a token.
    """
    cohort = Cohort.of(signatures, tokens=tokens, weighting=weighting, seed=seed)
    units = unit_rows(cohort.vectors)
    table = cohort.signatures.prompts
    return SimilarityMatrix(header_of(cohort), tuple(table.ids), tuple(table.categories), units @ units.T)
