"""The result of a study of two kinds of tokens."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from moexray.formats import count, estimate, number, p_text, percent
from moexray.stats.kinds.devices import MixedLoad
from moexray.stats.kinds.even import EvenLoad
from moexray.stats.kinds.exchange import KindDifference
from moexray.stats.kinds.shift import MsiShift, ShiftedLayer
from moexray.stats.layers.load import LayerLoad
from moexray.studies.codec import optional
from moexray.studies.results import Result


@dataclass(frozen=True)
class KindLoad:
    """The load of one kind in one layer, over all its tokens.

    Attributes
    ----------
    shares
        Share of its selections that each expert gets.
    balance, even, matched
        How balanced it is, and how balanced as many tokens would be under uniform routing, and under load-matched
        routing: by the load of both kinds together.
    """

    shares: tuple[float, ...]
    balance: LayerLoad
    even: EvenLoad
    matched: EvenLoad | None = optional()


@dataclass(frozen=True)
class LayerKinds:
    """Two kinds in one layer, over all tokens.

    Attributes
    ----------
    loads
        The load of each kind, in the order of `Kinds.kinds`.
    bias
        First kind's share over the sum of both, of each expert; None for an expert that neither selects.
    msi
        Mean of ``2·|bias − 0.5|`` over the experts that are selected.
    information, information_share
        I(kind; expert) in nats, and as a share of H(kind).
    """

    layer: int
    loads: tuple[KindLoad, KindLoad]
    bias: tuple[float | None, ...]
    msi: float
    information: float
    information_share: float


@dataclass(frozen=True)
class BusiestDevice:
    """The busiest device of one kind in one layer.

    Attributes
    ----------
    device, busiest
        The device, and its load over the mean of the devices.
    even, matched
        The load of the busiest device over the mean under uniform and under load-matched routing of as many tokens;
        None where the latter cannot be drawn.
    """

    device: int
    busiest: float
    even: float
    matched: float | None


@dataclass(frozen=True)
class KindDevices:
    """Contiguous experts on devices: the busiest one by layer and kind, and as the share of the second kind grows.

    Attributes
    ----------
    devices
        How many there are; neighbouring experts are together.
    recorded_share
        The share of the selections that is by the second kind in what was recorded.
    layers
        The busiest device of each kind, for each layer, in the order of `Kinds.kinds`.
    mixed
        Mean over layers for some shares of the second kind, the recorded one among them.
    """

    devices: int
    recorded_share: float
    layers: tuple[tuple[BusiestDevice, BusiestDevice], ...]
    mixed: tuple[MixedLoad, ...]


@dataclass(frozen=True)
class ShiftedKind:
    """One kind in two sets: units in each, and its load layer by layer."""

    kind: str
    units: tuple[int, int]
    layers: tuple[ShiftedLayer, ...]


@dataclass(frozen=True)
class Shift:
    """Another set of prompts against the first.

    Attributes
    ----------
    model, prompts, fingerprint
        Of the other set.
    layers
        Index in the model of each layer.
    kinds
        The load of each kind that both sets hold.
    msi
        The change of MSI; None where a set has too few prompts that hold both kinds.
    """

    model: str | None
    prompts: int
    fingerprint: str
    layers: tuple[int, ...]
    kinds: tuple[ShiftedKind, ...]
    msi: MsiShift | None


@dataclass(frozen=True, repr=False, kw_only=True)
class Kinds(Result):
    """Two kinds of tokens: how each is routed, and how far apart.

    Attributes
    ----------
    model
        As the signatures name it.
    kinds, tokens
        The selectors of the two kinds, and the tokens of each.
    prompts
        Prompts that hold both kinds, the first alone, and the second alone.
    msi, information_share
        Of all tokens: mean over layers of MSI, and of I(kind; expert) over H(kind).
    design
        ``within``: kinds are compared within prompts, or groups, that hold both; ``between``: no prompt or group holds
        both.
    difference
        With equal weight for every prompt or group: floor and test. None where there are too few.
    layers
        Layer by layer, over all tokens.
    devices
        The busiest of some devices; None where no number of devices was given.
    shift
        Another set of prompts against this one; None without another.
    permutations, seed, notes, fingerprint
        The tests, why something is None, and `Signatures.fingerprint`.
    """

    WHAT: ClassVar[str] = "a study of kinds of tokens"
    MADE_BY: ClassVar[str] = "moexray kinds --json"
    MARK: ClassVar[str] = "kinds"

    model: str | None
    kinds: tuple[str, str]
    tokens: tuple[int, int]
    prompts: tuple[int, int, int]
    msi: float
    information_share: float
    design: str
    difference: KindDifference | None
    layers: tuple[LayerKinds, ...]
    devices: KindDevices | None = optional()
    shift: Shift | None = optional()
    permutations: int
    seed: int
    notes: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str | None = None

    def studied(self) -> tuple[str | None, ...]:
        """Return the fingerprint of the signatures, and of the other set."""
        return (self.fingerprint, *(() if self.shift is None else (self.shift.fingerprint,)))

    def headline(self) -> list[str]:
        """Return the model and the kinds, MSI, and the test."""
        first, second = self.kinds
        lines = [
            f"{self.model or 'unknown model'}, {first} against {second}, {count(sum(self.prompts), 'prompt')}",
            f"MSI {number(self.msi, 3)}; the expert tells {percent(self.information_share)} of the kind",
        ]
        if self.difference is not None:
            found = self.difference
            floor = f"exchanged {number(found.msi_floor, 3)}, {p_text(found.p_value)}"
            lines.append(f"every prompt or group alike: MSI {number(found.msi, 3)}, {floor}")
        if self.shift is not None and self.shift.msi is not None:
            change = self.shift.msi
            lines.append(f"MSI of the other set minus this: {estimate(change.difference, change.ci, 3, signed=True)}")
        return lines

    def _main_rows(self) -> list[dict[str, Any]]:
        """Return a row for each expert of each layer."""
        return [
            {
                "layer": one.layer,
                "expert": expert,
                "bias": bias,
                **{f"load.{kind}": load.shares[expert] for kind, load in zip(self.kinds, one.loads, strict=True)},
            }
            for one in self.layers
            for expert, bias in enumerate(one.bias)
        ]
