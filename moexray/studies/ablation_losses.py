"""What ablations cost: losses of prompts summed by block and category, their differences, and intervals of these."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.studies.ablation_measured import Ablatable, Intervention, Outcome
from moexray.studies.ablation_result import AtRandom, Contrast, Loss
from moexray.studies.halves import Halves

# Columns of sums: scored tokens, the loss of the whole model, that of a policy, and those of draws.
_TOKENS, _FULL, _OWN, _DRAWS = range(4)
Interval = tuple[float, float]


@dataclass(frozen=True)
class Runs:
    """Runs of a model on the scored prompts, and sums of what they give by block and category."""

    model: Ablatable
    halves: Halves
    labels: Sequence[str]
    announce: Callable[[str], None]

    @property
    def names(self) -> tuple[str, ...]:
        """The categories of the scored prompts, sorted."""
        return tuple(sorted({self.labels[i] for i in self.halves.scored}))

    @property
    def categories(self) -> NDArray[np.int64]:
        """The number of each scored prompt's category."""
        number = {name: place for place, name in enumerate(self.names)}
        return np.array([number[self.labels[i]] for i in self.halves.scored])

    def run(self, change: Intervention, *, write: bool) -> Outcome:
        """Return what the model does with the scored prompts."""
        return self.model.run(self.halves.scored, change, write=write)

    def sums(self, full: Outcome, others: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return tokens, the whole model's loss and other columns, summed ``(blocks, categories, columns)``."""
        columns = np.stack([full.tokens, full.losses, *others], axis=1).astype(np.float64)
        found = np.zeros((len(self.halves.strata), len(self.names), columns.shape[1]))
        np.add.at(found, (self.halves.blocks, self.categories), columns)
        return found

    def interval(self, statistic: Callable[[NDArray[np.float64]], float], sums: NDArray[np.float64]) -> Interval | None:
        """Return the interval over the blocks that hold any of the tokens; None where they are too few.

        Parameters
        ----------
        statistic
            Takes sums ``(columns,)``.
        sums
            ``(blocks, columns)``, tokens first.
        """
        held, halves = sums[:, _TOKENS] > 0, self.halves
        some = Halves(halves.learnt, halves.scored, halves.blocks, halves.strata[held])
        return some.interval(statistic, sums[held]) if held.any() else None

    def loss(self, sums: NDArray[np.float64]) -> Loss:
        """Return the loss of a policy from sums ``(blocks, columns)``."""
        total = sums.sum(axis=0)

        def mean(of: NDArray[np.float64]) -> float:
            return _ratio(of[_OWN], of)

        def added(of: NDArray[np.float64]) -> float:
            return _ratio(of[_OWN] - of[_FULL], of)

        return Loss(added(total), self.interval(added, sums), mean(total), self.interval(mean, sums))

    def at_random(self, sums: NDArray[np.float64]) -> AtRandom:
        """Return the added losses of draws, and where a policy stands among them, from sums ``(blocks, columns)``."""
        total = sums.sum(axis=0)
        each = (total[_DRAWS:] - total[_FULL]) / total[_TOKENS]

        def excess(of: NDArray[np.float64]) -> float:
            return _ratio(of[_OWN] - of[_DRAWS:].mean(), of)

        return AtRandom(
            mean=float(each.mean()),
            least=float(each.min()),
            most=float(each.max()),
            cheaper=int((total[_DRAWS:] < total[_OWN]).sum()),
            excess=excess(total),
            excess_ci=self.interval(excess, sums),
        )

    def contrast(self, full: Outcome, one: NDArray[np.float64], other: NDArray[np.float64]) -> Contrast:
        """Return by how much one choice of experts costs more than another, from losses of prompts ``(scored,)``."""
        sums = self.sums(full, [one, other]).sum(axis=1)

        def difference(of: NDArray[np.float64]) -> float:
            return _ratio(of[_OWN] - of[_DRAWS], of)

        return Contrast(difference(sums.sum(axis=0)), self.interval(difference, sums))

    def agreement(self, full: Outcome, outcome: Outcome) -> tuple[float | None, Interval | None]:
        """Return the share of the whole model's tokens before the first that differs, and its interval."""
        if full.written is None or outcome.written is None:
            return None, None
        pairs = list(zip(full.written, outcome.written, strict=True))
        counted = np.array([[len(one), _common(one, other)] for one, other in pairs], dtype=np.float64)
        if not counted[:, 0].any():
            return None, None
        sums = np.zeros((len(self.halves.strata), 2))
        np.add.at(sums, self.halves.blocks, counted)

        def share(of: NDArray[np.float64]) -> float:
            return _ratio(of[1], of)

        return share(sums.sum(axis=0)), self.interval(share, sums)


def _ratio(value: float, sums: NDArray[np.float64]) -> float:
    """Return a sum a token; NaN where there are none."""
    return float(value / sums[_TOKENS]) if sums[_TOKENS] else np.nan


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two texts begin with alike."""
    differ = (i for i, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1])
    return next(differ, min(len(one), len(other)))
