"""Routing of a real model for fake servers, by passes of its own: one prompt at a time, read at its experts."""

from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from tests.engines.server.fake_server import Route


def routes_of(model: PreTrainedModel) -> Route:
    """Return what a server of this model answers: greedy tokens, and the experts of all but the last, any order.

    Rows of layers without experts are 0, as servers return them.
    """
    lock = Lock()
    layers = [
        (place, layer.mlp.experts) for place, layer in enumerate(model.model.layers) if hasattr(layer.mlp, "experts")
    ]
    k = model.config.num_experts_per_tok

    def route(token_ids: Sequence[int], body: dict[str, Any]) -> tuple[list[int], NDArray[np.uint8]]:
        ends = [] if body["ignore_eos"] and not body["stop_token_ids"] else body["stop_token_ids"]
        with lock, torch.inference_mode():
            tokens = list(token_ids)
            while len(tokens) < len(token_ids) + body["max_tokens"]:
                tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
                if tokens[-1] in ends:
                    break
            rows = np.zeros((len(tokens) - 1, model.config.num_hidden_layers, k), dtype=np.uint8)

            def keep(place: int) -> Any:
                def hook(_module: Any, inputs: Any) -> None:
                    rows[:, place] = inputs[1].numpy()

                return hook

            hooks = [experts.register_forward_pre_hook(keep(place)) for place, experts in layers]
            model(torch.tensor([tokens[:-1]]))
            for hook in hooks:
                hook.remove()
        return tokens[len(token_ids) :], rows

    return route
