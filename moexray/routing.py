"""What every engine yields: the layout of a model's routers, and one routed sequence a prompt."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RouterLayout:
    """Where a model routes: one entry for each MoE layer, in the order of the layers.

    Attributes
    ----------
    layers
        Decoder-layer index of each MoE layer.
    experts
        Experts that the layer's router chooses from (shared experts are not among them).
    top_k
        Experts that the router selects for a token.
    """

    layers: tuple[int, ...]
    experts: tuple[int, ...]
    top_k: tuple[int, ...]

    def __post_init__(self) -> None:
        if not len(self.layers) == len(self.experts) == len(self.top_k) > 0:
            message = f"a layout needs as many layers as widths and k, and at least one, not {self}"
            raise ValueError(message)


@dataclass(frozen=True)
class RoutedSequence:
    """The experts that one prompt's tokens, and the tokens generated after it, were sent to.

    Attributes
    ----------
    prompt
        Index of the prompt in the list that the engine was given.
    token_ids
        int32 ``(tokens,)``: prompt tokens, then generated ones; the last generated token is not
        among them, since it never passes a router.
    experts
        int16 ``(tokens, layers, k)``: what the router sent each token to; −1 where it used fewer than k.
    prompt_length
        How many of the tokens are the prompt's.
    output
        The text that the model generated.
    gate_weights
        float16 ``(tokens, layers, k)``: the weight that each selected expert's output got, where asked for.
    """

    prompt: int
    token_ids: NDArray[np.int32]
    experts: NDArray[np.int16]
    prompt_length: int
    output: str
    gate_weights: NDArray[np.float16] | None = None

    def __post_init__(self) -> None:
        if self.experts.ndim != 3 or len(self.experts) != len(self.token_ids):
            message = f"{len(self.token_ids)} tokens do not fit experts of shape {self.experts.shape}"
            raise ValueError(message)
        if not 0 <= self.prompt_length <= len(self.token_ids):
            message = f"a prompt of {self.prompt_length} tokens does not fit a sequence of {len(self.token_ids)}"
            raise ValueError(message)
