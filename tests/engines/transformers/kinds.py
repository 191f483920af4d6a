"""Text models whose tokens are called image tokens here and there: rules by kind see the same rows in any model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from moexray.engines.rule_checks import check_rule
from moexray.engines.rules import Rule, k_of_pass
from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.hooks import recorded_selections, recorded_weights
from moexray.engines.transformers.router_trials import find_routers
from moexray.engines.transformers.ruling import carried_out
from moexray.segments import WITH_IMAGES

TEXT, IMAGE = 0, 1


@dataclass(frozen=True)
class Text:
    """Tokens, and which of them stand for an image."""

    ids: tuple[int, ...]
    images: tuple[int, ...] = ()

    @property
    def segments(self) -> NDArray[np.int8]:
        found = np.zeros(len(self.ids), dtype=np.int8)
        found[list(self.images)] = IMAGE
        return found

    @property
    def is_image(self) -> NDArray[np.bool_]:
        return self.segments == IMAGE


@dataclass(frozen=True)
class Found:
    """Logits of the tokens of each text, and their selections and weights ``(tokens, layers, k)``."""

    logits: list[Tensor]
    experts: list[NDArray[np.int16]]
    weights: list[NDArray[np.float16]]


@torch.inference_mode()
def under(engine: TransformersEngine, rule: Rule | None, texts: Sequence[Text]) -> Found:
    """Run texts together, padded on the left, under a rule."""
    width = max(len(text.ids) for text in texts)
    ids = torch.zeros((len(texts), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, text in enumerate(texts):
        ids[row, width - len(text.ids) :] = torch.tensor(text.ids)
        mask[row, width - len(text.ids) :] = 1
    if rule is None:
        return _run(engine, engine.taps, ids, mask)
    layout = replace(engine.layout, segments=WITH_IMAGES)
    check_rule(rule, layout)
    if engine._routers is None:
        engine._routers = find_routers(engine.model, engine.taps, k_of_pass(layout), 52)
    with carried_out(engine.taps, layout, rule, engine._routers) as ruling:
        names = [str(place) for place in range(len(texts))]
        ruling.places.begin(names, [len(text.ids) for text in texts], [text.segments for text in texts])
        found = _run(engine, ruling.taps, ids, mask)
        padded = np.full((len(texts), width, *found.experts[0].shape[1:]), -1, dtype=np.int16)
        for row, experts in enumerate(found.experts):
            padded[row, width - len(experts) :] = experts
        ruling.check(padded)
    return found


def _run(engine: TransformersEngine, taps: list, ids: Tensor, mask: Tensor) -> Found:  # type: ignore[type-arg]
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with recorded_selections(taps) as selections, recorded_weights(taps) as gates:
        logits = engine.model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False).logits
    experts, weights = _stacked(selections, ids.shape, -1), _stacked(gates, ids.shape, 0)
    own = mask.bool()
    return Found(
        [logits[row, own[row]] for row in range(len(ids))],
        [experts[row, own[row]].numpy() for row in range(len(ids))],
        [weights[row, own[row]].numpy() for row in range(len(ids))],
    )


def _stacked(layers: list[list[Tensor]], shape: torch.Size, filling: int) -> Tensor:  # (texts, tokens, layers, k)
    joined = [torch.cat(layer).view(*shape, -1) for layer in layers]
    widest = max(layer.shape[-1] for layer in joined)
    return torch.stack(
        [nn.functional.pad(layer, (0, widest - layer.shape[-1]), value=filling) for layer in joined], dim=2
    )
