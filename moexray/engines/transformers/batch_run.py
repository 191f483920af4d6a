"""The run of one batch: prompts generate together, and each gets its routed sequence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LogitsProcessorList, PreTrainedModel, PreTrainedTokenizerBase

from moexray.engines.transformers.chat_templates import cause_of
from moexray.engines.transformers.failures import FAULTS, is_out_of_memory
from moexray.engines.transformers.hearing import Heard, hear
from moexray.engines.transformers.hooks import Tap
from moexray.engines.transformers.numbers import LogitNumbers, check_numbers
from moexray.engines.transformers.prompt_inputs import PromptInputs, parts_of
from moexray.engines.transformers.ruling import Ruling
from moexray.engines.transformers.sampling import DrawByPrompt, TellTokens
from moexray.errors import ModelError, OutOfMemory
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.routing import RoutedSequence, with_generated
from moexray.segments import Segment


@dataclass(frozen=True)
class Recording:
    """What is recorded of a batch beside its selections, and who is told of its tokens."""

    gate_weights: bool = False
    router_scores: bool = False
    on_tokens: Callable[[int], None] | None = None


@dataclass(frozen=True)
class BatchRun:
    """Runs batches of one model.

    Attributes
    ----------
    model, taps, tokenizer
        The model, the taps of its MoE layers, and what reads generated tokens.
    segments
        Those of the layout.
    end_tokens, padding
        What ends a sequence, and the token that pads.
    """

    model: PreTrainedModel
    taps: Sequence[Tap]
    tokenizer: PreTrainedTokenizerBase
    segments: tuple[Segment, ...]
    end_tokens: frozenset[int]
    padding: int

    def together(
        self,
        prompts: Sequence[Prompt],
        inputs: Sequence[PromptInputs],
        generation: Generation,
        recording: Recording,
        *,
        ruling: Ruling | None = None,
    ) -> list[RoutedSequence]:
        """Return the routed sequences of prompts that run together, or one after another where images do not fit.

        Parameters
        ----------
        prompts, inputs
            The batch.
        generation
            What is generated after each.
        recording
            What is recorded.
        ruling
            The rule that is carried out, if there is one.

        Raises
        ------
        ModelError
            If a router got what is no number, or an expert that does not exist was selected.
        OutOfMemory
            If the batch does not fit into memory.
        """
        found: dict[int, RoutedSequence] = {}
        for part in parts_of(inputs):
            some = [prompts[place] for place in part], [inputs[place] for place in part]
            found |= zip(part, self._part_or_each(*some, generation, recording, ruling), strict=True)
        return [found[place] for place in range(len(prompts))]

    def _part_or_each(
        self,
        prompts: Sequence[Prompt],
        inputs: Sequence[PromptInputs],
        generation: Generation,
        recording: Recording,
        ruling: Ruling | None,
    ) -> list[RoutedSequence]:
        """Return the sequences of a part; where the model's code fails with images in it, run each prompt by itself.

        Then only a prompt that fails alone is refused. Qwen3-Omni looks for images in every row of a batch that has
        one, and fails with markers of an image in a text without.
        """
        try:
            return self._part(prompts, inputs, generation, recording, ruling)
        except FAULTS as error:
            if is_out_of_memory(error) or not any(prompt.images for prompt in prompts):
                raise
            if len(prompts) == 1:
                raise _with_images(prompts[0], error) from error
        each = ([one] for one in prompts), ([one] for one in inputs)
        return [
            one for some in zip(*each, strict=True) for one in self._part_or_each(*some, generation, recording, ruling)
        ]

    @torch.inference_mode()
    def _part(
        self,
        prompts: Sequence[Prompt],
        inputs: Sequence[PromptInputs],
        generation: Generation,
        recording: Recording,
        ruling: Ruling | None,
    ) -> list[RoutedSequence]:
        names = [prompt.id for prompt in prompts]
        if ruling is not None:
            ruling.places.begin(names, list(map(len, inputs)), [one.segments for one in inputs])
        numbers = LogitNumbers()
        try:
            heard = hear(
                self.model,
                self.taps if ruling is None else ruling.taps,
                inputs,
                # `generate` writes at least one token; after a prompt that is to run alone it passes no router.
                new_tokens=max(1, generation.max_new_tokens),
                end_tokens=self.end_tokens if generation.stop_at_eos else frozenset(),
                padding=self.padding,
                processors=_processors(names, inputs, generation, recording, numbers=numbers, ruling=ruling),
                gate_weights=recording.gate_weights,
                router_scores=recording.router_scores,
                passed=None if ruling is None else ruling.places.passed,
            )
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            message = f"a batch of {len(prompts)} prompts does not fit into memory: try smaller `batch_tokens`"
            raise OutOfMemory(message) from error
        self._check_range(heard.experts)
        if ruling is not None:
            ruling.check(heard.experts)
        sequences = [self._sequence(heard, row, one, generation) for row, one in enumerate(inputs)]
        for name, one, sequence in zip(names, inputs, sequences, strict=True):
            if ruling is not None:  # the check may run it alone
                ruling.places.begin([name], [len(sequence.token_ids)], [sequence.segments])
            written = one.followed_by(sequence.token_ids[len(one) :], self.segments)
            check_numbers(self.model, self.taps, name, written, sequence.experts)
        numbers.check(self.model, names)
        return sequences

    def _sequence(self, heard: Heard, row: int, inputs: PromptInputs, generation: Generation) -> RoutedSequence:
        width = heard.width
        new_tokens = heard.tokens[row, width:]
        written = new_tokens[: self._written(new_tokens, generation)]
        tokens = np.concatenate([inputs.token_ids, written[:-1]])
        own = slice(width - len(inputs), width - len(inputs) + len(tokens))
        return RoutedSequence(
            token_ids=tokens,
            experts=heard.experts[row, own],
            segments=with_generated(inputs.segments, len(tokens) - len(inputs), self.segments),
            output=self.tokenizer.decode(written, skip_special_tokens=True),
            gate_weights=None if heard.weights is None else heard.weights[row, own],
            scores=None if heard.scores is None else heard.scores[row, own],
            segment_names=self.segments,
            images=inputs.images,
        )

    def _check_range(self, experts: NDArray[np.int16]) -> None:
        """Refuse the index of an expert that does not exist: it would be counted as one of the next layer."""
        greatest = experts.max(axis=(0, 1, 3))
        for tap, found in zip(self.taps, greatest, strict=True):
            if found >= tap.experts:
                message = f"{tap.path} was handed expert {found}, but has {tap.experts}: this model cannot be recorded"
                raise ModelError(message)

    def _written(self, new_tokens: NDArray[np.int32], generation: Generation) -> int:
        """Return how many tokens a sequence generated, its end token included; what follows is padding."""
        if not generation.stop_at_eos:
            return min(len(new_tokens), generation.max_new_tokens)
        ends = np.flatnonzero(np.isin(new_tokens, list(self.end_tokens)))
        return min(int(ends[0]) + 1 if len(ends) else len(new_tokens), generation.max_new_tokens)


def _with_images(prompt: Prompt, error: Exception) -> ModelError:
    """Return what to say where a model fails with images: it may not find all of them in the text."""
    return ModelError(f"the images of prompt {prompt.id!r} cannot be run with this model: {cause_of(error)}")


def _processors(
    names: Sequence[str],
    inputs: Sequence[PromptInputs],
    generation: Generation,
    recording: Recording,
    *,
    numbers: LogitNumbers,
    ruling: Ruling | None,
) -> Callable[[NDArray[np.int64]], LogitsProcessorList]:
    """Return what makes the logits processors of a stretch."""
    draws = DrawByPrompt(generation, names) if generation.temperature > 0 else None
    tells = None if recording.on_tokens is None else TellTokens(recording.on_tokens, sum(map(len, inputs)))

    def made(rows: NDArray[np.int64]) -> LogitsProcessorList:
        if ruling is not None:
            ruling.places.run(rows)
        drawn: Any = None if draws is None else draws.of(rows)
        return LogitsProcessorList([one for one in (numbers.of(rows), tells, drawn) if one is not None])

    return made
