"""What share of each category's tokens every expert of some layers gets, with intervals over prompts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from moexray.signatures import Signatures
from moexray.stats.experts.specialisation import domain_specialisation
from moexray.stats.inference.intervals import LEVEL
from moexray.stats.inference.jackknife import LEAST_UNITS
from moexray.stats.inference.ratios import ratio_intervals
from moexray.stats.inference.units import units_of
from moexray.studies.chosen_layers import chosen_layers
from moexray.studies.cohort import Cohort
from moexray.studies.header import Header, header_of

# Of so many blocks of a category's units, one more would hardly narrow an interval.
_MOST_BLOCKS = 24


@dataclass(frozen=True, eq=False)
class LayerShares:
    """One layer.

    Attributes
    ----------
    layer
        Its index in the model.
    uniform
        The share of tokens that an expert gets under uniform routing: k over the number of experts, or the selections
        that a router keeps of a token, on average, where it drops some.
    shares
        Share of each category's tokens that each expert gets ``(categories, experts)``.
    low, high
        The ends of their 95 % intervals over prompts, or over groups where prompts share them; NaN in a category of
        fewer than three.
    every
        Share of the tokens of all prompts together ``(experts,)``.
    """

    layer: int
    uniform: float
    shares: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    every: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CategoryShares:
    """Shares of categories in some layers.

    Attributes
    ----------
    signatures
        What was studied.
    categories
        Their names, sorted.
    layers
        The layers, as they were named.
    """

    signatures: Header
    categories: tuple[str, ...]
    layers: tuple[LayerShares, ...]


def category_shares(
    signatures: Signatures, *, tokens: str = "all", layers: Sequence[int] | None = None
) -> CategoryShares:
    """Return the share of each category's tokens that every expert gets: ``N(expert, category) / N(category)``.

    The shares are those of `moexray.studies.experts.describe_experts` (section 5.3 of arXiv:2409.02060). Intervals are
    of the jackknife over prompts or groups of the category, or over blocks of them where there are more than 24. A
    share of none or all of the tokens does not vary: its interval is the exact one of as many independent tokens (C.
    Clopper and E. Pearson, Biometrika 26, 1934), which is too narrow where the tokens of a prompt are alike.

    Parameters
    ----------
    signatures
        What was recorded; a file is read in blocks.
    tokens
        Which tokens: see `moexray.segments.places`.
    layers
        Layers by their index in the model; by default the first, the middle and the last MoE layer.

    Raises
    ------
    AnalysisError
        If no prompt has such a token, or a layer has no experts.
    """
    cohort = Cohort.of(signatures, tokens=tokens)
    header = replace(header_of(cohort), sample=None)
    known = signatures.layers.tolist()
    places = [known.index(layer) for layer in chosen_layers(known, layers)]
    selections, lengths = _sums(signatures, tokens, places)
    found = []
    for number, place in enumerate(places):
        width = int(signatures.experts[place])
        counts = selections[:, :, number, :width]
        shares = domain_specialisation(counts.sum(axis=1), lengths.sum(axis=1))
        ends = np.stack([_ends(*of_category) for of_category in zip(counts, lengths, strict=True)])
        low, high = np.moveaxis(ends, 2, 0)
        every = counts.sum(axis=(0, 1)) / lengths.sum()
        kept, asked = int(counts.sum()), int(signatures.top_k[place]) * int(lengths.sum())
        uniform = (kept or asked) / (int(lengths.sum()) * width)
        found.append(LayerShares(known[place], uniform, shares, low, high, every))
    return CategoryShares(header, tuple(header.categories), tuple(found))


def _sums(
    signatures: Signatures, tokens: str, places: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # (categories, blocks, places, experts), (categories, blocks)
    """Add up selections and tokens by blocks of each category, to which its units are dealt in turn."""
    studied = signatures.has_tokens(tokens)
    rows, prompts = np.flatnonzero(studied), signatures.prompts
    groups = None if prompts.groups is None else [prompts.groups[row] for row in rows.tolist()]
    units = units_of([prompts.categories[row] for row in rows.tolist()], groups)
    of_part = np.zeros(len(units.part_categories), dtype=np.int64)
    for category in range(len(units.names)):
        own = units.part_categories == category
        of_part[own] = np.arange(own.sum()) % _MOST_BLOCKS
    where = np.full((2, len(signatures)), -1)
    where[:, rows] = units.categories, of_part[units.parts]
    selections = np.zeros((len(units.names), _MOST_BLOCKS, len(places), signatures.shape[3]), dtype=np.int64)
    lengths = np.zeros(selections.shape[:2], dtype=np.int64)
    np.add.at(lengths, tuple(where[:, rows]), signatures.lengths(tokens)[rows])
    start = 0
    for block in signatures.blocks():
        kept = np.flatnonzero(studied[start : start + len(block)])
        np.add.at(selections, tuple(where[:, start + kept]), block.loads(tokens)[kept][:, places])
        start += len(block)
    return selections, lengths


def _ends(counts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.float64]:  # (experts, 2)
    """Return the intervals of a category's shares from the sums of its blocks."""
    there = lengths > 0
    parts, wholes = counts[there], lengths[there, None]
    if len(parts) < LEAST_UNITS:
        return np.full((counts.shape[1], 2), np.nan)
    _, ends = ratio_intervals(parts, wholes, np.zeros(len(parts), dtype=np.int64))
    least = ((1 - LEVEL) / 2) ** (1 / wholes.sum())
    ends[(parts == 0).all(axis=0), 1] = 1 - least
    ends[(parts == wholes).all(axis=0), 0] = least
    return ends
