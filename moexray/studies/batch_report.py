"""The result of a study of batches: distinct experts by size, bytes, and what grouping saves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from moexray.formats import count
from moexray.stats.pairs.summaries import Interval
from moexray.studies.batch_curves import (
    LayerCurve,
    MeanCurve,
    Values,
)
from moexray.studies.batch_groups import Grouping
from moexray.studies.batch_policy import Policy
from moexray.studies.codec import optional
from moexray.studies.prefill_decode import PrefillDecode
from moexray.studies.results import Result


@dataclass(frozen=True)
class Prefill:
    """Chunks of consecutive tokens of one prompt, by layer and as the mean of layers."""

    layers: tuple[LayerCurve, ...]
    mean: MeanCurve


@dataclass(frozen=True)
class BatchBytes:
    """Bytes of experts that one step reads, over all MoE layers: distinct experts times the size of one.

    Attributes
    ----------
    expert
        Bytes of one expert of each layer.
    all
        Bytes of all experts of the model's MoE layers.
    sizes, decode, decode_ci, load_matched, uniform, prefill
        Bytes by size: of a decoding step, as observed and by the closed forms, and of a chunk of a prompt.
    """

    expert: tuple[int, ...]
    all: int
    sizes: tuple[int, ...]
    decode: Values
    decode_ci: tuple[Interval | None, ...]
    load_matched: Values
    uniform: Values
    prefill: Values


@dataclass(frozen=True, repr=False, kw_only=True)
class Batching(Result):
    """Distinct experts by the size of a batch.

    Attributes
    ----------
    model, prompts, units
        The model; prompts with a selected token, and the units that intervals leave out.
    tokens
        The selector of tokens: generated ones among them make decoding steps, the others chunks of prompts.
    steps
        How many generated tokens the longest prompt has.
    layers, mean
        Decoding: batches of different prompts at the same generated step, by layer and as the mean of layers.
    prefill
        Consecutive tokens of one prompt.
    bytes
        Bytes that a step reads; None where the size of an expert is not known.
    grouping
        What batches of one size read, by how prompts are put together.
    prefill_decode
        How well the prompt phase predicts what decoding selects.
    policy
        What batch-aware routing would read, where it was asked for.
    seed
        Of what is drawn.
    notes
        Why something is None, and what was not looked at.
    fingerprint
        `Signatures.fingerprint` of what was studied.
    """

    WHAT: ClassVar[str] = "a study of batches"
    MADE_BY: ClassVar[str] = "moexray batch --json"
    MARK: ClassVar[str] = "prefill"

    model: str | None
    prompts: int
    units: int
    tokens: str
    steps: int
    layers: tuple[LayerCurve, ...]
    mean: MeanCurve
    prefill: Prefill | None = None
    bytes: BatchBytes | None = None
    grouping: Grouping | None = None
    prefill_decode: PrefillDecode | None = None
    policy: Policy | None = optional()
    seed: int = 0
    notes: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str | None = optional()

    def studied(self) -> tuple[str | None, ...]:
        """Return the fingerprint of the signatures."""
        return (self.fingerprint,)

    def headline(self) -> list[str]:
        """Return the model and its prompts, and what the largest batch and the largest chunk read."""
        lines = [f"{self.model or 'unknown model'}, {count(self.prompts, 'prompt')}: distinct experts of a batch"]
        for what, thing, mean in (
            ("decoding", "prompt", self.mean),
            ("prefill", "consecutive token", None if self.prefill is None else self.prefill.mean),
        ):
            known = [] if mean is None else [i for i, value in enumerate(mean.observed) if value is not None]
            if mean is not None and known:
                i = known[-1]
                lines.append(
                    f"{what}: {count(mean.sizes[i], thing)} read {mean.observed[i]:.1f} experts a layer; "
                    f"load alone predicts {mean.load_matched[i]:.1f}, even load {mean.uniform[i]:.1f}"
                )
        return lines

    def _main_rows(self) -> list[dict[str, Any]]:
        """Return a row for each layer and size."""
        names = ("observed", "load_matched", "uniform")
        return [
            {"layer": one.layer, "size": size, **{name: getattr(one, name)[place] for name in names}}
            for one in self.layers
            for place, size in enumerate(one.sizes)
        ]
