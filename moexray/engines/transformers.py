"""The transformers engine: generate in batches, and say of every token of every prompt where it was sent."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import transformers
from jinja2 import TemplateError
from numpy.typing import NDArray
from torch import Tensor
from transformers import GenerationConfig

from moexray.engines.architectures import ALONE
from moexray.engines.hearing import Tap, input_device, listening
from moexray.engines.loading import LoadedModel, is_out_of_memory, quantization_of
from moexray.engines.taps import find_taps, selections_per_token
from moexray.errors import CaptureError, ModelError
from moexray.prompts import Prompt
from moexray.routing import RoutedSequence, RouterLayout


class TransformersEngine:
    """Runs a transformers model on prompts, greedily, and yields a routed sequence for each.

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
        self._implementations = _note_implementations(self._model, self._taps[0].module)
        self._end_tokens = _end_tokens(self._model)
        self._padding = next(iter(self._end_tokens), 0)
        self._templated = not raw and getattr(self._tokenizer, "chat_template", None) is not None
        # A model's own file may ask for sampling or penalties; what is recorded is plain greedy decoding.
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
    def description(self) -> dict[str, Any]:
        """What ran and how, for the meta of signatures; complete once something has run."""
        config = self._model.config
        return {
            "model": self._name,
            "engine": "transformers",
            "engine_version": transformers.__version__,
            "revision": getattr(config, "_commit_hash", None),
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "quantization": quantization_of(config),
            "device": input_device(self._model).type,
            "experts_implementation": sorted(self._implementations),
            "attention_implementation": config._attn_implementation,
            "chat_template": self._templated,
        }

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

    def run(self, prompts: Sequence[Prompt], *, max_new_tokens: int, batch_size: int) -> Iterator[list[RoutedSequence]]:
        """Yield the routed sequences batch by batch; prompts of like length share a batch.

        Raises
        ------
        CaptureError
            If a prompt gives no token, or a batch does not fit into memory.
        """
        token_ids = self.tokenize(prompts)
        self._check_context(prompts, token_ids, max_new_tokens)
        by_length = sorted(range(len(prompts)), key=lambda i: len(token_ids[i]))
        if self._model.config.model_type in ALONE:
            batch_size = 1
        for start in range(0, len(by_length), batch_size):
            batch = by_length[start : start + batch_size]
            try:
                yield self._run_batch(batch, [token_ids[i] for i in batch], max_new_tokens)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                message = f"a batch of {len(batch)} prompts does not fit into memory: try a smaller --batch-size"
                raise CaptureError(message) from error

    def _check_context(self, prompts: Sequence[Prompt], token_ids: list[list[int]], max_new_tokens: int) -> None:
        """Beyond its context a model still runs, but what its routers then do says nothing about the prompt."""
        context = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        for prompt, ids in zip(prompts, token_ids, strict=True):
            if context is not None and len(ids) + max_new_tokens > context:
                message = (
                    f"prompt {prompt.id!r} has {len(ids)} tokens: with {max_new_tokens} generated ones that is more "
                    f"than the model's context of {context}: shorten it, or lower --max-new-tokens"
                )
                raise CaptureError(message)

    @torch.inference_mode()
    def _run_batch(self, batch: list[int], token_ids: list[list[int]], max_new_tokens: int) -> list[RoutedSequence]:
        width = max(map(len, token_ids))
        input_ids = torch.full((len(batch), width), self._padding)
        attention_mask = torch.zeros_like(input_ids)
        for row, ids in enumerate(token_ids):
            input_ids[row, width - len(ids) :] = torch.tensor(ids)
            attention_mask[row, width - len(ids) :] = 1
        device = input_device(self._model)
        with listening(self._taps) as heard:
            generated = self._model.generate(
                input_ids=input_ids.to(device), attention_mask=attention_mask.to(device), max_new_tokens=max_new_tokens
            )
        experts = _by_sequence(heard, len(batch), generated.shape[1] - 1)  # (batch, padded tokens, layers, k)
        self._check_range(experts)
        new_tokens = generated[:, width:].cpu().numpy().astype(np.int32)
        sequences = []
        for row, (prompt, ids) in enumerate(zip(batch, token_ids, strict=True)):
            written = new_tokens[row, : self._written(new_tokens[row])]
            tokens = np.concatenate([np.asarray(ids, dtype=np.int32), written[:-1]])
            begin = width - len(ids)
            sequences.append(
                RoutedSequence(
                    prompt=prompt,
                    token_ids=tokens,
                    experts=experts[row, begin : begin + len(tokens)],
                    prompt_length=len(ids),
                    output=self._tokenizer.decode(written, skip_special_tokens=True),
                )
            )
        return sequences

    def _check_range(self, experts: NDArray[np.int16]) -> None:
        """Refuse an index that no expert has: it would be counted as one of the next layer."""
        greatest = experts.max(axis=(0, 1, 3))
        for tap, found in zip(self._taps, greatest, strict=True):
            if found >= tap.experts:
                message = f"{tap.path} was handed expert {found}, but has {tap.experts}: this model cannot be recorded"
                raise ModelError(message)

    def _written(self, new_tokens: NDArray[np.int32]) -> int:
        """How many tokens a sequence generated, its end token included; what follows is a batch's padding."""
        ends = np.flatnonzero(np.isin(new_tokens, list(self._end_tokens)))
        return int(ends[0]) + 1 if len(ends) else len(new_tokens)


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


def _note_implementations(model: transformers.PreTrainedModel, experts: torch.nn.Module) -> set[str]:
    """Return a set that gathers the experts implementations that run: transformers may change them on its way."""
    if model.dtype == torch.float64 and "grouped_mm" in model.get_experts_implementation().values():
        model.set_experts_implementation("eager")  # torch's grouped product refuses float64
    found: set[str] = set()

    def note(module: torch.nn.Module, _args: object) -> None:
        config = getattr(module, "config", None)
        found.add(getattr(config, "_experts_implementation", None) or "eager")

    experts.register_forward_pre_hook(note)
    return found


def _by_sequence(heard: list[list[Tensor]], batch: int, tokens: int) -> NDArray[np.int16]:
    """Join each layer's forward passes to ``(batch, tokens, layers, widest k)``, −1 beyond a layer's own k."""
    layers = [torch.cat([rows.view(batch, -1, rows.shape[-1]) for rows in passes], dim=1) for passes in heard]
    if any(layer.shape[1] != tokens for layer in layers):
        found = sorted({layer.shape[1] for layer in layers})
        message = f"{tokens} tokens of each sequence ran, but {found} passed the experts: this model cannot be recorded"
        raise ModelError(message)
    widest = max(layer.shape[-1] for layer in layers)
    padded = [
        torch.nn.functional.pad(layer, (0, widest - layer.shape[-1]), value=-1).to(layers[0].device) for layer in layers
    ]
    return torch.stack(padded, dim=2).cpu().numpy()
