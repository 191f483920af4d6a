"""Values of placements and their intervals, from sums over the units of the scored prompts."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.busiest import raised_by_chance
from moexray.stats.inference.intervals import LEVEL
from moexray.stats.inference.jackknife import LEAST_UNITS, jackknife_interval, jackknife_variance
from moexray.stats.kinds.bias import shares_of
from moexray.stats.workloads.batch_loads import Batches
from moexray.stats.workloads.device_loads import balancedness
from moexray.stats.workloads.token_traffic import Traffic
from moexray.studies.halves import Halves
from moexray.studies.placement_results import Measure

# An interval needs this many batches without each block of units.
LEAST_BATCHES = 20
Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
Lowered = Callable[[NDArray[np.float64], NDArray[np.float64], NDArray[np.integer]], float]


@dataclass(frozen=True)
class Cells:
    """Scored prompts of one block of units and one category each.

    Attributes
    ----------
    of_prompt
        The cell of each prompt of the signatures, −1 where it is not scored ``(prompts,)``.
    blocks, categories
        Block and category of each cell ``(cells,)``.
    strata
        The stratum of each block, as of `Halves`.
    """

    of_prompt: NDArray[np.int64]
    blocks: NDArray[np.int64]
    categories: NDArray[np.int64]
    strata: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.blocks)

    @property
    def too_few(self) -> bool:
        """Whether a stratum has too few blocks for intervals."""
        return bool(np.unique(self.strata, return_counts=True)[1].min() < LEAST_UNITS)

    @staticmethod
    def of(halves: Halves, rows: NDArray[np.int64], categories: NDArray[np.int64], prompts: int) -> "Cells":
        """Return the cells of the scored prompts.

        Parameters
        ----------
        halves
            Of the prompts that have a token.
        rows, categories
            Place among all prompts, and category, of each of these.
        prompts
            How many prompts there are in all.
        """
        width = int(categories.max()) + 1
        keys, cells = np.unique(halves.blocks * width + categories[halves.scored], return_inverse=True)
        of_prompt = np.full(prompts, -1)
        of_prompt[rows[halves.scored]] = cells
        return Cells(of_prompt, keys // width, keys % width, halves.strata)

    def measure(
        self,
        statistic: Statistic,
        sums: NDArray[np.float64],
        category: int | None = None,
        *,
        bounds: tuple[float, float] = (0.0, 1.0),
        lowered: Lowered | None = None,
    ) -> Measure | None:
        """Return a statistic of sums over all cells, or those of one category; None where it is not finite.

        Parameters
        ----------
        statistic
            Takes sums ``(…, *)`` and returns numbers ``(…,)``.
        sums
            Of each cell ``(cells, *)``.
        bounds
            The range of the statistic, which its interval is clipped to.
        lowered
            By how much chance may lower the statistic, from all sums, those without each block, and the strata of the
            blocks: the upper end is raised by it.
        """
        mine = np.ones(len(self), dtype=bool) if category is None else self.categories == category
        if not mine.any():
            return None
        there, places = np.unique(self.blocks[mine], return_inverse=True)
        by_block = np.zeros((len(there), *sums.shape[1:]))
        np.add.at(by_block, places, sums[mine])
        total = by_block.sum(axis=0)
        value = float(statistic(total))
        if not np.isfinite(value):
            return None
        used = by_block.reshape(len(there), -1).any(axis=1)  # blocks without such tokens say nothing of their spread
        by_block, there = by_block[used], there[used]
        strata = np.unique(self.strata[there], return_inverse=True)[1]
        ends = jackknife_interval(value, statistic(total - by_block), strata)
        if ends is not None and lowered is not None:
            ends = ends[0], ends[1] + lowered(total, total - by_block, strata)
        return Measure(value, _within(ends, value, bounds))


def _within(ends: tuple[float, float] | None, value: float, bounds: tuple[float, float]) -> tuple[float, float] | None:
    """Clip an interval to the range of its statistic; rounding may leave a value outside of that, never of this."""
    if ends is None:
        return None
    low, high = bounds
    return min(max(ends[0], low), value), max(min(ends[1], high), value)


def device_balance(cells: Cells, loads: NDArray[np.float64], category: int | None = None) -> Measure | None:
    """Return the balancedness of loads ``(cells, layers, devices)``."""
    return cells.measure(balancedness, loads, category, lowered=_lowered)


def _lowered(loads: NDArray[np.float64], left_out: NDArray[np.float64], strata: NDArray[np.integer]) -> float:
    """Return by how much chance may lower balancedness: it raises the busiest of several devices."""
    there = loads.any(axis=1)
    shares = shares_of(loads[there])
    raised = raised_by_chance(shares, shares_of(left_out[:, there]), strata)
    of_layers = 1 / (shares.max(axis=1) * shares.shape[1])
    return float((of_layers**2 * raised).mean())  # of 1 / busiest, to first order


def ratio(
    cells: Cells,
    above: NDArray[np.float64],
    below: NDArray[np.float64],
    *,
    category: int | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
    write: Callable[[NDArray[np.float64]], NDArray[np.float64]] = lambda value: value,
) -> Measure | None:
    """Return a function of the ratio of two sums ``(cells,)``; None where the lower is zero."""

    def statistic(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore", divide="ignore"):
            return write(sums[..., 0] / sums[..., 1])

    return cells.measure(statistic, np.stack([above, below], axis=1), category, bounds=bounds)


def traffic_measures(cells: Cells, sums: Traffic, place: int, *, devices: int, nodes: int) -> dict[str, Measure | None]:
    """Return the measures of one placement that every token adds to."""
    found = {
        "devices_touched": ratio(cells, sums.touched[:, place], sums.visits, bounds=(1.0, devices)),
        "moves": ratio(cells, sums.moved[:, place], sums.boundaries),
        "remote": ratio(cells, sums.at_home[:, place], sums.visits, write=lambda share: 1 - share),
    }
    return found | (
        {"nodes_touched": ratio(cells, sums.nodes[:, place], sums.visits, bounds=(1.0, nodes))} if nodes > 1 else {}
    )


def batch_measure(values: NDArray[np.float64], batches: Batches, halves: Halves, *, most: float) -> Measure:
    """Return the mean over batches; its interval leaves out the batches that hold prompts of a block of units.

    The mean over random batches is an incomplete U-statistic. Its jackknife leaves out units with all batches that they
    are in (J. Arvesen, Annals of Mathematical Statistics 40, 1969), and is too large by the noise of the means over
    the batches that remain, which is subtracted as for bagged predictors (S. Wager, T. Hastie and B. Efron, Journal of
    Machine Learning Research 15, 2014). The variance of the mean over all batches is added, and a standard
    error of what was subtracted, so that no interval is narrow by luck.

    Parameters
    ----------
    values
        Of each batch ``(batches,)``.
    most
        What a value cannot be above.
    """
    holds = np.zeros((len(halves.strata), len(values)), dtype=bool)
    holds[halves.blocks[batches.prompts].ravel(), np.repeat(np.arange(len(values)), batches.prompts.shape[1])] = True
    kept = (~holds).sum(axis=1)
    value, noise = float(values.mean()), float(values.var(ddof=1))
    if kept.min() < LEAST_BATCHES or np.unique(halves.strata, return_counts=True)[1].min() < LEAST_UNITS:
        return Measure(value, None)
    variance, freedom = jackknife_variance(~holds @ values / kept, halves.strata)
    sizes = np.bincount(halves.strata)[halves.strata]
    inflation = noise * float((((sizes - 1) / sizes) ** 2 * (1 / kept - 1 / len(values))).sum())
    from scipy.special import stdtrit

    by_luck = inflation * np.sqrt(2 / (len(kept) - len(np.unique(halves.strata))))
    total = max(variance - inflation, 0) + by_luck + noise / len(values)
    half = float(stdtrit(freedom, (1 + LEVEL) / 2) * np.sqrt(total))
    return Measure(value, _within((value - half, value + half), value, (0.0, most)))


def drawn_measure(values: NDArray[np.float64]) -> Measure:
    """Return the mean over random placements, and the central 95 % of them."""
    low, high = np.quantile(values, [0.025, 0.975]).tolist()
    return Measure(float(values.mean()), None, (low, high))
