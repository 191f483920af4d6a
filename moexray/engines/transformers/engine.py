"""The engine that runs models of transformers, batch by batch."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from transformers import LogitsProcessorList

from moexray.engines.engine import Batching, Chooser, Engine, require
from moexray.engines.rule_checks import check_rule
from moexray.engines.rules import Rule, described, k_of_pass
from moexray.engines.transformers.checkpoint import folder_of
from moexray.engines.transformers.checkpoint_code import check_generates, code_files
from moexray.engines.transformers.checkpoint_config import quantization_of
from moexray.engines.transformers.choosing import chosen
from moexray.engines.transformers.completions import CompletionTokens, are_given, with_outputs
from moexray.engines.transformers.context import check_as_written, check_context
from moexray.engines.transformers.end_tokens import embeddings_of, end_tokens_of
from moexray.engines.transformers.experts import bytes_of_expert
from moexray.engines.transformers.failures import is_out_of_memory
from moexray.engines.transformers.fingerprint import (
    checksum_of_state,
    fingerprint_of_code,
    fingerprint_of_state,
    fingerprint_of_template,
    fingerprint_of_tokenizer,
    small_files,
)
from moexray.engines.transformers.hearing import hear
from moexray.engines.transformers.hooks import (
    Tap,
    input_device,
    observe_implementations,
)
from moexray.engines.transformers.loading import LoadedModel, read_model
from moexray.engines.transformers.norms import can_be_measured, recorded_norms
from moexray.engines.transformers.numbers import LogitNumbers, check_numbers, check_routers
from moexray.engines.transformers.preparation import (
    changed_outputs,
    set_evaluation_mode,
    set_experts_implementation,
    set_greedy_generation,
    set_plain_outputs,
    unwrapped,
)
from moexray.engines.transformers.prompt_tokens import PromptTokens
from moexray.engines.transformers.resources import fitting_tokens, sizes_of_token
from moexray.engines.transformers.router_trials import find_routers
from moexray.engines.transformers.routers import Router
from moexray.engines.transformers.ruling import Ruling, carried_out
from moexray.engines.transformers.sampling import DrawByPrompt, TellTokens
from moexray.engines.transformers.scores import kind_of_scores, tried_scores
from moexray.engines.transformers.scoring import losses_of, recorded_logits
from moexray.engines.transformers.sharing import check_shared, sharing_of
from moexray.engines.transformers.taps import find_taps, selections_per_token
from moexray.errors import CaptureError, ModelError, OutOfMemory
from moexray.generation import Generation
from moexray.model_fingerprint import KEY
from moexray.prompts import Prompt
from moexray.routing import RoutedSequence, RouterLayout, ScoredSequence, plain_segments

# The most memory, in single precision, that the logits of given text may take together.
_LOGITS_BYTES = 2**30


def open_engine(
    model: str,
    *,
    device: str | None = None,
    dtype: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    adapter: str | None = None,
    raw: bool = False,
    chat_template: str | None = None,
    template_options: Mapping[str, Any] | None = None,
    system: str | None = None,
) -> "TransformersEngine":
    """Load a model and return its engine.

    Parameters
    ----------
    model, device, dtype, revision, trust_remote_code, adapter
        See `moexray.engines.transformers.loading.read_model`.
    raw
        Leave out the chat template even if the tokenizer has one.
    chat_template, template_options, system
        See `moexray.engines.transformers.chat_templates.ChatTemplate`.

    Raises
    ------
    ModelError
        If the model cannot be loaded or its routing cannot be recorded.
    """
    loaded = read_model(
        model, device=device, dtype=dtype, revision=revision, trust_remote_code=trust_remote_code, adapter=adapter
    )
    return TransformersEngine(
        loaded, raw=raw, chat_template=chat_template, template_options=template_options, system=system
    )


class TransformersEngine(Engine):
    """Runs a transformers model on prompts and yields a routed sequence for each.

    It changes the model while it is open: its training mode, generation settings, experts implementation and hooks.
    `close` undoes all of that.

    Parameters
    ----------
    loaded
        The model and its tokenizer.
    raw
        Leave out the chat template even if the tokenizer has one.
    chat_template, template_options, system
        See `moexray.engines.transformers.chat_templates.ChatTemplate`.

    Raises
    ------
    CaptureError
        If the tokenizer has no such template.
    ModelError
        If the model cannot generate, or its routing cannot be recorded.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        raw: bool = False,
        chat_template: str | None = None,
        template_options: Mapping[str, Any] | None = None,
        system: str | None = None,
    ) -> None:
        self._loaded = loaded
        self._name = loaded.name
        self._model = unwrapped(loaded.model)
        check_generates(self._model)
        embeddings = embeddings_of(self._model)
        self._tokenizer = loaded.tokenizer
        self._tokens = PromptTokens(
            loaded.tokenizer,
            raw=raw,
            chat_template=chat_template,
            template_options=template_options,
            system=system,
            embeddings=embeddings,
        )
        self._embeddings = embeddings
        self._completions = CompletionTokens(loaded.tokenizer, embeddings=embeddings)
        self._end_tokens = end_tokens_of(self._model, embeddings)
        self._padding = min(self._end_tokens, default=0)
        self._taps = find_taps(self._model)
        check_routers(self._model, self._taps)
        self._implementations: set[str] = set()
        self._score_kinds: set[str] = set()
        self._routers: list[Router | None] | None = None
        self._ruling: Ruling | None = None
        self._is_open = True
        with ExitStack() as changes:
            changes.callback(set_evaluation_mode(self._model))
            self._switched_off = changed_outputs(self._model)
            changes.callback(set_plain_outputs(self._model))
            changes.callback(set_experts_implementation(self._model))
            changes.callback(set_greedy_generation(self._model, self._end_tokens, self._padding))
            changes.callback(observe_implementations(self._taps[0].module, self._implementations))
            with tried_scores(self._model, self._taps) as are_explained:
                top_k = selections_per_token(self._model, self._taps, self._padding)
            self.layout = RouterLayout(
                layers=tuple(tap.layer for tap in self._taps),
                experts=tuple(tap.experts for tap in self._taps),
                top_k=top_k,
                passes=tuple(tap.calls for tap in self._taps),
            )
            self._sharing = sharing_of(self._model.config)
            self.batching: Batching = "alone" if self._sharing.alone else "tokens"
            readable = all(tap.weights_of is not None for tap in self._taps)
            writable = all(tap.writable for tap in self._taps)
            more = {"weights": readable, "scores": are_explained(), "rules": readable and writable}
            more["norms"] = more["rules"] and can_be_measured(self._taps)
            self.capabilities = frozenset(
                {"verify", "outputs", "score", "route", *(name for name, there in more.items() if there)}
            )
            self.description: Mapping[str, Any] = self._described()
            self._changes = changes.pop_all()  # nothing failed: they stay until `close`

    @property
    def model(self) -> transformers.PreTrainedModel:
        """The model that runs."""
        return self._model

    @property
    def taps(self) -> list[Tap]:
        """The tap of each layer of the layout."""
        return self._taps

    def inputs(self) -> Mapping[str, Any]:
        """Return the description, and what is beside the weights of a local checkpoint, or the weights in memory."""
        if not self._loaded.fingerprint:
            return {**self.description, "weights": fingerprint_of_state(self._model)}
        folder, has_code = folder_of(self._name), "code" in self.description[KEY]
        return {**self.description, "checkpoint": {} if folder is None else small_files(folder, with_code=has_code)}

    def begin_at(self, moment: datetime) -> None:
        """Render chat templates that ask for the time with the moment at which the capture began.

        The fingerprint is that of the weights as they are now, if they were changed after they were loaded.
        """
        self.description = {**self.description, KEY: {**self.description[KEY], **self._weights()}}
        dates = self._tokens.begin_at(moment)
        if dates:
            self.description = {**self.description, "template_date": dates}

    def budget(self) -> int:
        """Return how many tokens, padding included, fit into the free memory."""
        return fitting_tokens(self._model)

    def costs_of_prompts(self, lengths: NDArray[np.integer]) -> NDArray[np.float64]:  # (prompts,)
        """Return the tokens, and what attention scores take beside them where all are in memory at once."""
        sizes = sizes_of_token(self._model)
        tokens = np.asarray(lengths, dtype=np.float64)
        return tokens + tokens**2 * sizes.scores / sizes.of_prompt

    def cost_of_generated(self) -> float:
        """Return the share of keys and values, which a generated token keeps: few of them are computed at once."""
        return sizes_of_token(self._model).share_of_generated

    def observations(self) -> Mapping[str, Sequence[str]]:
        """Return the experts implementations that have run, which transformers may change while it generates.

        And, where router scores were recorded, whether those of a token are probabilities, which add up to 1.
        """
        scores = {"router_scores": sorted(self._score_kinds)} if self._score_kinds else {}
        return {"experts_implementation": sorted(self._implementations), **scores}

    def text_of(self, token_id: int) -> str:
        """Return the text of one token."""
        return str(self._tokenizer.decode([token_id]))

    def verify(
        self, batches: Sequence[Sequence[Prompt]] = (), generation: Generation | None = None
    ) -> Mapping[str, Any]:
        """Check the recording on a few batches: see `moexray.engines.transformers.verify`."""
        from moexray.engines.transformers.verify import verify

        if self._ruling is not None:
            message = "a model is verified as it routes by itself: not while a rule is carried out"
            raise CaptureError(message)
        return asdict(verify(self, batches, generation))

    def close(self) -> None:
        """Leave the model as it was found."""
        self._changes.close()
        self._is_open = False

    def tokenize(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Return the token ids of each prompt, within the chat template where one is applied.

        Raises
        ------
        CaptureError
            If a prompt gives no token at all, or is a chat that no template takes.
        """
        return self._tokens.tokenize(prompts)

    def lengths(self, prompts: Sequence[Prompt], generation: Generation) -> NDArray[np.int32]:  # (prompts,)
        """Return the tokens of each prompt.

        Raises
        ------
        CaptureError
            If a prompt gives no token, or exceeds the model's context with what is generated.
        """
        lengths = self._tokens.lengths(prompts)
        if not are_given(prompts):
            check_context(self._model.config, prompts, lengths, generation.max_new_tokens)
            self._sharing.check_turns(prompts, lengths, generation.max_new_tokens)
        return lengths

    def groups(self, lengths: NDArray[np.integer], generation: Generation) -> NDArray[np.integer]:  # (prompts,)
        """Return a number for each prompt: those that a batch does not change share one."""
        return self._sharing.groups(lengths, generation.max_new_tokens)

    def given_lengths(self, prompts: Sequence[Prompt], lengths: NDArray[np.integer]) -> NDArray[np.int32]:  # (prompts,)
        """Return how many tokens of each prompt's output pass the routers.

        Raises
        ------
        CaptureError
            If an output cannot be tokenized, has a token without an embedding, exceeds the model's context, or would
            not be routed as it was written.
        """
        given = self._completions.lengths(prompts)
        check_context(self._model.config, prompts, lengths, given)
        check_as_written(self._sharing, prompts, lengths, given)
        return given

    def run(
        self,
        prompts: Sequence[Prompt],
        generation: Generation,
        *,
        want: Collection[str] = (),
        on_tokens: Callable[[int], None] | None = None,
    ) -> Iterator[tuple[int, RoutedSequence]]:
        """Run prompts together, as one batch, and yield their routed sequences in the order given.

        Parameters
        ----------
        prompts
            The batch.
        generation
            What is generated after each prompt, where its output is not given.
        want
            ``weights`` also records the gate weight of each selection, ``scores`` the router scores of all experts.
        on_tokens
            Called after each forward pass with the number of tokens that went through it.

        Raises
        ------
        CaptureError
            If something is wanted that cannot be read at this model, the engine is closed, or prompts may not share a
            batch.
        ModelError
            If a router got what is no number, or an expert that does not exist was selected.
        OutOfMemory
            If the batch does not fit into memory.
        """
        require(self, want)
        self._check_open()
        yield from enumerate(self._found(prompts, generation, want, on_tokens))

    @contextmanager
    def ruled(self, rule: Rule) -> Iterator[None]:
        """Carry out a routing rule while the context lasts: see `moexray.engines.rules`.

        Raises
        ------
        CaptureError
            If the taps of this model cannot be written, another rule is carried out now, or the rule does not fit the
            model's layout.
        ModelError
            If a router of this model cannot follow it.
        """
        require(self, ["rules"])
        self._check_open()
        if self._ruling is not None:
            message = "one rule at a time: leave the other first"
            raise CaptureError(message)
        check_rule(rule, self.layout)
        if self._routers is None:
            embeddings = self._embeddings or self._padding + 1
            self._routers = find_routers(self._model, self._taps, k_of_pass(self.layout), embeddings)
        before = self.description
        with carried_out(self._taps, self.layout, rule, self._routers) as ruling:
            self._ruling = ruling
            self.description = {**before, "rule": described(rule), "router_may_drop": True}
            try:
                yield
            finally:
                self.description, self._ruling = before, None

    def loss(
        self,
        prompts: Sequence[Prompt],
        *,
        want: Collection[str] = (),
        on_tokens: Callable[[int], None] | None = None,
    ) -> Iterator[tuple[int, ScoredSequence]]:
        """Run prompts with their outputs together, as one batch, and yield the loss of each token in the order given.

        Parameters
        ----------
        prompts
            The batch; without outputs, the tokens of the prompts are scored.
        want, on_tokens
            See `run`.

        Raises
        ------
        CaptureError
            If something is wanted that cannot be read at this model, the engine is closed, or prompts may not share a
            batch.
        ModelError
            If the model does not give the logits of all tokens, or they are no numbers.
        OutOfMemory
            If the batch does not fit into memory.
        """
        require(self, ["score", *want])
        self._check_open()
        completions = [self._completions.of(prompt) for prompt in prompts] if are_given(prompts) else None
        with recorded_logits(self._model) as logits:
            routed = self._found(prompts, Generation(0), want, on_tokens)
        for row, (prompt, sequence) in enumerate(zip(prompts, routed, strict=True)):
            ran, of_prompt = len(sequence.token_ids), sequence.prompt_length
            tokens = sequence.token_ids
            if completions is not None:
                tokens = np.concatenate([tokens[:of_prompt], completions[row].token_ids])
            losses = losses_of(logits, row, tokens, ran=ran)
            if not np.isfinite(losses[1:]).all():
                message = f"prompt {prompt.id!r}: the loss of a token is NaN or infinity: no mean would mean anything"
                raise ModelError(message)
            segments = plain_segments(of_prompt, len(tokens) - of_prompt)
            yield row, ScoredSequence(tokens, losses, segments, sequence)

    def route(
        self, token_ids: NDArray[np.integer], *, written: int = 0, name: str, chooser: Chooser | None = None
    ) -> NDArray[np.int16]:  # (tokens, layers, k)
        """Return the experts that given token ids are sent to: see `moexray.engines.engine.Engine.route`."""
        self._check_open()
        prompt = Prompt("", category="", id=name)
        ids = np.asarray(token_ids)
        wrong = ids[(ids < 0) | (ids >= (self._embeddings or np.inf))]
        if not len(ids) or len(wrong):
            held = f"token {wrong[0]}, and the model has {self._embeddings}" if len(wrong) else "no token"
            message = f"prompt {name!r} holds {held}: was it recorded with another model?"
            raise CaptureError(message)
        lengths, after = np.array([len(ids) - written]), np.array([written])
        check_context(self._model.config, [prompt], lengths, after)
        check_as_written(self._sharing, [prompt], lengths, after)
        asked = chooser if "scores" in self.capabilities else None
        with chosen(self._model, self._taps if asked is not None else [], self.layout.top_k if asked else (), asked):
            found = self._run_batch(
                [prompt],
                [ids.astype(np.int32)],
                Generation(0),
                gate_weights=False,
                router_scores=False,
                on_tokens=None,
            )
        return found[0].experts

    def budget_of_loss(self) -> int:
        """Return how many tokens fit into the free memory together with their logits."""
        return min(self.budget(), max(1, _LOGITS_BYTES // (4 * (self._embeddings or 1))))

    def output_norms(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:  # (layers, experts)
        """Return the mean of gate weight × norm of output over the tokens of each expert, each prompt run by itself.

        Raises
        ------
        CaptureError
            If the engine does not offer it for this model, or carries out a rule.
        ModelError
            If the experts of a layer cannot be run one by one.
        """
        require(self, ["norms"])
        self._check_open()
        if self._ruling is not None:
            message = "norms of outputs are those of the model as it routes by itself: not while a rule is carried out"
            raise CaptureError(message)
        with recorded_norms(self._taps) as norms:
            for prompt in prompts:
                list(self.loss([prompt]))
        return norms.means()

    def _check_open(self) -> None:
        if not self._is_open:
            message = f"the engine of {self._name} is closed: open it again"
            raise CaptureError(message)

    def _found(
        self,
        prompts: Sequence[Prompt],
        generation: Generation,
        want: Collection[str],
        on_tokens: Callable[[int], None] | None,
    ) -> list[RoutedSequence]:
        """Return the sequences of a batch, from one pass alone where its outputs are given."""
        if "scores" in want and self._ruling is not None:
            message = "router scores explain what a model selects by itself: record them without a rule"
            raise CaptureError(message)
        recording: dict[str, Any] = {"gate_weights": "weights" in want, "router_scores": "scores" in want}
        recording["on_tokens"] = on_tokens
        token_ids = self._tokens.take(prompts)
        if not are_given(prompts):
            return self._run_batch(prompts, token_ids, generation, **recording)
        require(self, ["outputs"])

        def run(together: Sequence[NDArray[np.int32]]) -> list[RoutedSequence]:
            return self._run_batch(prompts, together, Generation(0), **recording)

        return with_outputs(run, token_ids, [self._completions.of(prompt) for prompt in prompts])

    def _described(self) -> dict[str, Any]:
        config = self._model.config
        packing = quantization_of(config) or self._loaded.packing
        return {
            "model": self._name,
            "engine": "transformers",
            "engine_version": transformers.__version__,
            "revision": self._loaded.revision,
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "quantization": packing,
            **({"unpacked": True} if packing is not None and quantization_of(config) is None else {}),
            "device": input_device(self._model).type,
            "attention_implementation": config._attn_implementation,
            "tokenizer": type(self._tokenizer).__name__,
            **self._tokens.settings,
            "end_tokens": sorted(self._end_tokens),
            "tokenizer_end_token": getattr(self._tokenizer, "eos_token_id", None),
            "switched_off": self._switched_off,
            **({} if self._loaded.adapter is None else {"adapter": self._loaded.adapter}),
            "expert_bytes": [bytes_of_expert(tap.holders, tap.experts) for tap in self._taps],
            KEY: self._fingerprint(),
        }

    def _fingerprint(self) -> dict[str, str]:
        found = {**self._loaded.fingerprint, "tokenizer": fingerprint_of_tokenizer(self._tokenizer)}
        if self._tokens.settings["chat_template"]:
            found["chat_template"] = fingerprint_of_template(self._tokenizer)
        if code := code_files(self._model, self._model.config, self._tokenizer):
            found["code"] = fingerprint_of_code(code)
        return found

    def _weights(self) -> dict[str, str]:
        """Return the fingerprint of the weights: that of the files, unless they were changed after they were loaded."""
        loaded = self._loaded
        if loaded.checksum is not None and loaded.checksum != checksum_of_state(self._model):
            return {"weights": fingerprint_of_state(self._model)}
        return {"weights": loaded.fingerprint["weights"]} if "weights" in loaded.fingerprint else {}

    @torch.inference_mode()
    def _run_batch(
        self,
        prompts: Sequence[Prompt],
        token_ids: Sequence[NDArray[np.int32]],
        generation: Generation,
        *,
        gate_weights: bool,
        router_scores: bool,
        on_tokens: Callable[[int], None] | None,
    ) -> list[RoutedSequence]:
        taps, ruling = self._taps, self._ruling
        if ruling is not None:
            taps = ruling.taps
            ruling.places.begin([prompt.id for prompt in prompts], [len(ids) for ids in token_ids])
        check_shared(prompts, self.groups(np.array([len(ids) for ids in token_ids]), generation), self._sharing.reason)
        width = max(map(len, token_ids))
        draws = DrawByPrompt(generation, [prompt.id for prompt in prompts]) if generation.temperature > 0 else None
        tells = None if on_tokens is None else TellTokens(on_tokens, sum(map(len, token_ids)))

        numbers = LogitNumbers()

        def processors(rows: NDArray[np.int64]) -> LogitsProcessorList:
            if ruling is not None:
                ruling.places.run(rows)
            drawn = None if draws is None else draws.of(rows)
            return LogitsProcessorList([one for one in (numbers.of(rows), tells, drawn) if one is not None])

        try:
            heard = hear(
                self._model,
                taps,
                token_ids,
                # `generate` writes at least one token; after a prompt that is to run alone it passes no router.
                new_tokens=max(1, generation.max_new_tokens),
                end_tokens=self._end_tokens if generation.stop_at_eos else frozenset(),
                padding=self._padding,
                processors=processors,
                gate_weights=gate_weights,
                router_scores=router_scores,
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
        sequences = []
        for row, ids in enumerate(token_ids):
            new_tokens = heard.tokens[row, width:]
            written = new_tokens[: self._written(new_tokens, generation)]
            tokens = np.concatenate([ids, written[:-1]])
            own = slice(width - len(ids), width - len(ids) + len(tokens))
            if ruling is not None:
                ruling.places.begin([prompts[row].id], [len(tokens)])  # the check may run it alone
            check_numbers(self._model, self._taps, prompts[row].id, tokens, heard.experts[row, own])
            sequences.append(
                RoutedSequence(
                    token_ids=tokens,
                    experts=heard.experts[row, own],
                    segments=plain_segments(len(ids), len(tokens) - len(ids)),
                    output=self._tokenizer.decode(written, skip_special_tokens=True),
                    gate_weights=None if heard.weights is None else heard.weights[row, own],
                    scores=None if heard.scores is None else heard.scores[row, own],
                )
            )
        numbers.check(self._model, [prompt.id for prompt in prompts])
        if sequences[0].scores is not None:
            self._score_kinds.add(kind_of_scores(sequences[0].scores))
        return sequences

    def _check_range(self, experts: NDArray[np.int16]) -> None:
        """Refuse the index of an expert that does not exist: it would be counted as one of the next layer."""
        greatest = experts.max(axis=(0, 1, 3))
        for tap, found in zip(self._taps, greatest, strict=True):
            if found >= tap.experts:
                message = f"{tap.path} was handed expert {found}, but has {tap.experts}: this model cannot be recorded"
                raise ModelError(message)

    def _written(self, new_tokens: NDArray[np.int32], generation: Generation) -> int:
        """Return how many tokens a sequence generated, its end token included; what follows is padding."""
        if not generation.stop_at_eos:
            return min(len(new_tokens), generation.max_new_tokens)
        ends = np.flatnonzero(np.isin(new_tokens, list(self._end_tokens)))
        return min(int(ends[0]) + 1 if len(ends) else len(new_tokens), generation.max_new_tokens)
