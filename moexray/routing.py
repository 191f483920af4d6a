"""What every engine yields: the layout of a model's routers, and one routed sequence a prompt."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.recorded_images import RecordedImage
from moexray.segments import PLAIN, Segment

# Kinds whose tokens a processor puts into a prompt, where no model writes them.
_PLACED = ("image", "audio", "video")


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
    segments
        The segments that tokens may belong to.
    passes
        How often a token passes each layer, once by default; `top_k` adds up the selections of all passes, which
        stand one after the other.
    """

    layers: tuple[int, ...]
    experts: tuple[int, ...]
    top_k: tuple[int, ...]
    segments: tuple[Segment, ...] = PLAIN
    passes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "passes", self.passes or (1,) * len(self.layers))
        if not len(self.layers) == len(self.experts) == len(self.top_k) == len(self.passes) > 0:
            message = f"a layout needs as many layers as widths and k, and at least one, not {self}"
            raise ValueError(message)


@dataclass(frozen=True)
class RoutedSequence:
    """The experts that one prompt's tokens, and the tokens generated after it, were sent to.

    Attributes
    ----------
    token_ids
        int32 ``(tokens,)``: prompt tokens, then generated ones; the last generated token is not among them, since it
        never passes a router.
    segments
        int8 ``(tokens,)``: the place of each token's segment in `segment_names`.
    experts
        int16 ``(tokens, layers, k)``: what the router sent each token to; −1 where it used fewer than k.
    output
        The text that the model generated.
    gate_weights
        float16 ``(tokens, layers, k)``: the weight that each selected expert's output got, where asked for.
    scores
        float16 ``(tokens, layers, experts)``: what the router took its top k of, for every expert, where asked for; −∞
        for an expert that it ruled out, or that the layer does not have.
    segment_names
        The segments of the layout.
    images
        What is recorded of the prompt's images.

    Raises
    ------
    ValueError
        If the parts do not fit together.
    """

    token_ids: NDArray[np.int32]
    segments: NDArray[np.int8]
    experts: NDArray[np.int16]
    output: str
    gate_weights: NDArray[np.float16] | None = None
    scores: NDArray[np.float16] | None = None
    segment_names: tuple[Segment, ...] = PLAIN
    images: tuple[RecordedImage, ...] = ()

    def __post_init__(self) -> None:
        tokens = len(self.token_ids)
        arrays = {"experts": self.experts, "gate_weights": self.gate_weights, "scores": self.scores}
        for name, array in arrays.items():
            if array is not None and (array.ndim != 3 or len(array) != tokens):
                message = f"{tokens} tokens do not fit {name} of shape {array.shape}"
                raise ValueError(message)
        ends = self.segments.min(initial=0), self.segments.max(initial=0)
        if self.segments.shape != (tokens,) or not 0 <= ends[0] <= ends[1] < len(self.segment_names):
            message = (
                f"{tokens} tokens in {len(self.segment_names)} segments do not fit segments from {ends[0]} to {ends[1]}"
            )
            raise ValueError(message)

    @property
    def prompt_length(self) -> int:
        """How many of the tokens were given."""
        return int(self.given.sum())

    @property
    def given(self) -> NDArray[np.bool_]:  # (tokens,)
        """Which tokens were given rather than generated."""
        return np.array([one.phase == "prompt" for one in self.segment_names])[self.segments]


@dataclass(frozen=True)
class ScoredSequence:
    """The loss of each token of a given text, and how the text was routed.

    Attributes
    ----------
    token_ids
        int32 ``(tokens,)``: the prompt's tokens, then those of its output, the last one included.
    losses
        float32 ``(tokens,)``: −log of the probability, in nats, that the model gives each token after those before it;
        NaN where nothing is predicted: for the first, which comes after nothing, and for what stands for an image.
    segments
        int8 ``(tokens,)``: the place of each token's segment in `segment_names`.
    routed
        The experts of the tokens that passed the routers.
    segment_names
        The segments of the layout.
    """

    token_ids: NDArray[np.int32]
    losses: NDArray[np.float32]
    segments: NDArray[np.int8]
    routed: RoutedSequence
    segment_names: tuple[Segment, ...] = PLAIN

    def __post_init__(self) -> None:
        if not self.token_ids.shape == self.losses.shape == self.segments.shape:
            shapes = f"{self.token_ids.shape}, {self.losses.shape} and {self.segments.shape}"
            message = f"tokens, losses and segments of shapes {shapes} do not fit together"
            raise ValueError(message)

    @property
    def predicted(self) -> NDArray[np.bool_]:  # (tokens,)
        """Which tokens have a loss: text after the first token."""
        return are_predicted(self.segments, self.segment_names)


def are_predicted(segments: NDArray[np.int8], names: Sequence[Segment]) -> NDArray[np.bool_]:  # (tokens,)
    """Return which tokens a model predicts from those before them: text, but for the first token.

    What stands for an image in a prompt is put there by the processor: no model is to predict it.
    """
    found = np.array([one.kind not in _PLACED for one in names])[segments]
    found[:1] = False
    return np.asarray(found, dtype=bool)


def plain_segments(prompt: int, generated: int) -> NDArray[np.int8]:  # (tokens,)
    """Return the segments of a text: its prompt's tokens, then the generated ones that passed a router."""
    return np.repeat(np.array([0, 1], dtype=np.int8), [prompt, generated])


def with_generated(
    of_prompt: NDArray[np.integer], generated: int, names: tuple[Segment, ...]
) -> NDArray[np.int8]:  # (tokens,)
    """Return the segments of a prompt's tokens, and those of texts generated after it.

    Parameters
    ----------
    of_prompt
        The place in `names` of each of the prompt's tokens ``(tokens,)``.
    generated
        How many tokens were generated.
    names
        The segments of a layout.
    """
    return np.concatenate([of_prompt, np.full(generated, names.index(Segment("generated")))]).astype(np.int8)
