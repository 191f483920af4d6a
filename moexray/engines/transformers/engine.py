"""The engine that runs models of transformers, batch by batch."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import transformers
from numpy.typing import NDArray

from moexray.engines.engine import Batching, Chooser, Engine, require
from moexray.engines.rule_checks import check_rule
from moexray.engines.rules import Rule, described, k_of_pass
from moexray.engines.transformers.batch_run import BatchRun, Recording
from moexray.engines.transformers.checkpoint import folder_of
from moexray.engines.transformers.checkpoint_code import check_generates
from moexray.engines.transformers.choosing import chosen
from moexray.engines.transformers.completions import CompletionTokens, are_given
from moexray.engines.transformers.context import check_as_written, check_context
from moexray.engines.transformers.describing import described_model, weights_now
from moexray.engines.transformers.end_tokens import embeddings_of, end_tokens_of
from moexray.engines.transformers.fingerprint import fingerprint_of_state, small_files
from moexray.engines.transformers.hooks import Tap, observe_implementations
from moexray.engines.transformers.image_inputs import ImagePrompts, placeholders_of
from moexray.engines.transformers.loading import LoadedModel, read_model
from moexray.engines.transformers.norms import can_be_measured, recorded_norms
from moexray.engines.transformers.numbers import check_routers
from moexray.engines.transformers.preparation import (
    changed_outputs,
    set_evaluation_mode,
    set_experts_implementation,
    set_greedy_generation,
    set_plain_outputs,
    unwrapped,
)
from moexray.engines.transformers.prompt_inputs import PromptInputs, parts_of
from moexray.engines.transformers.prompt_tokens import PromptTokens
from moexray.engines.transformers.resources import fitting_tokens, sizes_of_token
from moexray.engines.transformers.router_trials import find_routers
from moexray.engines.transformers.routers import Router
from moexray.engines.transformers.ruling import Ruling, carried_out
from moexray.engines.transformers.scored_batches import divergences, losses
from moexray.engines.transformers.scores import kind_of_scores, tried_scores
from moexray.engines.transformers.sharing import check_shared, sharing_of
from moexray.engines.transformers.taps import find_taps, selections_per_token
from moexray.errors import CaptureError
from moexray.generation import Generation
from moexray.model_fingerprint import KEY
from moexray.prompts import Prompt
from moexray.routing import RoutedSequence, RouterLayout, ScoredSequence
from moexray.segments import PLAIN, WITH_IMAGES

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
    images: bool = False,
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
    images
        Take prompts with images, by the model's own processor.

    Raises
    ------
    ModelError
        If the model cannot be loaded or its routing cannot be recorded.
    """
    options: dict[str, Any] = {"device": device, "dtype": dtype, "revision": revision, "adapter": adapter}
    loaded = read_model(model, trust_remote_code=trust_remote_code, images=images, **options)
    format_options: dict[str, Any] = {"raw": raw, "chat_template": chat_template, "system": system}
    return TransformersEngine(loaded, template_options=template_options, images=images, **format_options)


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
    images
        Take prompts with images, by the processor that was loaded with the model.

    Raises
    ------
    CaptureError
        If the tokenizer has no such template.
    ModelError
        If the model cannot generate, its routing cannot be recorded, or it reads no images.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        raw: bool = False,
        chat_template: str | None = None,
        template_options: Mapping[str, Any] | None = None,
        system: str | None = None,
        images: bool = False,
    ) -> None:
        self._loaded = loaded
        self._name = loaded.name
        self._model = unwrapped(loaded.model)
        check_generates(self._model)
        embeddings = embeddings_of(self._model)
        self._tokenizer = loaded.tokenizer
        as_asked: dict[str, Any] = {"raw": raw, "chat_template": chat_template, "system": system}
        as_asked["template_options"] = template_options
        self._images = ImagePrompts(loaded.processor, self._model, **as_asked) if images else None
        check = None if self._images is None else self._images.check_text
        self._tokens = PromptTokens(loaded.tokenizer, embeddings=embeddings, check=check, **as_asked)
        self._embeddings = embeddings
        self._completions = CompletionTokens(loaded.tokenizer, embeddings=embeddings)
        self._end_tokens = end_tokens_of(self._model, embeddings)
        self._padding = min(self._end_tokens, default=0)
        self._taps = find_taps(self._model, images=images)
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
            if self._images is not None:
                self._images.try_out(self._taps)
            with tried_scores(self._model, self._taps) as are_explained:
                top_k = selections_per_token(self._model, self._taps, self._padding)
            self.layout = RouterLayout(
                layers=tuple(tap.layer for tap in self._taps),
                experts=tuple(tap.experts for tap in self._taps),
                top_k=top_k,
                passes=tuple(tap.calls for tap in self._taps),
                segments=PLAIN if self._images is None else WITH_IMAGES,
            )
            self._sharing = sharing_of(self._model.config)
            self.batching: Batching = "alone" if self._sharing.alone else "tokens"
            readable = all(tap.weights_of is not None for tap in self._taps)
            writable = all(tap.writable for tap in self._taps)
            more = {"weights": readable, "scores": are_explained(), "rules": readable and writable}
            more["norms"] = more["rules"] and can_be_measured(self._taps)
            more["divergence"] = more["rules"]
            more["images"] = self._images is not None
            self.capabilities = frozenset(
                {"verify", "outputs", "score", "route", *(name for name, there in more.items() if there)}
            )
            self.description: Mapping[str, Any] = described_model(
                loaded,
                self._model,
                self._taps,
                settings=self._tokens.settings,
                end_tokens=self._end_tokens,
                switched_off=self._switched_off,
                images=self._images,
            )
            self._changes = changes.pop_all()  # nothing failed: they stay until `close`

    @property
    def model(self) -> transformers.PreTrainedModel:
        """The model that runs."""
        return self._model

    @property
    def taps(self) -> list[Tap]:
        """The tap of each layer of the layout."""
        return self._taps

    @property
    def placeholders(self) -> frozenset[int]:
        """The token ids that stand for a part of an image."""
        return placeholders_of(self._model.config) if self._images is None else self._images.placeholders

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
        self.description = {
            **self.description,
            KEY: {**self.description[KEY], **weights_now(self._loaded, self._model)},
        }
        dates = self._tokens.begin_at(moment)
        if self._images is not None:
            dates = self._images.begin_at(moment) or dates
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
        return [one.token_ids.tolist() for one in self.prompt_inputs(prompts)]

    def prompt_inputs(self, prompts: Sequence[Prompt]) -> list[PromptInputs]:
        """Return what the model reads of each prompt: its tokens, and the pixels of its images.

        Raises
        ------
        CaptureError
            As `tokenize`, or if the images of a prompt cannot be run with this model.
        """
        of_text = iter(self._tokens.take([prompt for prompt in prompts if not prompt.images]))
        found = []
        for prompt in prompts:
            if prompt.images:
                found.append(self._with_images(prompt))
                continue
            ids = next(of_text)
            found.append(PromptInputs(ids, np.zeros(len(ids), dtype=np.int8)))
        return found

    def lengths(self, prompts: Sequence[Prompt], generation: Generation) -> NDArray[np.int32]:  # (prompts,)
        """Return the tokens of each prompt.

        Raises
        ------
        CaptureError
            If a prompt gives no token, or exceeds the model's context with what is generated.
        """
        lengths = np.zeros(len(prompts), dtype=np.int32)
        of_text = np.array([not prompt.images for prompt in prompts], dtype=bool)
        lengths[of_text] = self._tokens.lengths([prompt for prompt in prompts if not prompt.images])
        for place in np.flatnonzero(~of_text).tolist():
            lengths[place] = len(self._with_images(prompts[place]))
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
        if self._images is not None:
            for prompt in prompts:
                self._images.check_text(prompt, self._completions.of(prompt).token_ids)
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
        yield from enumerate(self._found(prompts, self.prompt_inputs(prompts), generation, want, on_tokens))

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
        """Run prompts with their outputs together, as one batch, and yield the loss of each token.

        Prompts whose images have other shapes run one after another.

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
        for part, some, run in self._passes(prompts, want, on_tokens):
            yield from zip(part, losses(self._model, run, some, self._completions, self.layout.segments), strict=True)

    def divergences(
        self,
        prompts: Sequence[Prompt],
        rules: Sequence[Rule],
        *,
        on_tokens: Callable[[int], None] | None = None,
    ) -> Iterator[tuple[int, NDArray[np.float64]]]:  # (rules, tokens)
        """Run prompts together, as one batch, without a rule and under each, and yield how far predictions move.

        Parameters
        ----------
        prompts
            The batch, as `loss` takes it.
        rules
            Each is compared with the model as it routes by itself.
        on_tokens
            See `run`.

        Raises
        ------
        CaptureError
            If the engine does not offer it for this model, carries out a rule, or prompts may not share a batch.
        ModelError
            If the model cannot follow a rule, does not give the logits of all tokens, or they are no numbers.
        OutOfMemory
            If the batch does not fit into memory.
        """
        require(self, ["divergence"])
        self._check_open()
        if self._ruling is not None:
            message = "divergences are from the model as it routes by itself: not while a rule is carried out"
            raise CaptureError(message)
        begin = [partial(self.ruled, rule) for rule in rules]
        for part, some, run in self._passes(prompts, (), on_tokens):
            of_batch = self._model, run, some, self._completions, self.layout.segments
            yield from zip(part, divergences(*of_batch, rules=begin), strict=True)

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
        pictured = ids[np.isin(ids, list(self.placeholders))]
        if len(pictured):
            message = (
                f"prompt {name!r} holds {self.text_of(int(pictured[0]))!r}, which stands for an image: without the "
                "image itself its tokens cannot be routed again"
            )
            raise CaptureError(message)
        lengths, after = np.array([len(ids) - written]), np.array([written])
        check_context(self._model.config, [prompt], lengths, after)
        check_as_written(self._sharing, [prompt], lengths, after)
        asked = chooser if "scores" in self.capabilities else None
        with chosen(self._model, self._taps if asked is not None else [], self.layout.top_k if asked else (), asked):
            inputs = PromptInputs(ids.astype(np.int32), np.zeros(len(ids), dtype=np.int8))
            found = self._run_batch([prompt], [inputs], Generation(0), Recording())
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
        inputs: Sequence[PromptInputs],
        generation: Generation,
        want: Collection[str],
        on_tokens: Callable[[int], None] | None,
    ) -> list[RoutedSequence]:
        """Return the sequences of a batch, from one pass alone where its outputs are given."""
        if "scores" in want and self._ruling is not None:
            message = "router scores explain what a model selects by itself: record them without a rule"
            raise CaptureError(message)
        recording = Recording("weights" in want, "scores" in want, on_tokens)
        if not are_given(prompts):
            return self._run_batch(prompts, inputs, generation, recording)
        require(self, ["outputs"])
        completions = [self._completions.of(prompt) for prompt in prompts]
        names = self.layout.segments
        together = [one.followed_by(written.ran, names) for one, written in zip(inputs, completions, strict=True)]
        routed = self._run_batch(prompts, together, Generation(0), recording)
        return [replace(one, output=written.text) for one, written in zip(routed, completions, strict=True)]

    def _passes(
        self, prompts: Sequence[Prompt], want: Collection[str], on_tokens: Callable[[int], None] | None
    ) -> Iterator[tuple[list[int], list[Prompt], Callable[[], list[RoutedSequence]]]]:
        """Yield the places of prompts that run in one pass, the prompts, and what runs them, each time anew.

        Images are turned into pixels once, however often they run.
        """
        inputs = self.prompt_inputs(prompts)
        for part in parts_of(inputs):
            some, theirs = [prompts[place] for place in part], [inputs[place] for place in part]
            yield part, some, partial(self._found, some, theirs, Generation(0), want, on_tokens)

    def _with_images(self, prompt: Prompt) -> PromptInputs:
        if self._images is None:
            message = f"prompt {prompt.id!r} has images: open the engine with `images=True`"
            raise CaptureError(message)
        return self._images.of(prompt)

    def _run_batch(
        self, prompts: Sequence[Prompt], inputs: Sequence[PromptInputs], generation: Generation, recording: Recording
    ) -> list[RoutedSequence]:
        check_shared(prompts, self.groups(np.array(list(map(len, inputs))), generation), self._sharing.reason)
        run = BatchRun(self._model, self._taps, self._tokenizer, self.layout.segments, self._end_tokens, self._padding)
        sequences = run.together(prompts, inputs, generation, recording, ruling=self._ruling)
        if sequences[0].scores is not None:
            self._score_kinds.add(kind_of_scores(sequences[0].scores))
        return sequences
