"""Routing rules: which of a router's selections an engine carries out, and with which weights.

A rule is plain data. An engine with the capability ``rules`` carries it out; its recording then shows the rule's own
selections, −1 where one is left out. *Rank* is the place of a selection in the order of falling gate weight, from 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from moexray.routing import RouterLayout

Normalisation = Literal["native", "kept", "rescaled"]
Meaning = Literal["skipped", "replaced"]
# Experts by the index of their decoder layer.
ExpertsByLayer = Mapping[int, Sequence[int]]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What all rules have.

    Attributes
    ----------
    normalisation
        The weights of the selections that are left: ``kept``, as they were; ``rescaled``, scaled so that they sum to
        what all k summed to; ``native``, as the model weighs fewer selections: rescaled where its router normalises
        over the selected experts, otherwise kept.
    layers
        Indices of the decoder layers that follow the rule; None for all MoE layers.
    """

    normalisation: Normalisation = "native"
    layers: tuple[int, ...] | None = None


@dataclass(frozen=True)
class FixedK(Rule):
    """Each token keeps `k` selections: with ``native``, the model's own router selects `k`; otherwise ranks below k."""

    k: int


@dataclass(frozen=True)
class PerLayer(Rule):
    """Each MoE layer keeps a number of selections of its own, one of `k` a layer; see `FixedK`."""

    k: tuple[int, ...]


@dataclass(frozen=True)
class TopP(Rule):
    """A token keeps the fewest selections, by falling weight, that hold the share `p` of its k gate weights."""

    p: float


@dataclass(frozen=True)
class Skip(Rule):
    """A selection is left out where its weight is below `beta` times the token's greatest (NAEE, arXiv:2402.14800).

    `beta` is one number, or one for each MoE layer.
    """

    beta: float | tuple[float, ...]


@dataclass(frozen=True)
class Below(Rule):
    """A selection is left out where its gate weight times its layer's `importance` is below `threshold`.

    This is the rule of MoDES (arXiv:2511.15690), which has a threshold for each kind of token: see `ByKind`. A token
    may be left with no selection.

    Attributes
    ----------
    importance
        What each MoE layer's experts are worth, for each MoE layer.
    threshold
        The same for all layers.
    """

    importance: tuple[float, ...]
    threshold: float


@dataclass(frozen=True)
class OnDemand(Rule):
    """A token keeps more selections, the higher the entropy of its k gate weights, each divided by their sum.

    Attributes
    ----------
    least
        Selections that every token keeps, for each MoE layer.
    thresholds
        Rising entropies in nats, for each MoE layer: a token keeps one selection more for each that its entropy
        exceeds.
    """

    least: tuple[int, ...]
    thresholds: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class RandomDrop(Rule):
    """A token keeps selections drawn at random, `mean_k` on average: the control of any rule with that mean.

    Each keeps ⌊mean_k⌋ selections or one more. Draws depend on `seed`, the prompt's id, the token's position and the
    layer, and on nothing that shares the batch. `mean_k` is one number, or one for each MoE layer.
    """

    mean_k: float | tuple[float, ...]
    seed: int = 0


@dataclass(frozen=True)
class LeaveOutRanks(Rule):
    """A token goes without its selections of these ranks: 0 is that of the greatest gate weight."""

    ranks: tuple[int, ...]


@dataclass(frozen=True)
class Without(Rule):
    """No token is sent to the given `experts` of a layer.

    Attributes
    ----------
    experts
        By the index of the decoder layer.
    meaning
        ``skipped``: a selection of one of them is left out, and nothing takes its place. ``replaced``: the router
        chooses among the other experts, since the logits of these are minus infinity; weights are then the router's
        own (``native``).
    """

    experts: ExpertsByLayer
    meaning: Meaning = "skipped"


@dataclass(frozen=True)
class Given(Rule):
    """All tokens of a layer are sent to the given `experts`: the expert in place j gets the weight of rank j.

    `experts` is by the index of the decoder layer, at most k of a layer; other layers route as they do.
    """

    experts: ExpertsByLayer


@dataclass(frozen=True)
class ByKind(Rule):
    """Tokens of each kind follow a rule of their own, with a normalisation and layers of its own.

    Generated tokens are of kind ``text``. Tokens of a kind without a rule are routed as the model routes them.

    Attributes
    ----------
    rules
        By the kind of token, such as ``text`` and ``image``.
    """

    rules: Mapping[str, Rule]


def described(rule: Rule) -> dict[str, Any]:
    """Return a rule as JSON values, by name."""
    if isinstance(rule, ByKind):
        return {"rule": "ByKind", "kinds": {kind: described(part) for kind, part in rule.rules.items()}}
    values = {name: value for name, value in asdict(rule).items() if value is not None}
    for name, value in values.items():
        if isinstance(value, Mapping):
            values[name] = {str(layer): [int(one) for one in experts] for layer, experts in value.items()}
        elif isinstance(value, tuple):
            values[name] = [list(one) if isinstance(one, tuple) else one for one in value]
    return {"rule": type(rule).__name__, **values}


def layer_values(value: Any, layout: RouterLayout) -> list[Any]:
    """Return a rule's number for each MoE layer: its own where it has one each, otherwise the same."""
    return list(value) if isinstance(value, tuple) else [value] * len(layout.layers)


def k_of_pass(layout: RouterLayout) -> list[int]:
    """Return how many experts each MoE layer selects for a token at one pass."""
    return [k // passes for k, passes in zip(layout.top_k, layout.passes, strict=True)]
