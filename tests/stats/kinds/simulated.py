"""Simulated prompts that hold two kinds of tokens, in ways that break the assumptions of a test.

Each function draws the selections of the units by the tokens of each kind, ``(units, layers, experts)``, with one
selection a token. Unless it says otherwise both kinds have the same mean shares.
"""

from collections.abc import Callable

import numpy as np

EXPERTS = 16
Two = tuple[np.ndarray, np.ndarray]
Draw = Callable[[np.random.Generator, int], Two]


def _length(rng: np.random.Generator, low: int, high: int) -> int:
    return int(np.exp(rng.uniform(np.log(low), np.log(high + 1))))


def _counts(
    rng: np.random.Generator, tokens: int, base: np.ndarray, *, alike: float | None = None, run: int = 1
) -> np.ndarray:
    """Tokens of one prompt; `alike` is how near to `base` its shares are, `run` how many tokens go to one expert."""
    shares = base if alike is None else rng.dirichlet(alike * base + 1e-9)
    runs = rng.multinomial(tokens // run, shares) * run
    runs[rng.choice(EXPERTS, p=shares)] += tokens % run
    return runs


def _units(rng: np.random.Generator, units: int, draw: Callable[[int, np.ndarray], Two], layers: int = 1) -> Two:
    first = np.zeros((units, layers, EXPERTS), dtype=np.int64)
    second = np.zeros_like(first)
    for layer in range(layers):
        base = rng.dirichlet(np.ones(EXPERTS))
        for unit in range(units):
            first[unit, layer], second[unit, layer] = draw(unit, base)
    return first, second


def alike(rng: np.random.Generator, units: int, layers: int = 1) -> Two:
    """Kinds of equal length and spread."""
    return _units(
        rng, units, lambda _, base: (_counts(rng, 60, base, alike=20), _counts(rng, 60, base, alike=20)), layers
    )


def unequal_lengths(rng: np.random.Generator, units: int) -> Two:
    """5 to 40 tokens of text, and 200 to 800 of an image."""
    return _units(
        rng,
        units,
        lambda _, base: (
            _counts(rng, _length(rng, 5, 40), base, alike=20),
            _counts(rng, _length(rng, 200, 800), base, alike=20),
        ),
    )


def images_of_one_expert(rng: np.random.Generator, units: int) -> Two:
    """All 600 tokens of an image go to one expert."""
    return _units(rng, units, lambda _, base: (_counts(rng, 40, base, alike=50), _counts(rng, 600, base, run=600)))


def images_in_runs(rng: np.random.Generator, units: int) -> Two:
    """Images of 60 to 1500 tokens, of which runs of 50 go to one expert."""
    return _units(
        rng,
        units,
        lambda _, base: (
            _counts(rng, _length(rng, 20, 60), base, alike=50),
            _counts(rng, _length(rng, 60, 1500), base, run=50),
        ),
    )


def loose_images(rng: np.random.Generator, units: int) -> Two:
    """Images differ from each other much more than texts do, and in length."""
    return _units(
        rng,
        units,
        lambda _, base: (_counts(rng, 50, base, alike=200), _counts(rng, _length(rng, 30, 3000), base, alike=3)),
    )


def composition(rng: np.random.Generator, units: int) -> Two:
    """Prompts of one sort hold much text, those of another much image: each routes both of its kinds alike."""

    def draw(unit: int, base: np.ndarray) -> Two:
        shares = rng.dirichlet(30 * np.roll(base, 7 * (unit % 2)) + 1e-9)
        lengths = (200, 20) if unit % 2 else (20, 200)
        return rng.multinomial(lengths[0], shares), rng.multinomial(lengths[1], shares)

    return _units(rng, units, draw)


def exchanged(rng: np.random.Generator, units: int) -> Two:
    """20 tokens of text, 600 of an image in runs and to other experts; then kinds are exchanged in units at random."""

    def draw(_: int, base: np.ndarray) -> Two:
        both = _counts(rng, _length(rng, 5, 40), base, alike=50), _counts(rng, 600, np.roll(base, 5), run=60)
        return both if rng.random() < 0.5 else (both[1], both[0])

    return _units(rng, units, draw)


def planted(rng: np.random.Generator, units: int, layers: int = 1) -> Two:
    """Images prefer other experts, a little."""
    return _units(
        rng,
        units,
        lambda _, base: (
            _counts(rng, 40, base, alike=30),
            _counts(rng, 300, 0.75 * base + 0.25 * np.roll(base, 5), alike=15),
        ),
        layers,
    )


NO_DIFFERENCE: tuple[Draw, ...] = (
    alike,
    unequal_lengths,
    images_of_one_expert,
    images_in_runs,
    loose_images,
    composition,
)
