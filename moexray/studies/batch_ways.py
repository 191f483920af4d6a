"""Ways to make batches of the same prompts, each with its mean distinct experts, with and without each unit."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.formats import count
from moexray.signatures import Signatures
from moexray.stats.workloads.distinct import left_out_probability
from moexray.stats.workloads.grouping import nearest_batches, packed, two_means, union_sizes, without_repeats
from moexray.studies.batch_pool import Pool
from moexray.studies.cohort import stream
from moexray.studies.unit_blocks import UnitBlocks, unit_blocks

# Orders in which prompts come, over which greedy batches are averaged: without an average, leaving out one prompt
# changes most batches, and an interval would be of the order more than of the prompts. Of many prompts fewer will do.
_ORDERS, _ORDERS_OF_MANY, _MANY = 16, 8, 128
# Random pools of two batches that are split anew.
_POOLS, _MOST_BLOCKS = 240, 80


@dataclass(frozen=True)
class Mean:
    """Distinct experts of a batch, the mean of batches, steps and layers.

    Attributes
    ----------
    experts
        With all prompts.
    without
        Without each block of units ``(blocks,)``; not a number where no batch remains.
    random
        The same of random batches, where these are not of all prompts.
    """

    experts: float
    without: NDArray[np.float64]
    random: "Mean | None" = None


@dataclass(frozen=True)
class Batches:
    """Batches of the prompts of a pool.

    Attributes
    ----------
    chosen
        Which experts each prompt selects ``(prompts, steps, layers, experts)``.
    categories
        The category of each prompt, by number.
    units
        Blocks of units of these prompts, which intervals leave out.
    size, seed
        Prompts of a batch, and the seed of orders and pools.
    """

    chosen: NDArray[np.bool_]
    categories: NDArray[np.int64]
    units: UnitBlocks
    size: int
    seed: int

    @staticmethod
    def of(pool: Pool, signatures: Signatures, *, size: int, seed: int) -> "Batches":
        """Return batches of a pool, whose units are those of these prompts alone."""
        prompts = signatures.prompts
        labels = [prompts.categories[row] for row in pool.rows.tolist()]
        groups = None if prompts.groups is None else [prompts.groups[row] for row in pool.rows.tolist()]
        _, categories = np.unique(labels, return_inverse=True)
        return Batches(pool.chosen, categories, unit_blocks(labels, groups, most=_MOST_BLOCKS), size, seed)

    @cached_property
    def random(self) -> Mean:
        """All batches of the prompts, exactly."""
        return self._random(np.ones(len(self.chosen), dtype=bool))

    def category(self, note: Callable[[str], None]) -> Mean:
        """Return all batches of prompts of one category, exactly: each category counts by its number of prompts.

        Prompts of a category without a whole batch are left out, also of the random batches to compare with.

        Raises
        ------
        NotComputable
            If there is one category, or none has a whole batch.
        """
        sizes = np.bincount(self.categories)
        if len(sizes) < 2:
            message = "there is one category only"
            raise NotComputable(message)
        enough = sizes >= self.size
        if not enough.any():
            message = f"no category has a batch of {count(self.size, 'prompt')}: the largest has {sizes.max()}"
            raise NotComputable(message)
        inside = enough[self.categories]
        if not inside.all():
            note(
                f"{count(int((~inside).sum()), 'prompt')} of categories with fewer than {self.size} prompts are in no "
                "batch, nor in the random batches that these are compared with"
            )
        parts = [(sizes[one], self._random(self.categories == one)) for one in np.flatnonzero(enough)]
        held = np.array([self._held(self.categories == one) for one in np.flatnonzero(enough)])
        return Mean(
            experts=float(np.average([mean.experts for _, mean in parts], weights=[size for size, _ in parts])),
            without=(held * np.array([mean.without for _, mean in parts])).sum(axis=0) / held.sum(axis=0),
            random=None if inside.all() else self._random(inside),
        )

    def greedy(self, similarity: NDArray[np.floating]) -> Mean:
        """Return batches of similar prompts, averaged over orders: see `moexray.stats.workloads.grouping`.

        Prompts beyond the last whole batch are left out at random. Without a block the others are grouped anew.

        Parameters
        ----------
        similarity
            Of each prompt to each.
        """
        number, rng = len(self.chosen), stream(self.seed, "batch.orders")
        runs = _ORDERS if number <= _MANY else _ORDERS_OF_MANY
        orders = np.array([rng.permutation(number) for _ in range(runs)])
        kept = [np.ones(number, dtype=bool), *(self.units.blocks != block for block in range(len(self.units)))]
        made = [nearest_batches(similarity, orders[one[orders]].reshape(runs, -1), self.size) for one in kept]
        different, places = without_repeats(made)
        steps, layers = self.chosen.shape[1:3]
        experts = union_sizes(self._bits.reshape(number, -1), different) / (steps * layers)
        values = np.array([experts[of_one].mean() if len(of_one) else np.nan for of_one in places])
        return Mean(float(values[0]), values[1:])

    def hamming(self) -> Mean:
        """Return two random batches whose tokens are split anew at every step: see `two_means`.

        Without a block are those pools that hold nothing of it.
        """
        number, both = len(self.chosen), 2 * self.size
        rng, each = stream(self.seed, "batch.pools"), number // both
        orders = [rng.permutation(number)[: each * both] for _ in range(-(-_POOLS // each))]
        pools = np.array(orders).reshape(-1, both)
        experts = np.zeros(len(pools))
        steps, layers = self.chosen.shape[1:3]
        for step in range(steps):
            shared = self.shared[step][pools[:, :, None], pools[:, None, :]]
            first = two_means(shared, self.size)
            bits = self._bits[:, step].reshape(number, -1)
            halves = [pools[half].reshape(-1, self.size) for half in (first, ~first)]
            experts += sum(union_sizes(bits, half) for half in halves) / (2 * steps * layers)
        free = np.array([(self.units.blocks[pools] != block).all(axis=1) for block in range(len(self.units))])
        with np.errstate(invalid="ignore"):
            without = free @ experts / free.sum(axis=1)
        return Mean(float(experts.mean()), without)

    @cached_property
    def shared(self) -> NDArray[np.float32]:  # (steps, prompts, prompts)
        """How many experts each two prompts share at each step, all layers together."""
        rows = self.chosen.reshape(*self.chosen.shape[:2], -1)
        by_step = (rows[:, step].astype(np.float32) for step in range(rows.shape[1]))
        return np.array([of_step @ of_step.T for of_step in by_step])

    @cached_property
    def _bits(self) -> NDArray[np.uint64]:  # (prompts, steps, layers, words)
        return packed(self.chosen)

    def _held(self, inside: NDArray[np.bool_]) -> NDArray[np.int64]:  # (blocks,)
        """Return how many of some prompts remain without each block."""
        held = np.bincount(self.units.blocks[inside], minlength=len(self.units))
        return np.asarray(inside.sum() - held)

    def _random(self, inside: NDArray[np.bool_]) -> Mean:
        """Return all batches of some of the prompts."""
        prompts = np.flatnonzero(inside)
        selected = self.chosen[prompts].sum(axis=0)
        blocks = self.units.blocks[prompts]

        def without(block: int) -> float:
            some = prompts[blocks == block]
            return self._mean(selected - self.chosen[some].sum(axis=0), len(prompts) - len(some))

        everything = self._mean(selected, len(prompts))
        left_out = np.full(len(self.units), everything)
        for block in np.unique(blocks).tolist():
            left_out[block] = without(block)
        return Mean(everything, left_out)

    def _mean(self, selected: NDArray[np.int64], prompts: int) -> float:
        if prompts < self.size:
            return float("nan")
        missed = left_out_probability(selected, np.full(len(selected), prompts), self.size)
        return float((1 - missed).sum() / np.prod(selected.shape[:2]))
