"""Simulated studies that break the assumptions of a test: templates, shared contents, unequal lengths and spreads.

Each function draws one study. Unless it says otherwise its categories do not differ, so every p-value should be
uniform. A token selects the k experts of the largest logit plus standard Gumbel noise: k distinct experts, drawn
without replacement by softmax(logit).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SimulatedStudy:
    """Prompts with their categories, groups and selections.

    Attributes
    ----------
    counts
        Selections ``(prompts, layers, experts)``.
    labels, groups
        Category and group of each prompt; `groups` is None where every prompt is its own.
    tokens
        Routed tokens of each prompt ``(prompts,)``.
    """

    counts: np.ndarray
    labels: list[str]
    groups: list[str] | None
    tokens: np.ndarray

    @property
    def shares(self) -> np.ndarray:  # (prompts, layers, experts)
        return self.counts / self.counts.sum(axis=2, keepdims=True)

    @property
    def vectors(self) -> np.ndarray:  # (prompts, layers * experts)
        return self.shares.reshape(len(self.labels), -1)


def selected(rng: np.random.Generator, logits: np.ndarray, tokens: int, k: int) -> np.ndarray:
    """Draw the selections of prompts from their logits ``(prompts, layers, experts)``."""
    noisy = logits[:, None] + rng.gumbel(size=(len(logits), tokens, *logits.shape[1:]))
    chosen = np.argpartition(-noisy, k - 1, axis=3)[..., :k]
    marks = np.zeros(noisy.shape, dtype=np.int64)
    np.put_along_axis(marks, chosen, 1, axis=3)
    return marks.sum(axis=1)


def nested_templates(
    rng: np.random.Generator,
    template: float,
    *,
    category: float = 0.0,
    categories: int = 4,
    templates: int = 4,
    prompts: int = 5,
    layers: int = 3,
    experts: int = 16,
    k: int = 4,
    tokens: int = 50,
) -> SimulatedStudy:
    """Categories of several templates each, which differ by `template`; categories differ by `category`."""
    number = categories * templates * prompts
    of_template = np.repeat(np.arange(categories * templates), prompts)
    of_category = of_template // templates
    logits = rng.normal(size=(layers, experts)) + 0.3 * rng.normal(size=(number, layers, experts))
    logits = logits + template * rng.normal(size=(categories * templates, layers, experts))[of_template]
    logits = logits + category * rng.normal(size=(categories, layers, experts))[of_category]
    labels, groups = [f"kind {c}" for c in of_category], [f"template {t}" for t in of_template]
    return SimulatedStudy(selected(rng, logits, tokens, k), labels, groups, np.full(number, tokens))


def crossed_contents(
    rng: np.random.Generator,
    content: float,
    category: float,
    *,
    contents: int = 20,
    categories: int = 4,
    layers: int = 3,
    experts: int = 16,
    k: int = 4,
    tokens: int = 50,
) -> SimulatedStudy:
    """Every content once in each category: contents differ by `content`, categories by `category`."""
    of_content, of_category = (part.ravel() for part in np.indices((contents, categories)))
    logits = rng.normal(size=(layers, experts)) + 0.3 * rng.normal(size=(contents * categories, layers, experts))
    logits = logits + content * rng.normal(size=(contents, layers, experts))[of_content]
    logits = logits + category * rng.normal(size=(categories, layers, experts))[of_category]
    labels, groups = [f"kind {c}" for c in of_category], [f"content {c}" for c in of_content]
    return SimulatedStudy(selected(rng, logits, tokens, k), labels, groups, np.full(len(labels), tokens))


@dataclass(frozen=True)
class Sample:
    """One category of `equal_means`: prompts, their range of tokens, and how closely they follow the common mean."""

    prompts: int
    tokens: tuple[int, int]
    concentration: float


def equal_means(
    rng: np.random.Generator,
    samples: Sequence[Sample],
    *,
    mean: float = 1.0,
    layers: int = 4,
    experts: int = 32,
    k: int = 4,
) -> SimulatedStudy:
    """Categories of one mean routing, which may differ in length, in spread and in number of prompts.

    The mean of a layer is drawn from Dirichlet(`mean`), a prompt's shares from Dirichlet(concentration · mean), its
    number of tokens log-uniformly, its counts from a multinomial distribution of k times as many selections.
    """
    means = rng.dirichlet(np.full(experts, mean), size=layers)
    counts, labels, lengths = [], [], []
    for number, sample in enumerate(samples):
        low, high = np.log(sample.tokens)
        for _ in range(sample.prompts):
            tokens = round(float(np.exp(rng.uniform(low, high))))
            drawn = [rng.dirichlet(np.maximum(sample.concentration * one, 1e-9)) for one in means]
            counts.append([rng.multinomial(tokens * k, shares) for shares in drawn])
            labels.append(f"kind {number}")
            lengths.append(tokens)
    return SimulatedStudy(np.array(counts), labels, None, np.array(lengths))


# The rows of `equal_means`: categories that differ in length, in spread or in size only.
EQUAL = (Sample(20, (20, 80), 20), Sample(20, (20, 80), 20))
SHORT_AND_LONG = (Sample(20, (10, 40), 1e4), Sample(20, (30, 200), 1e4))
FEW_SHORT_MANY_LONG = (Sample(10, (10, 40), 1e4), Sample(60, (30, 200), 1e4))
MANY_SHORT_FEW_LONG = (Sample(60, (10, 40), 1e4), Sample(10, (30, 200), 1e4))
FEW_SHORT_MANY_LONG_THAT_DIFFER = (Sample(10, (10, 60), 20), Sample(60, (30, 200), 20))
FEW_LOOSE_MANY_TIGHT = (Sample(10, (50, 60), 4), Sample(60, (50, 60), 40))
MANY_LOOSE_FEW_TIGHT = (Sample(60, (50, 60), 4), Sample(10, (50, 60), 40))
LOOSE_AND_TIGHT = (Sample(20, (50, 60), 4), Sample(20, (50, 60), 40))
EQUAL_MEANS = {
    "equal": EQUAL,
    "20 short, 20 long": SHORT_AND_LONG,
    "10 short, 60 long": FEW_SHORT_MANY_LONG,
    "60 short, 10 long": MANY_SHORT_FEW_LONG,
    "10 short, 60 long, prompts differ": FEW_SHORT_MANY_LONG_THAT_DIFFER,
    "10 loose, 60 tight": FEW_LOOSE_MANY_TIGHT,
    "60 loose, 10 tight": MANY_LOOSE_FEW_TIGHT,
    "20 loose, 20 tight": LOOSE_AND_TIGHT,
}
