"""What a user states of a file whose format does not say it: layers, experts, k, phases, names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from moexray.errors import ImportingError
from moexray.segments import PLAIN, Segment

# The segments of what is imported; the last is left out where phases are known.
SEGMENTS = (*PLAIN, Segment("mixed"))
PHASES = tuple(one.phase for one in SEGMENTS)
_MOST = int(np.iinfo(np.int16).max)
_RUN = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


@dataclass(frozen=True)
class Stated:
    """Facts that were stated; None for each that was not.

    Attributes
    ----------
    layers
        Index in the model of each MoE layer, ascending.
    num_experts
        Experts of each layer: one number for all.
    top_k
        Selections a token: one number for all layers.
    tokens_are
        ``prompt``, ``generated``, or ``mixed`` where the recording holds both and does not tell them apart.
    category
        The category of every prompt, where no field gives one.
    model
        The name of the model.
    mapping
        The TOML file that says which field holds what.
    prompts
        How a recording without request ids is cut into prompts: ``pool`` or ``sequences``.
    """

    layers: tuple[int, ...] | None = None
    num_experts: int | None = None
    top_k: int | None = None
    tokens_are: str | None = None
    category: str | None = None
    model: str | None = None
    mapping: Path | None = None
    prompts: str | None = None

    def __post_init__(self) -> None:
        for name in ("num_experts", "top_k"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or not 1 <= value <= _MOST):
                message = f"`{name}` is {value!r}: it must be a whole number from 1 to {_MOST}"
                raise ImportingError(message)
        if self.tokens_are is not None and self.tokens_are not in PHASES:
            message = f"`tokens_are` is {self.tokens_are!r}: it must be {', '.join(PHASES[:-1])} or {PHASES[-1]}"
            raise ImportingError(message)
        if self.layers is not None:
            check_layers(self.layers)

    def need(self, name: str, source: object, why: str) -> Any:
        """Return a fact; `ImportingError` that asks for it where it was not stated.

        Parameters
        ----------
        name
            Its name here.
        source
            The file.
        why
            What the file does not say: ``how many experts a layer has``.
        """
        value = getattr(self, name)
        if value is None:
            message = f"{source} does not say {why}: state it with `{name}`"
            raise ImportingError(message)
        return value

    def phase(self, source: object) -> int:
        """Return the place among `SEGMENTS` of all tokens of a file that does not say which were generated."""
        why = "whether its tokens are of prompts or generated"
        return PHASES.index(self.need("tokens_are", source, why))

    def refuse(self, names: Sequence[str], source: object) -> None:
        """Refuse facts that the file itself says, or that do not apply to it."""
        for name in names:
            if getattr(self, name) is not None:
                message = f"{source} leaves nothing to state with `{name}`: leave it out"
                raise ImportingError(message)

    def agree(self, name: str, found: int, source: object) -> None:
        """Refuse a stated number that is not the one that the file says."""
        value = getattr(self, name)
        if value is not None and value != found:
            message = f"{source} says {found}, not `{name}={value}`: leave it out, or look whether it is the right file"
            raise ImportingError(message)

    def joined(self, others: dict[str, Any], source: object) -> "Stated":
        """Return these facts and others that a file of them holds; none may be stated twice."""
        known = {one.name for one in fields(self)}
        assert others.keys() <= known
        for name in others:
            if getattr(self, name) is not None:
                message = f"`{name}` is stated in {source} as well: leave one of them out"
                raise ImportingError(message)
        return replace(self, **others)


def check_layers(layers: Sequence[int]) -> None:
    """Raise ImportingError unless layers are ascending whole numbers."""
    whole = all(type(one) is int and 0 <= one <= _MOST for one in layers)
    if not layers or not whole or any(one >= other for one, other in pairwise(layers)):
        message = "`layers` must be ascending whole numbers, the index in the model of each MoE layer: 0-15 or 1,3,5"
        raise ImportingError(message)


def parse_layers(text: str) -> tuple[int, ...]:
    """Return the layers that a text names.

    Raises
    ------
    ImportingError
        If it does not name ascending layers.

    Examples
    --------
    >>> parse_layers("0-3,8")
    (0, 1, 2, 3, 8)
    """
    found: list[int] = []
    for part in text.split(","):
        run = _RUN.fullmatch(part.strip())
        if run is None:
            message = f"`layers` is {text!r}: write numbers and runs of them, such as 0-15 or 1,3,5"
            raise ImportingError(message)
        found += range(int(run[1]), int(run[2] or run[1]) + 1)
    check_layers(found)
    return tuple(found)
