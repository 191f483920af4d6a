"""The transformers engine: generate batch by batch, and say of every token of every prompt where it was sent."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers
from jinja2 import TemplateError
from numpy.typing import NDArray
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList

from moexray.engines.transformers.architectures import ALONE
from moexray.engines.transformers.hooks import Tap, input_device, listening, weighing
from moexray.engines.transformers.implementation import choose_implementation, note_implementations
from moexray.engines.transformers.loading import LoadedModel, is_out_of_memory, quantization_of
from moexray.engines.transformers.sampling import DrawByPrompt, Generation
from moexray.engines.transformers.taps import find_taps, selections_per_token
from moexray.errors import CaptureError, ModelError, OutOfMemory
from moexray.prompts import Prompt
from moexray.routing import RoutedSequence, RouterLayout, plain_segments

_TOKENIZED_TOGETHER = 1000


class TransformersEngine:
    """Runs a transformers model on prompts and yields a routed sequence for each.

    Parameters
    ----------
    loaded
        The model and its tokenizer.
    raw
        Leave out the chat template even where the tokenizer has one.
    """

    def __init__(self, loaded: LoadedModel, *, raw: bool = False) -> None:
        self._name = loaded.name
        self._model = loaded.model
        self._tokenizer = loaded.tokenizer
        self._taps = find_taps(self._model)
        choose_implementation(self._model)
        self._implementations = note_implementations(self._taps[0].module)
        self._end_tokens = _end_tokens(self._model)
        self._padding = next(iter(self._end_tokens), 0)
        self._templated = not raw and getattr(self._tokenizer, "chat_template", None) is not None
        # A model's own file may ask for sampling or penalties; `run` alone says how a prompt goes on.
        self._model.generation_config = GenerationConfig(
            do_sample=False, eos_token_id=sorted(self._end_tokens) or None, pad_token_id=self._padding
        )
        self.layout = RouterLayout(
            layers=tuple(tap.layer for tap in self._taps),
            experts=tuple(tap.experts for tap in self._taps),
            top_k=selections_per_token(self._model, self._taps, self._padding),
        )

    @property
    def model(self) -> transformers.PreTrainedModel:
        """The model that runs."""
        return self._model

    @property
    def taps(self) -> list[Tap]:
        """Where each layer of the layout is heard."""
        return self._taps

    @property
    def runs_alone(self) -> bool:
        """Whether prompts of this model must not share a batch: they would be routed otherwise than alone."""
        return self._model.config.model_type in ALONE

    @property
    def description(self) -> dict[str, Any]:
        """What runs and how, for the meta of signatures."""
        config = self._model.config
        return {
            "model": self._name,
            "engine": "transformers",
            "engine_version": transformers.__version__,
            "revision": getattr(config, "_commit_hash", None),
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "quantization": quantization_of(config),
            "device": input_device(self._model).type,
            "attention_implementation": config._attn_implementation,
            "chat_template": self._templated,
        }

    @property
    def experts_implementations(self) -> list[str]:
        """How the experts were computed in what has run so far."""
        return sorted(self._implementations)

    def tokenize(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Token ids of each prompt, within the chat template where one is applied.

        Raises
        ------
        CaptureError
            If a prompt gives no token at all, or is a chat that no template takes.
        """
        token_ids: list[list[int]]
        if self._templated:
            token_ids = [self._in_template(prompt) for prompt in prompts]
        else:
            token_ids = self._tokenizer([_plain(prompt) for prompt in prompts])["input_ids"]
        for prompt, ids in zip(prompts, token_ids, strict=True):
            if not ids:
                message = f"prompt {prompt.id!r} gives no token with this model's tokenizer: take it out"
                raise CaptureError(message)
        return token_ids

    def _in_template(self, prompt: Prompt) -> list[int]:
        """Put a prompt, or its chat as it is, into the template; open the model's turn unless it has had it."""
        chat = list(prompt.messages or [{"role": "user", "content": prompt.text}])
        try:
            encoded = self._tokenizer.apply_chat_template(
                chat, add_generation_prompt=chat[-1]["role"] != "assistant", tokenize=True, return_dict=True
            )
        except TemplateError as error:
            message = f"prompt {prompt.id!r} does not suit this model's chat template: {error}"
            raise CaptureError(message) from error
        token_ids: list[int] = encoded["input_ids"]
        return token_ids

    def lengths(self, prompts: Sequence[Prompt], generation: Generation) -> NDArray[np.int32]:  # (prompts,)
        """Tokens of each prompt, which are not kept: a million prompts would fill memory with them.

        Raises
        ------
        CaptureError
            If a prompt gives no token, or more than the model's context holds with what is generated.
        """
        lengths = np.empty(len(prompts), dtype=np.int32)
        for start in range(0, len(prompts), _TOKENIZED_TOGETHER):
            some = prompts[start : start + _TOKENIZED_TOGETHER]
            lengths[start : start + len(some)] = [len(ids) for ids in self.tokenize(some)]
        # Beyond its context a model still runs, but what its routers then do says nothing about the prompt.
        context = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        if context is not None and (lengths + generation.max_new_tokens > context).any():
            longest = int(lengths.argmax())
            message = (
                f"prompt {prompts[longest].id!r} has {lengths[longest]} tokens: with {generation.max_new_tokens} "
                f"generated ones that is more than the model's context of {context}: shorten it, or lower "
                "--max-new-tokens"
            )
            raise CaptureError(message)
        return lengths

    @torch.inference_mode()
    def run(
        self, prompts: Sequence[Prompt], generation: Generation, *, gate_weights: bool = False
    ) -> list[RoutedSequence]:
        """Run prompts together, as one batch, and say of each of their tokens where it was sent.

        Parameters
        ----------
        prompts
            The batch.
        generation
            How the prompts go on.
        gate_weights
            Also hear the weight of each selection.

        Returns
        -------
        A sequence for each prompt, in their order.

        Raises
        ------
        ModelError
            If gate weights are asked for, and cannot be read at this model.
        OutOfMemory
            If the batch does not fit into memory: try a smaller one.
        """
        token_ids = self.tokenize(prompts)
        width = max(map(len, token_ids))
        try:
            with listening(self._taps) as heard, weighing(self._taps if gate_weights else []) as weighed:
                generated = self._generate(prompts, token_ids, width, generation)
            ran = generated.shape[1] - 1
            experts = _by_sequence(heard, len(prompts), ran, filling=-1)  # (prompts, padded tokens, layers, k)
            weights = _by_sequence(weighed, len(prompts), ran, filling=0) if gate_weights else None
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            message = f"a batch of {len(prompts)} prompts does not fit into memory: try a smaller --batch-tokens"
            raise OutOfMemory(message) from error
        self._check_range(experts)
        new_tokens = generated[:, width:].cpu().numpy().astype(np.int32)
        sequences = []
        for row, ids in enumerate(token_ids):
            written = new_tokens[row, : self._written(new_tokens[row], generation)]
            tokens = np.concatenate([np.asarray(ids, dtype=np.int32), written[:-1]])
            own = slice(width - len(ids), width - len(ids) + len(tokens))
            own_weights = None if weights is None else weights[row, own]
            _check_weights(own_weights)
            sequences.append(
                RoutedSequence(
                    token_ids=tokens,
                    experts=experts[row, own],
                    segments=plain_segments(len(ids), len(tokens) - len(ids)),
                    output=self._tokenizer.decode(written, skip_special_tokens=True),
                    gate_weights=own_weights,
                )
            )
        return sequences

    def text_of(self, token_id: int) -> str:
        """Return what one token stands for."""
        return str(self._tokenizer.decode([token_id]))

    def _generate(
        self, prompts: Sequence[Prompt], token_ids: list[list[int]], width: int, generation: Generation
    ) -> Tensor:  # (prompts, width + generated)
        input_ids = torch.full((len(prompts), width), self._padding)
        attention_mask = torch.zeros_like(input_ids)
        for row, ids in enumerate(token_ids):
            input_ids[row, width - len(ids) :] = torch.tensor(ids)
            attention_mask[row, width - len(ids) :] = 1
        device = input_device(self._model)
        drawing = [DrawByPrompt(generation, [prompt.id for prompt in prompts])] if generation.temperature > 0 else []
        found: Tensor = self._model.generate(
            input_ids=input_ids.to(device),
            attention_mask=attention_mask.to(device),
            # The one token after a prompt that is to run alone passes no router.
            max_new_tokens=max(1, generation.max_new_tokens),
            eos_token_id=(sorted(self._end_tokens) or None) if generation.stop_at_eos else None,
            logits_processor=LogitsProcessorList(drawing),
        )
        return found

    def _check_range(self, experts: NDArray[np.int16]) -> None:
        """Refuse an index that no expert has: it would be counted as one of the next layer."""
        greatest = experts.max(axis=(0, 1, 3))
        for tap, found in zip(self._taps, greatest, strict=True):
            if found >= tap.experts:
                message = f"{tap.path} was handed expert {found}, but has {tap.experts}: this model cannot be recorded"
                raise ModelError(message)

    def _written(self, new_tokens: NDArray[np.int32], generation: Generation) -> int:
        """How many tokens a sequence generated, its end token included; what follows is a batch's padding."""
        if not generation.stop_at_eos:
            return min(len(new_tokens), generation.max_new_tokens)
        ends = np.flatnonzero(np.isin(new_tokens, list(self._end_tokens)))
        return min(int(ends[0]) + 1 if len(ends) else len(new_tokens), generation.max_new_tokens)


