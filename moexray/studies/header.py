"""What a result is about, and the settings that it was computed with."""

from collections.abc import Mapping
from dataclasses import dataclass

from moexray.studies.codec import optional


@dataclass(frozen=True)
class Header:
    """The signatures that were studied.

    Attributes
    ----------
    prompts, categories
        Prompts that have a token in the selection, in all and of each category.
    layers, top_k
        Index in the model of each MoE layer, and its selections a token.
    experts
        Experts of the widest layer.
    phase, by
        Which tokens (`moexray.segments.places`), and what signatures are shares of: ``counts`` or ``mass``.
    model
        As `Signatures.meta` names it.
    experts_by_layer
        How many experts each layer has, where layers differ.
    sample
        How many prompts were drawn for what needs all prompts in memory; None where that looked at all of them.
    fingerprint
        `Signatures.fingerprint` of what was studied; None in a file that was written before it was recorded.
    """

    prompts: int
    categories: Mapping[str, int]
    layers: tuple[int, ...]
    experts: int
    top_k: tuple[int, ...]
    phase: str
    by: str
    model: str | None
    experts_by_layer: tuple[int, ...] | None = optional()
    sample: int | None = optional()
    fingerprint: str | None = optional()


@dataclass(frozen=True)
class Settings:
    """Options of an analysis, the version that computed it, and whether it had a trace."""

    permutations: int
    seed: int
    folds: int
    moexray: str
    trace: bool = False
