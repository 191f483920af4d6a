"""A model that another program serves: its layers, tokenizer and end tokens, read without its weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from moexray.engines.transformers.checkpoint import commit_of, folder_of, source_of, weight_files
from moexray.engines.transformers.checkpoint_code import check_generates, code_files
from moexray.engines.transformers.checkpoint_config import read_config
from moexray.engines.transformers.completions import CompletionTokens
from moexray.engines.transformers.configuration import greatest, text_config, value
from moexray.engines.transformers.end_tokens import embeddings_of, end_tokens_in, generation_settings
from moexray.engines.transformers.experts import bytes_of_expert
from moexray.engines.transformers.failures import explained
from moexray.engines.transformers.fingerprint import (
    fingerprint_of_code,
    fingerprint_of_folder,
    fingerprint_of_template,
    fingerprint_of_tokenizer,
    small_files,
)
from moexray.engines.transformers.hooks import Tap
from moexray.engines.transformers.loading import build_skeleton
from moexray.engines.transformers.profile import top_k_of
from moexray.engines.transformers.prompt_tokens import PromptTokens
from moexray.engines.transformers.quiet import quiet
from moexray.engines.transformers.taps import check_type, find_taps
from moexray.engines.transformers.tokenizers import read_tokenizer
from moexray.errors import ModelError
from moexray.routing import RouterLayout

_INSTEAD = "record it with the engine transformers"
# What configurations call the number of experts that compute nothing.
_ZERO_EXPERTS = ("zero_expert_num", "zero_expert_number", "num_zero_experts")


@dataclass(frozen=True)
class ServedModel:
    """A model as its files describe it, and its tokenizer.

    Attributes
    ----------
    name
        Folder, hub id, or ``scale``.
    config
        Its configuration.
    tokenizer
        Its tokenizer.
    tokens, completions
        What makes token ids of prompts, and of outputs that are given.
    layout
        Its MoE layers by their index among all decoder layers, their experts, and k, which all of them share.
    hidden_layers
        The number of its decoder layers, dense ones included.
    end_tokens
        The tokens that end a text, by its generation settings.
    context
        The most tokens of a text; None where its configuration does not say.
    revision
        The commit of a hub model; None for a folder.
    skeleton
        The model without its weights.
    """

    name: str
    config: Any
    tokenizer: PreTrainedTokenizerBase
    tokens: PromptTokens
    completions: CompletionTokens
    layout: RouterLayout
    hidden_layers: int
    end_tokens: frozenset[int]
    context: int | None
    revision: str | None
    skeleton: PreTrainedModel

    @property
    def k(self) -> int:
        """The experts that each layer selects for a token."""
        return self.layout.top_k[0]

    @property
    def source(self) -> str:
        """The name or folder under which other libraries find the model."""
        return source_of(self.name)

    def text_of(self, token_ids: Sequence[int]) -> str:
        """Return the text of generated tokens, without special ones."""
        return str(self.tokenizer.decode(list(token_ids), skip_special_tokens=True))

    def expert_bytes(self, width: int) -> list[int]:
        """Return the memory of one expert of each MoE layer where a number takes `width` bytes."""
        return [bytes_of_expert(tap.holders, tap.experts, width=width) for tap in find_taps(self.skeleton)]

    def description(self) -> dict[str, Any]:
        """Return what the meta of signatures says of the model and its tokens, as for other engines."""
        return {
            "model": self.name,
            "revision": self.revision,
            "tokenizer": type(self.tokenizer).__name__,
            **self.tokens.settings,
            "end_tokens": sorted(self.end_tokens),
            "tokenizer_end_token": getattr(self.tokenizer, "eos_token_id", None),
        }

    def fingerprint(self, *, weights: bool = True) -> dict[str, str]:
        """Return the fingerprint of the model by part: see `moexray.model_fingerprint`.

        It reads all weights. They are left out where their files are not on this machine.

        Parameters
        ----------
        weights
            Whether the weights that run are those of the model's folder.
        """
        folder = folder_of(self.name, self.revision)
        found: dict[str, str] = {}
        files = [] if folder is None else weight_files(folder)
        if weights and folder is not None and files and all(file.is_file() for file in files):
            found = fingerprint_of_folder(folder)
        found["tokenizer"] = fingerprint_of_tokenizer(self.tokenizer)
        if self.tokens.settings["chat_template"]:
            found["chat_template"] = fingerprint_of_template(self.tokenizer)
        if code := self._code():
            found["code"] = fingerprint_of_code(code)
        return found

    def files(self) -> dict[str, str]:
        """Return the fingerprint of each file beside the weights that may change what runs; empty without a folder."""
        folder = folder_of(self.name, self.revision)
        return {} if folder is None else small_files(folder, with_code=bool(self._code()))

    def _code(self) -> Mapping[str, Any]:
        return code_files(self.skeleton, self.skeleton.config, self.tokenizer)


def read_served_model(
    model: str,
    *,
    revision: str | None = None,
    trust_remote_code: bool = False,
    raw: bool = False,
    chat_template: str | None = None,
    template_options: Mapping[str, Any] | None = None,
    system: str | None = None,
) -> ServedModel:
    """Read a model's configuration and tokenizer; its weights are not read.

    Parameters
    ----------
    model, revision, trust_remote_code
        See `moexray.engines.transformers.loading.read_model`.
    raw
        Leave out the chat template even if the tokenizer has one.
    chat_template, template_options, system
        See `moexray.engines.transformers.chat_templates.ChatTemplate`.

    Raises
    ------
    ModelError
        If there is no such model, or routing that another program returns for it could not be checked: dense models,
        k = 1 or unknown or not the same in all layers, tokens that skip experts or pass a layer more than once.
    CaptureError
        If the tokenizer has no such template.
    """
    config = read_config(model, revision=revision, trust_remote_code=trust_remote_code)
    commit = commit_of(model, revision)
    options: dict[str, Any] = {"revision": commit or revision, "trust_remote_code": trust_remote_code}
    with explained(model):
        check_type(config.model_type)
        skeleton = build_skeleton(config, trust_remote_code=trust_remote_code)
        check_generates(skeleton)
        layout = _layout(config, skeleton)
        hidden_layers = _hidden_layers(config, layout)
        tokenizer = read_tokenizer(source_of(model), config, **options)
        with quiet():
            settings = generation_settings(source_of(model), options["revision"])
        embeddings = embeddings_of(skeleton)
        end_tokens = end_tokens_in(settings or skeleton.generation_config, embeddings)
    return ServedModel(
        name=model,
        config=config,
        tokenizer=tokenizer,
        tokens=PromptTokens(
            tokenizer,
            raw=raw,
            chat_template=chat_template,
            template_options=template_options,
            system=system,
            embeddings=embeddings,
        ),
        completions=CompletionTokens(tokenizer, embeddings=embeddings),
        layout=layout,
        hidden_layers=hidden_layers,
        end_tokens=end_tokens,
        context=greatest(text_config(config), "max_position_embeddings"),
        revision=commit,
        skeleton=skeleton,
    )


def _layout(config: Any, skeleton: nn.Module) -> RouterLayout:
    taps = find_taps(skeleton)
    zero = next((name for name in _ZERO_EXPERTS if value(text_config(config), name)), None)
    if zero is not None:
        message = (
            f"its router also chooses among experts that compute nothing ({zero}), which serving engines return as "
            f"expert 0: {_INSTEAD}"
        )
        raise ModelError(message)
    _check_taps(taps)
    top_k = tuple(top_k_of(skeleton, tap) for tap in taps)
    _check_top_k(taps, top_k)
    return RouterLayout(
        layers=tuple(tap.layer for tap in taps), experts=tuple(tap.experts for tap in taps), top_k=top_k
    )


def _check_taps(taps: Sequence[Tap]) -> None:
    for tap in taps:
        if tap.calls > 1:
            message = (
                f"tokens pass layer {tap.layer} {tap.calls} times, and serving engines return one pass: {_INSTEAD}"
            )
            raise ModelError(message)
        if tap.special:
            message = (
                f"layer {tap.layer} does not send every token to its experts as other models do, and it is not known "
                f"what serving engines return then: {_INSTEAD}"
            )
            raise ModelError(message)


def _check_top_k(taps: Sequence[Tap], top_k: Sequence[int]) -> None:
    for tap, k in zip(taps, top_k, strict=True):
        where = f"layer {tap.layer}"
        if k == 0:
            message = f"its configuration does not say how many experts {where} selects for a token: {_INSTEAD}"
        elif k == 1:
            message = (
                f"{where} selects one expert for a token, so that a row that a serving engine never wrote looks like "
                f"one for expert 0: {_INSTEAD}"
            )
        elif k > tap.experts:
            message = f"{where} is to select {k} experts for a token and has {tap.experts}: correct its config.json"
        elif k != top_k[0]:
            message = (
                f"{where} selects {k} experts for a token and layer {taps[0].layer} {top_k[0]}, and serving engines "
                f"return one number for all: {_INSTEAD}"
            )
        else:
            continue
        raise ModelError(message)


def _hidden_layers(config: Any, layout: RouterLayout) -> int:
    """Return the number of decoder layers: the recorded rows have one entry for each."""
    layers = greatest(text_config(config), "num_hidden_layers")
    if layers is None or layers <= max(layout.layers):
        message = (
            f"its configuration gives num_hidden_layers {layers}, and its layer {max(layout.layers)} has experts: "
            f"it is not known which rows belong to which layer; {_INSTEAD}"
        )
        raise ModelError(message)
    return layers
