"""What engines that serve a model by another program have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.engines.engine import Batching, Engine, require_images
from moexray.engines.serving.model import ServedModel
from moexray.engines.serving.rows import rows_to_sequence
from moexray.engines.transformers.completions import are_given
from moexray.engines.transformers.end_tokens import embeddings_of
from moexray.errors import CaptureError, ModelError
from moexray.generation import Generation
from moexray.model_fingerprint import KEY
from moexray.prompts import Prompt
from moexray.routing import RoutedSequence

# Of a model whose embeddings cannot be found: more do not fit the type of token ids.
_MOST_TOKENS = 2**31


@dataclass(frozen=True)
class Request:
    """What is sent for a prompt.

    Attributes
    ----------
    prompt
        Its id.
    prompt_ids
        Its tokens.
    new_tokens
        The most tokens to generate: one at least, which serving engines insist on, and which is left out where none
        is wanted.
    given_ids
        The tokens of its output that pass the routers, where it is given; None where the model generates.
    given_text
        The text of that output.
    """

    prompt: str
    prompt_ids: NDArray[np.int32]
    new_tokens: int
    given_ids: NDArray[np.int32] | None = None
    given_text: str = ""

    @property
    def token_ids(self) -> list[int]:
        """All tokens that the engine is to run before it generates."""
        parts = [self.prompt_ids] if self.given_ids is None else [self.prompt_ids, self.given_ids]
        return [int(token) for part in parts for token in part]


class ServingEngine(Engine):
    """An engine that sends token ids and gets rows of expert ids; a subclass defines `run`, and `close` if need be.

    Parameters
    ----------
    model
        The model that is served.
    description
        What runs, beside what the model's files say: ``engine``, ``engine_version``, and more.
    context
        The most tokens of a text that the engine takes; None for the model's own.
    fingerprint
        That of the model; `moexray.engines.serving.model.ServedModel.fingerprint` by default.
    """

    batching: Batching = "own"
    capabilities: frozenset[str] = frozenset({"outputs"})

    def __init__(
        self,
        model: ServedModel,
        description: Mapping[str, Any],
        *,
        context: int | None = None,
        fingerprint: Mapping[str, str] | None = None,
    ) -> None:
        self.model = model
        self.layout = model.layout
        self.description: Mapping[str, Any] = {
            **model.description(),
            **description,
            # Serving engines do not promise an order by gate weight.
            "selection_order": "ascending",
            KEY: dict(model.fingerprint() if fingerprint is None else fingerprint),
        }
        self._vocabulary = embeddings_of(model.skeleton) or _MOST_TOKENS
        limits = [limit for limit in (model.context, context) if limit is not None]
        self._context = min(limits, default=None)

    def begin_at(self, moment: datetime) -> None:
        """Render chat templates that ask for the time with the moment at which the capture began."""
        dates = self.model.tokens.begin_at(moment)
        if dates:
            self.description = {**self.description, "template_date": dates}

    def inputs(self) -> Mapping[str, Any]:
        """Return the description, and the files beside the weights of a checkpoint on this machine."""
        return {**self.description, "checkpoint": self.model.files()}

    def text_of(self, token_id: int) -> str:
        """Return the text of one token."""
        return str(self.model.tokenizer.decode([token_id]))

    def lengths(self, prompts: Sequence[Prompt], generation: Generation) -> NDArray[np.int32]:  # (prompts,)
        """Return the tokens of each prompt.

        Raises
        ------
        CaptureError
            If a prompt has an image, gives no token, or exceeds the engine's context with what is generated.
        """
        require_images(self, prompts)
        lengths = self.model.tokens.lengths(prompts)
        if not are_given(prompts):
            self._check_context(prompts, lengths, max(1, generation.max_new_tokens))
        return lengths

    def given_lengths(self, prompts: Sequence[Prompt], lengths: NDArray[np.integer]) -> NDArray[np.int32]:  # (prompts,)
        """Return how many tokens of each prompt's output pass the routers.

        Raises
        ------
        CaptureError
            If an output cannot be tokenized, has a token without an embedding, or exceeds the engine's context.
        """
        given = self.model.completions.lengths(prompts)
        self._check_context(prompts, np.asarray(lengths) + given, 1)
        return given

    def requests(self, prompts: Sequence[Prompt], generation: Generation) -> list[Request]:
        """Return what is sent for each prompt."""
        token_ids = self.model.tokens.take(prompts)
        if not are_given(prompts):
            new_tokens = max(1, generation.max_new_tokens)
            return [Request(prompt.id, ids, new_tokens) for prompt, ids in zip(prompts, token_ids, strict=True)]
        given = [self.model.completions.of(prompt) for prompt in prompts]
        return [
            Request(prompt.id, ids, 1, one.ran, one.text)
            for prompt, ids, one in zip(prompts, token_ids, given, strict=True)
        ]

    def sequence(self, request: Request, rows: Any, new_ids: Sequence[int], generation: Generation) -> RoutedSequence:
        """Return the routed sequence of a request.

        Parameters
        ----------
        request
            What was sent.
        rows
            What came back: see `moexray.engines.serving.rows.rows_to_sequence`.
        new_ids
            All tokens that were generated, the end token included.
        generation
            What was asked for.

        Raises
        ------
        ModelError
            If the rows are no routing of this model, or a generated token is none of its tokens.
        """
        wrong = next((token for token in new_ids if not 0 <= token < self._vocabulary), None)
        if wrong is not None:
            message = (
                f"the routing of prompt {request.prompt!r} is not known: {self.description['engine']} generated token "
                f"{wrong}, and the model has {self._vocabulary:,} tokens: name the model that it runs"
            )
            raise ModelError(message)
        if request.given_ids is not None:
            passed, text = request.given_ids, request.given_text
        else:
            written = list(new_ids)[: generation.max_new_tokens]
            passed, text = np.array(written[:-1], dtype=np.int32), self.model.text_of(written)
        return rows_to_sequence(
            rows,
            self.model,
            engine=str(self.description["engine"]),
            prompt=request.prompt,
            prompt_ids=request.prompt_ids,
            passed_ids=passed,
            output=text,
        )

    def close(self) -> None:
        """Free what the engine holds: nothing, unless a subclass says otherwise."""

    def _check_context(self, prompts: Sequence[Prompt], tokens: NDArray[np.integer], new_tokens: int) -> None:
        """Refuse a prompt, with its output where it is given, beyond the context."""
        if self._context is None or (tokens + new_tokens <= self._context).all():
            return
        longest = int(np.argmax(tokens))
        message = (
            f"prompt {prompts[longest].id!r} has {tokens[longest]} tokens: with {new_tokens} more, the least that is "
            f"generated, it exceeds the context of {self._context}: shorten it"
            if new_tokens == 1
            else f"prompt {prompts[longest].id!r} has {tokens[longest]} tokens: with {new_tokens} generated ones it "
            f"exceeds the context of {self._context}: shorten it, or lower `max_new_tokens`"
        )
        raise CaptureError(message)