def _plain(prompt: Prompt) -> str:
    if prompt.messages is not None:
        message = (
            f"prompt {prompt.id!r} is a chat, and no chat template is applied: leave out --raw, "
            "or take a model whose tokenizer has a template"
        )
        raise CaptureError(message)
    return prompt.text


def _end_tokens(model: transformers.PreTrainedModel) -> frozenset[int]:
    found = model.generation_config.eos_token_id if model.generation_config else model.config.eos_token_id
    if found is None:
        return frozenset()
    return frozenset([found] if isinstance(found, int) else found)


def _check_weights(weights: NDArray[np.float16] | None) -> None:
    """Refuse gate weights that cannot be added up to how much an expert got; padding is not among them."""
    if weights is not None and not (np.isfinite(weights) & (weights >= 0)).all():
        message = f"gate weights from {weights.min()} to {weights.max()} were heard: they cannot be recorded"
        raise ModelError(message)


def _by_sequence(heard: list[list[Tensor]], batch: int, tokens: int, *, filling: int) -> NDArray[Any]:
    """Join each layer's forward passes to ``(batch, tokens, layers, widest k)``, filled beyond a layer's own k."""
    layers = [torch.cat([rows.view(batch, -1, rows.shape[-1]) for rows in passes], dim=1) for passes in heard]
    if any(layer.shape[1] != tokens for layer in layers):
        found = sorted({layer.shape[1] for layer in layers})
        message = f"{tokens} tokens of each sequence ran, but {found} passed the experts: this model cannot be recorded"
        raise ModelError(message)
    widest = max(layer.shape[-1] for layer in layers)
    padded = [
        torch.nn.functional.pad(layer, (0, widest - layer.shape[-1]), value=filling).to(layers[0].device)
        for layer in layers
    ]
    return torch.stack(padded, dim=2).cpu().numpy()
