"""The result of a study of placements: what each placement of experts costs, held out, and the maps themselves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from moexray.formats import count, estimate, tokens_text
from moexray.stats.pairs.summaries import Interval
from moexray.studies.codec import optional
from moexray.studies.results import Result


@dataclass(frozen=True)
class Measure:
    """A value over the scored prompts.

    Attributes
    ----------
    value
        The estimate; of random placements, the mean over draws.
    ci
        Its 95 % interval over units; None where there are too few of them, and for random placements.
    range
        The central 95 % of random placements.
    """

    value: float
    ci: Interval | None
    range: Interval | None = optional()


@dataclass(frozen=True)
class PlacementScore:
    """What one placement costs. A part is None where there is no trace, or the data cannot give it: see the notes.

    Attributes
    ----------
    balancedness
        Mean load of the devices divided by the largest, of all scored tokens, averaged over layers.
    balancedness_step
        The same of one batch of different prompts, averaged over batches: a layer waits for its slowest device at every
        step.
    devices_touched
        Devices that a token's experts are on, averaged over tokens and layers: the copies of a token that are sent.
    busiest
        Distinct experts that the device with most of them reads for a batch.
    moves
        Share of the boundaries between MoE layers where the expert of the largest gate weight is on another device.
    remote
        Share of tokens, layer by layer, that need an expert which is not on the token's own device, where prompts are
        dealt to devices at random.
    nodes_touched
        As `devices_touched`, of nodes; there with several nodes.
    """

    balancedness: Measure | None
    balancedness_step: Measure | None
    devices_touched: Measure | None
    busiest: Measure | None
    moves: Measure | None
    remote: Measure | None
    nodes_touched: Measure | None = optional()


@dataclass(frozen=True)
class KindScore:
    """What one placement costs the tokens of one part, or of all parts. A part is None as in `PlacementScore`.

    Attributes
    ----------
    home
        The device that tokens of this kind start from: the one that holds most of what the kind selects, over all
        layers, on the half that is learnt from. None for all parts together, and for a kind that is not there.
    balancedness, devices_touched
        As of `PlacementScore`, of these tokens alone.
    cross_device
        Share of tokens, layer by layer, that need an expert which is not on the home of their kind.
    sends
        Share of selections whose expert is not on the home of their kind.
    """

    home: int | None
    balancedness: Measure | None
    devices_touched: Measure | None
    cross_device: Measure | None
    sends: Measure | None


@dataclass(frozen=True)
class KindOfTokens:
    """Tokens of one part, such as ``prompt/image``, or ``all``: how many are scored, and what each placement costs."""

    tokens: str
    scored_tokens: int
    placements: Mapping[str, KindScore | None]


@dataclass(frozen=True)
class ClosedForm:
    """What uniform routing gives under any placement with as many experts on each device.

    `remote` is the share of tokens that leave any home, also that of their kind; `sends` the share of selections, there
    where tokens are of several kinds.
    """

    devices_touched: float
    moves: float
    remote: float
    nodes_touched: float | None = optional()
    sends: float | None = optional()


@dataclass(frozen=True)
class Drift:
    """A placement that was learnt on one category and scored on another, or on other prompts of the same one."""

    placement: str
    learnt: str
    scored: str
    balancedness: Measure | None
    devices_touched: Measure | None


@dataclass(frozen=True)
class LayerMap:
    """A layer, by its index in the model, and the experts in the slots of each device."""

    layer: int
    devices: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class PlacementMap:
    """Where a placement puts every expert."""

    placement: str
    layers: tuple[LayerMap, ...]


@dataclass(frozen=True, repr=False, kw_only=True)
class PlacementStudy(Result):
    """Placements of experts on devices, learnt on half of the prompts and scored on the other.

    Attributes
    ----------
    model, tokens
        The model, and which tokens were counted.
    layers, experts, top_k
        Index, experts and selections a token of each MoE layer.
    prompts, learnt, scored
        Prompts with such a token, and those of each half.
    devices, nodes, groups, redundant
        Devices, the nodes they are on, the groups of experts that stay on a node (None: each expert by itself), and
        slots beyond one for each expert, which EPLB fills.
    batch, batches, draws, seed
        Prompts of a batch, the batches drawn, the random placements drawn, and the seed of all draws.
    placements
        The score of each placement; None where it cannot be made.
    closed_form
        What uniform routing gives; None where devices cannot hold equally many experts.
    drift
        Placements learnt on one category and scored on another; None with one category or very many.
    by_kind
        The same for the tokens of each segment and for all, where tokens are of several kinds, as text and image.
    map
        The map of one placement, where it was asked for.
    notes
        Why something is None, and what was looked at.
    fingerprint
        `Signatures.fingerprint` of what was studied.
    """

    WHAT: ClassVar[str] = "a study of placements"
    MADE_BY: ClassVar[str] = "moexray place --json"
    MARK: ClassVar[str] = "placements"

    model: str | None
    tokens: str
    layers: tuple[int, ...]
    experts: tuple[int, ...]
    top_k: tuple[int, ...]
    prompts: int
    learnt: int
    scored: int
    devices: int
    nodes: int
    groups: int | None
    redundant: int
    batch: int
    batches: int
    draws: int
    seed: int
    placements: Mapping[str, PlacementScore | None]
    closed_form: ClosedForm | None
    drift: tuple[Drift, ...] | None
    by_kind: tuple[KindOfTokens, ...] | None = optional()
    map: PlacementMap | None = optional()
    notes: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str | None = optional()

    def studied(self) -> tuple[str | None, ...]:
        """Return the fingerprint of the signatures."""
        return (self.fingerprint,)

    def headline(self) -> list[str]:
        """Return what was placed, the most balanced placement, and the one whose tokens touch the fewest devices."""
        lines = [
            f"{self.model or 'unknown model'}, {tokens_text(self.tokens)}: experts on {count(self.devices, 'device')}",
        ]
        for name, best, says in (
            ("balancedness", max, "loads are most even"),
            ("devices_touched", min, "tokens touch the fewest devices"),
        ):
            there = {one: getattr(score, name) for one, score in self.placements.items() if one != "random" and score}
            found = {one: measure for one, measure in there.items() if measure is not None}
            if found:
                chosen = best(found, key=lambda one: found[one].value)
                lines.append(f"{says} with {chosen}: {estimate(found[chosen].value, found[chosen].ci)}")
        return lines

    def _main_rows(self) -> list[dict[str, Any]]:
        """Return a row for each placement."""
        names = [one for one in PlacementScore.__dataclass_fields__ if one != "nodes_touched" or self.nodes > 1]
        rows = []
        for placement, score in self.placements.items():
            row: dict[str, Any] = {"placement": placement}
            for name in names:
                measure = None if score is None else getattr(score, name)
                row[name] = None if measure is None else measure.value
                low, high = (None, None) if measure is None else measure.ci or measure.range or (None, None)
                row[f"{name}.low"], row[f"{name}.high"] = low, high
            rows.append(row)
        return rows
