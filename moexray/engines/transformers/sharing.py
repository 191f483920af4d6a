"""Which prompts may share a batch: those that a model routes beside others as it routes them alone.

Prompts of a batch are padded on the left. Most models leave padding out by the attention mask and number positions from
each prompt's own first token. What does not is told by properties of a model's configuration.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.engines.transformers.configuration import greatest, layer_kinds, rope_types, text_config, value
from moexray.errors import CaptureError
from moexray.prompts import Prompt

ALONE = -1

# Models whose prompts run one by one for what their code does, though their configuration does not show it.
NAMED = {"granitemoe_swa": "its sliding attention makes padding, and then every token, not a number"}
# Models that scale attention by a token's slot, padding counted, in slots beyond the number of this setting.
_SCALED_BEYOND = {"inkling_text": "log_scaling_n_floor"}
# Kinds of layers that are tested to give a prompt the same beside others. Any other kind may not.
_TESTED = frozenset(
    {
        "attention",
        "chunked_attention",
        "conv",
        "full_attention",
        "hybrid",
        "hybrid_sliding",
        "indexed_attention",
        "linear_attention",
        "mamba",
        "mlp",
        "moe",
        "sliding_attention",
    }
)
_UNTESTED = {
    "compressed_sparse_attention": "its compressed attention takes padding for tokens",
    "heavily_compressed_attention": "its compressed attention takes padding for tokens",
}


@dataclass(frozen=True)
class Sharing:
    """What the prompts of a batch must have in common.

    Attributes
    ----------
    alone
        Why no prompts may share a batch; empty if some may.
    slots
        Prompts share a batch while no more tokens of each than this pass the model, padding included; None for any.
    written
        Prompts share a batch while no more generated tokens of each than this pass the model; None for any.
    turns
        Lengths beyond which all tokens are computed otherwise: a batch is on one side of each.
    reason
        Why there are such limits; empty if there are none.
    """

    alone: str = ""
    slots: int | None = None
    written: int | None = None
    turns: tuple[int, ...] = ()
    reason: str = ""

    def groups(self, lengths: NDArray[np.integer], new_tokens: int) -> NDArray[np.int32]:  # (prompts,)
        """Return a number for each prompt: those with the same may share a batch, and one with −1 runs alone.

        Parameters
        ----------
        lengths
            Tokens of each prompt ``(prompts,)``.
        new_tokens
            The most tokens that are generated after each.
        """
        written = max(0, new_tokens - 1)  # the last one passes no router
        groups = np.zeros(len(lengths), dtype=np.int32)
        for turn in self.turns:
            groups += lengths > turn
        if self.slots is not None:
            groups[lengths + written > self.slots] = ALONE
        if self.alone or (self.written is not None and written > self.written):
            groups[:] = ALONE
        return groups

    def check_turns(self, prompts: Sequence[Prompt], lengths: NDArray[np.integer], new_tokens: int) -> None:
        """Refuse a prompt on whose way the model turns: its first tokens would be computed, and routed, twice.

        Raises
        ------
        CaptureError
            If there is one, which is named.
        """
        written = max(0, new_tokens - 1)
        for turn in self.turns:
            crossing = np.flatnonzero((lengths <= turn) & (lengths + written > turn))
            if len(crossing):
                name, length = prompts[crossing[0]].id, int(lengths[crossing[0]])
                message = (
                    f"prompt {name!r} has {length} tokens: with {new_tokens} generated ones it passes {turn}, where "
                    "this model changes the positions of all tokens (longrope) and would route those before it anew: "
                    f"lower `max_new_tokens` to {turn - length + 1}, or shorten the prompt"
                )
                raise CaptureError(message)


def check_shared(prompts: Sequence[Prompt], groups: NDArray[np.integer], reason: str) -> None:
    """Refuse a batch of prompts that may not share one.

    Raises
    ------
    CaptureError
        If there are two such prompts.
    """
    if len(prompts) > 1 and (groups[0] == ALONE or (groups != groups[0]).any()):
        other = prompts[int(np.argmax(groups != groups[0])) or 1]
        message = (
            f"prompts {prompts[0].id!r} and {other.id!r} cannot share a batch of this model: {reason}; "
            "run together what `groups` gives one number"
        )
        raise CaptureError(message)


def sharing_of(config: Any) -> Sharing:
    """Return what the prompts of a batch must have in common for the model of this configuration."""
    text = text_config(config)
    kinds = layer_kinds(text)
    limits: dict[str, Any] = {}
    reasons: list[str] = []
    if (slots := _unscaled_slots(text)) is not None:
        limits["slots"] = slots
        reasons.append("its attention counts padding as tokens where it scales by length")
    if "minimax_m3_sparse" in kinds:
        kinds.discard("minimax_m3_sparse")
        limits["slots"] = min(greatest(text, "index_block_size") or 0, limits.get("slots", np.inf))
        reasons.append("the blocks of its sparse attention are shifted by padding")
    if "reference_sliding_attention" in kinds:
        kinds.discard("reference_sliding_attention")
        limits["written"] = greatest(text, "sliding_window") or 0
        reasons.append("its attention drops generated tokens, and takes others for padding after that")
    if turns := _turns(text):
        limits["turns"] = turns
        reasons.append("a batch with one long prompt gets the long factors of its rotary positions (longrope)")
    alone = NAMED.get(str(value(config, "model_type")), "") or _untested(kinds)
    return Sharing(alone, **limits, reason=alone or "; ".join(reasons))


def _unscaled_slots(text: Any) -> int | None:
    """Return how many slots attention leaves as they are before it scales by slot; None where it does not."""
    if value(text, "attn_temperature_tuning") and (scale := greatest(text, "floor_scale")) is not None:
        return scale - 1
    setting = _SCALED_BEYOND.get(str(value(text, "model_type")))
    return None if setting is None else greatest(text, setting)


def _turns(text: Any) -> tuple[int, ...]:
    """Return the lengths at which longrope changes from its short to its long factors."""
    found = set()
    for settings in rope_types(text):
        if settings.get("rope_type", settings.get("type")) == "longrope":
            own = settings.get("original_max_position_embeddings")
            turn = own or greatest(text, "original_max_position_embeddings", "max_position_embeddings")
            if turn is not None:
                found.add(int(turn))
    return tuple(sorted(found))


def _untested(kinds: set[str]) -> str:
    unknown = sorted(kinds - _TESTED)
    if not unknown:
        return ""
    return _UNTESTED.get(unknown[0], f"its layers of kind {unknown[0]!r} are not known to leave padding out")
