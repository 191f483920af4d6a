"""The prompts that are grouped into batches: what each selects at the same generated steps."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.formats import count
from moexray.routed_tokens import RoutedTokens
from moexray.signatures import Signatures
from moexray.studies.cohort import stream

# Prompts that are grouped, steps that are looked at, and 64-bit words of experts; with wide models there are at least
# so many prompts before there are more than eight steps.
_MOST_PROMPTS, _MOST_STEPS, _MOST_WORDS, _MANY_PROMPTS = 384, 64, 2**22, 128


@dataclass(frozen=True)
class Pool:
    """The prompts that are grouped.

    Attributes
    ----------
    rows
        Their places in the signatures, ascending.
    longest
        Selected generated tokens that each of them has at least.
    steps
        The generated tokens that are looked at, by their place in the prompt.
    chosen
        Which experts each selects at each step ``(prompts, steps, layers, experts)``; `keep` fills it.
    seen
        Which tokens were read ``(prompts, steps)``; `keep` fills it.
    scores
        Router scores, shaped as `chosen`, where they are wanted; `keep` fills them.
    """

    rows: NDArray[np.int64]
    longest: int
    steps: NDArray[np.int64]
    chosen: NDArray[np.bool_] = field(repr=False)
    seen: NDArray[np.bool_] = field(repr=False)
    scores: NDArray[np.float16] | None = field(default=None, repr=False)

    def keep(self, some: RoutedTokens, of_step: NDArray[np.int64]) -> None:
        """Take what is needed of a block of tokens, whose steps are given, −1 for a token that is none."""
        place = np.searchsorted(self.rows, some.prompts).clip(max=len(self.rows) - 1)
        step = np.searchsorted(self.steps, of_step).clip(max=len(self.steps) - 1)
        there = np.flatnonzero((self.rows[place] == some.prompts) & (self.steps[step] == of_step))
        experts = some.experts[there]
        row, layer = place[there, None, None], np.arange(experts.shape[1])[:, None]
        at = np.broadcast_arrays(row, step[there, None, None], layer, experts)
        self.seen[place[there], step[there]] = True
        if self.scores is not None:
            assert some.scores is not None
            self.scores[place[there], step[there]] = some.scores[there]
        self.chosen[tuple(one[experts >= 0] for one in at)] = True

    def check(self) -> None:
        """Raise NotComputable if a prompt has no selected token at some step, as where kinds of tokens alternate."""
        if not self.seen.all():
            message = (
                "the selected tokens of different prompts do not stand at the same generated steps, so no batch is "
                "of them alone: select all generated tokens"
            )
            raise NotComputable(message)


def pool_of(signatures: Signatures, lengths: NDArray[np.int64], *, size: int, seed: int, scores: bool = False) -> Pool:
    """Choose prompts and steps so that every prompt has every step, and as many tokens as can be are looked at.

    Parameters
    ----------
    signatures
        What was recorded.
    lengths
        Selected generated tokens of each prompt ``(prompts,)``.
    size
        Prompts of a batch.
    seed
        Of the sample, where there are many prompts.
    scores
        Whether router scores are wanted.

    Raises
    ------
    NotComputable
        If there are fewer than two batches.
    """
    at_least = np.cumsum(np.bincount(lengths)[::-1])[::-1]  # prompts of each number of tokens or more
    tokens = np.arange(len(at_least)) * np.where(at_least >= 2 * size, at_least, 0)
    if not tokens.any():
        message = (
            f"two batches of {size} prompts are the least to group, and {count(int((lengths > 0).sum()), 'prompt')} "
            "with selected generated tokens are there: make smaller batches, or capture more prompts"
        )
        raise NotComputable(message)
    longest = int(tokens.argmax())
    rows = np.flatnonzero(lengths >= longest)
    layers, width = signatures.shape[2:]
    words, room = layers * -(-width // 64), _MOST_WORDS // (3 if scores else 1)
    most_steps = min(longest, _MOST_STEPS, max(8, room // (words * _MANY_PROMPTS)))
    steps = np.unique(np.linspace(0, longest - 1, most_steps).round().astype(np.int64))
    most = max(2 * size, min(_MOST_PROMPTS, room // (words * len(steps))))
    if len(rows) > most:
        rows = np.sort(stream(seed, "batch.pool").choice(rows, most, replace=False))
    shape = (len(rows), len(steps))
    return Pool(
        rows,
        longest,
        steps,
        chosen=np.zeros((*shape, layers, width), dtype=bool),
        seen=np.zeros(shape, dtype=bool),
        scores=np.zeros((*shape, layers, width), dtype=np.float16) if scores else None,
    )
