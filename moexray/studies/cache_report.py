"""The result of a study of caches: what expert memory buys, layer by layer and in all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from moexray.formats import count, percent
from moexray.stats.pairs.summaries import Interval
from moexray.studies.codec import optional
from moexray.studies.results import Result

# A value for each capacity, by the name of the policy.
Curves = Mapping[str, tuple[float, ...]]
CurveIntervals = Mapping[str, tuple[Interval | None, ...]]


@dataclass(frozen=True, kw_only=True)
class CacheLayer:
    """Caches of one layer.

    Attributes
    ----------
    layer, experts, top_k
        Index in the model, experts, and selections a token.
    capacities
        How many experts of the layer fit the cache.
    hit_rate, ci
        Share of selections that are hits, and its 95 % interval, of each policy and capacity.
    misses, bytes
        Misses a token, and the bytes that they load; no `bytes` where the size of an expert is not known.
    memory
        Bytes of a cache of each capacity.
    reuse, reuse_ci, reuse_chance
        The share of a token's experts that the token before used as well, of tokens that have one before them in their
        prompt; its interval; and k/E, what independent uniform routing gives.
    """

    layer: int
    experts: int
    top_k: int
    capacities: tuple[int, ...]
    hit_rate: Curves
    ci: CurveIntervals
    misses: Curves
    bytes: Curves | None = optional()
    memory: tuple[int, ...] | None = optional()
    reuse: float | None
    reuse_ci: Interval | None
    reuse_chance: float


@dataclass(frozen=True, kw_only=True)
class CacheTotal:
    """Caches of all layers: of each layer its own, or one that all share.

    Attributes
    ----------
    capacities
        Experts that fit, of all layers together.
    share
        The same as a share of all experts of the model's MoE layers.
    hit_rate, ci, misses, bytes, memory
        As in `CacheLayer`; misses and bytes a token are sums over layers.
    """

    capacities: tuple[int, ...]
    share: tuple[float, ...]
    hit_rate: Curves
    ci: CurveIntervals
    misses: Curves
    bytes: Curves | None = optional()
    memory: tuple[int, ...] | None = optional()


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """A predictor that was learnt on one half of the prompts and scored on the other.

    Attributes
    ----------
    name
        What it predicts from.
    known
        When the prediction can be made.
    recall, recall_ci
        Share of selections that are among the k predicted experts, over all layers.
    precision, precision_ci
        Share of the predicted experts that are selected; differs from recall only where tokens select fewer than k.
    layers
        Recall of each layer.
    hit_rate, ci
        Share of hits where k slots of a layer hold what is predicted and the others what was used last, for each
        capacity.
    loads, loads_ci, bytes
        Experts that are loaded a token, over all layers: predicted ones that were not there, needed or not, and misses.
    """

    name: str
    known: str
    recall: float
    recall_ci: Interval | None
    precision: float
    precision_ci: Interval | None
    layers: tuple[float, ...]
    hit_rate: tuple[float, ...]
    ci: tuple[Interval | None, ...]
    loads: tuple[float, ...]
    loads_ci: tuple[Interval | None, ...]
    bytes: tuple[float, ...] | None = optional()


@dataclass(frozen=True, kw_only=True)
class Segments:
    """Local routing consistency of windows of one length: SRP of arXiv:2505.16056.

    Attributes
    ----------
    m, windows
        Tokens of a window, and how many windows there are.
    value, ci
        SRP with one threshold for all layers.
    uniform
        The closed form for independent tokens that draw experts uniformly.
    load_matched
        The closed form for independent tokens that use experts at the rates of the scored prompts.
    layers
        SRP of each layer, with a threshold of its own.
    """

    m: int
    windows: int
    value: float
    ci: Interval | None
    uniform: float
    load_matched: float
    layers: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class NeededCapacity:
    """The smallest cache of a layer with the wanted hit rate; None where even all experts have less.

    Attributes
    ----------
    layer, capacity
        Index in the model, and experts that fit.
    least, most
        The same where the upper, and the lower, end of the interval has that rate.
    bytes
        Of that cache.
    """

    layer: int
    capacity: int | None
    least: int | None
    most: int | None
    bytes: int | None = optional()


@dataclass(frozen=True, kw_only=True)
class CapacityFor:
    """What a policy needs for the wanted hit rate in every layer.

    Attributes
    ----------
    policy
        Its name.
    experts, share, bytes
        Sum over layers, the same as a share of all experts, and in bytes; None where a layer never has that rate.
    layers
        Of each layer.
    """

    policy: str
    experts: int | None
    share: float | None
    bytes: int | None = optional()
    layers: tuple[NeededCapacity, ...]


@dataclass(frozen=True, repr=False, kw_only=True)
class CacheReport(Result):
    """What expert memory buys: hit rates of caches by capacity and policy, from the routing of a trace.

    Attributes
    ----------
    model, tokens
        The model, and which tokens.
    prompts, learnt_prompts, scored_prompts, scored_tokens
        Prompts that have such tokens, the two halves of them, and tokens of the scored half.
    seed
        Of the halves.
    wanted
        The hit rate that `capacity_for` is for.
    expert_bytes
        Bytes of an expert of each layer; None where they are not known.
    layers
        Caches of each layer.
    together
        The caches of all layers added up: of each capacity, the same place in the lists of every layer.
    shared
        One cache that all layers share, if asked for.
    predictors
        What can be known of a token's experts before they are selected.
    srp
        Local routing consistency.
    capacity_for
        Of each policy.
    notes
        What limits the answer.
    """

    WHAT: ClassVar[str] = "a study of caches"
    MADE_BY: ClassVar[str] = "moexray cache --json"
    MARK: ClassVar[str] = "capacity_for"

    model: str | None
    tokens: str
    prompts: int
    learnt_prompts: int
    scored_prompts: int
    scored_tokens: int
    seed: int
    wanted: float
    expert_bytes: tuple[int, ...] | None = optional()
    fingerprint: str | None = optional()
    layers: tuple[CacheLayer, ...]
    together: CacheTotal
    shared: CacheTotal | None = optional()
    predictors: tuple[Predictor, ...]
    srp: tuple[Segments, ...]
    capacity_for: tuple[CapacityFor, ...]
    notes: Mapping[str, str] = field(default_factory=dict)

    def studied(self) -> tuple[str | None, ...]:
        """Return the fingerprint of the signatures."""
        return (self.fingerprint,)

    def headline(self) -> list[str]:
        """Return the hit rates of a middling capacity, and what the wanted rate takes."""
        middle = (len(self.together.capacities) - 1) // 2
        rates = {name: percent(curve[middle]) for name, curve in self.together.hit_rate.items()}
        lines = [
            f"caches of {percent(self.together.share[middle])} of all experts, "
            f"{count(self.scored_tokens, 'token')} of {count(self.scored_prompts, 'prompt')} scored",
            f"hits of LRU {rates['lru']}, of Belady's optimum {rates['belady']}, by chance {rates['chance']}",
        ]
        needed = next(one for one in self.capacity_for if one.policy == "lru_continued")
        found = "more than all experts" if needed.share is None else f"{percent(needed.share)} of all experts"
        return [
            *lines,
            f"a hit rate of {percent(self.wanted)} takes {found} with a warm LRU cache",
        ]

    def _main_rows(self) -> list[dict[str, Any]]:
        return [
            {"capacity": capacity, "share": share, **{name: curve[place] for name, curve in rates.items()}}
            for rates in (self.together.hit_rate,)
            for place, (capacity, share) in enumerate(zip(self.together.capacities, self.together.share, strict=True))
        ]
