"""The interface of every engine, the list of those there are, and how one is opened by name."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from importlib import import_module
from importlib.metadata import entry_points
from inspect import Parameter, signature
from types import TracebackType
from typing import Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from moexray.engines.rules import Rule
from moexray.errors import CaptureError
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.routing import RoutedSequence, RouterLayout, ScoredSequence

Batching = Literal["tokens", "alone", "own"]

# By name, the function that opens an engine. It is imported when the engine is asked for.
ENGINES: Mapping[str, str] = {
    "transformers": "moexray.engines.transformers.engine:open_engine",
    "server": "moexray.engines.server.engine:open_engine",
    "vllm": "moexray.engines.vllm.engine:open_engine",
}
# Packages add engines of their own under this group of entry points.
ENTRY_POINTS = "moexray.engines"


class Chooser(Protocol):
    """Says what routers take, in the place of what they select themselves; ``(tokens, …)`` arrays of one layer."""

    def experts(
        self, place: int, scores: NDArray[np.float32], own: NDArray[np.integer]
    ) -> NDArray[np.integer]:  # (tokens, k)
        """Return the experts of each token, from the scores of all of them and those that the router selects."""
        ...

    def groups(
        self, place: int, scores: NDArray[np.float32], own: NDArray[np.integer]
    ) -> NDArray[np.integer]:  # (tokens, selected)
        """Return the groups of experts, where a router first selects groups and then experts within them."""
        ...


class Engine(Protocol):
    """Runs a model on prompts and says of every token which experts it was sent to.

    Inherit from this class to get the defaults below; a class that has all members is an engine as well.

    Attributes
    ----------
    layout
        The model's MoE layers, their experts and k.
    description
        What runs, for the meta of signatures: JSON values by name, among them ``model`` and ``engine``, and
        ``router_may_drop``, true, where a router may send a token to fewer than k experts.
    batching
        Who decides which prompts run together:

        - ``"tokens"``: the caller plans batches of at most `budget` tokens, within `groups`, and calls `run` once for
          each. `run` runs all its prompts at once, or raises `OutOfMemory`; the caller then tries smaller batches.
        - ``"alone"``: a prompt beside others would be routed differently, so `run` gets one prompt a call.
        - ``"own"``: the engine schedules by itself. `run` gets thousands of prompts, and yields each as
          soon as it is done; what it has yielded is kept even if it is interrupted.
    capabilities
        What it offers beside the selected experts: ``weights`` (gate weights), ``scores`` (scores of all experts),
        ``verify`` (a check of its recording against the model), ``rules`` (other selections than the router's: see
        `ruled`), ``score`` (the probability of a given text: see `loss`), ``divergence`` (how far rules move
        predictions: see `divergences`), ``norms`` (norms of experts' outputs: see `output_norms`), ``outputs`` (outputs
        of prompts that are given, recorded as if they were generated), ``images`` (prompts with images), ``route``
        (the routing of given token ids: see `route`). `require` refuses what is not among them.
    """

    layout: RouterLayout
    description: Mapping[str, Any]
    batching: Batching
    capabilities: frozenset[str]

    def lengths(self, prompts: Sequence[Prompt], generation: Generation) -> NDArray[np.int32]:  # (prompts,)
        """Return the tokens of each prompt.

        Raises
        ------
        CaptureError
            If a prompt cannot be run: it gives no token, or exceeds the model's context with what is generated.
        """
        ...

    def groups(self, lengths: NDArray[np.integer], generation: Generation) -> NDArray[np.integer]:  # (prompts,)
        """Return a number for each prompt: only prompts of one number share a batch (``batching="tokens"``).

        A prompt with −1 runs alone.

        Parameters
        ----------
        lengths
            What `lengths` returned ``(prompts,)``.
        generation
            What is generated after each prompt.
        """
        del generation
        return np.zeros(len(lengths), dtype=np.int32)

    def given_lengths(self, prompts: Sequence[Prompt], lengths: NDArray[np.integer]) -> NDArray[np.int32]:  # (prompts,)
        """Return how many tokens of each prompt's output pass the routers (capability ``outputs``).

        Parameters
        ----------
        prompts
            Prompts with outputs.
        lengths
            What `lengths` returned for them.

        Raises
        ------
        CaptureError
            If an output cannot be run, or exceeds the model's context.
        """
        del prompts, lengths
        require(self, ["outputs"])
        raise NotImplementedError

    def run(
        self,
        prompts: Sequence[Prompt],
        generation: Generation,
        *,
        want: Collection[str] = (),
        on_tokens: Callable[[int], None] | None = None,
    ) -> Iterator[tuple[int, RoutedSequence]]:
        """Yield the place of a prompt among `prompts` and its routed sequence, in the order of completion.

        Every prompt comes once, with all its tokens, each sent to k different experts of every layer; −1 stands only
        where a layer's k is smaller than that of another, or where the description has ``router_may_drop``. A capture
        refuses anything else.

        Parameters
        ----------
        prompts
            What to run; `batching` says how many.
        generation
            What is generated after each prompt, where its output is not given.
        want
            What each sequence must hold beside the selected experts: ``weights``, ``scores``. Scores are what the
            router takes its top k of; see `moexray.router_scores.problem_of_scores` for what must hold of them.
        on_tokens
            Called with a number of tokens whenever that many have passed the model. An engine that cannot tell
            before a sequence is done leaves it alone.

        Raises
        ------
        OutOfMemory
            If the prompts do not fit into memory together.
        ModelError
            If the routing of this model cannot be recorded.
        """
        ...

    def ruled(self, rule: Rule) -> AbstractContextManager[None]:
        """Carry out a routing rule while the context lasts (capability ``rules``).

        What `run` and `loss` record is what the rule made of the selections, −1 where one is left out; the description
        then has ``rule``, and ``router_may_drop``, true.

        Raises
        ------
        CaptureError
            If the engine carries out no rules, or another one now, or the rule does not fit the model's layout.
        ModelError
            If this model cannot follow it.
        """
        del rule
        require(self, ["rules"])
        raise NotImplementedError

    def loss(
        self,
        prompts: Sequence[Prompt],
        *,
        want: Collection[str] = (),
        on_tokens: Callable[[int], None] | None = None,
    ) -> Iterator[tuple[int, ScoredSequence]]:
        """Yield the place of a prompt among `prompts` and the loss of each of its tokens (capability ``score``).

        Prompts run as `run` runs those whose outputs are given, and may share a batch where those may. Without
        outputs, the tokens of the prompts are scored.

        Parameters
        ----------
        prompts
            What to score, with outputs or without.
        want, on_tokens
            See `run`.

        Raises
        ------
        OutOfMemory
            If the prompts do not fit into memory together.
        ModelError
            If the model does not give the logits of all tokens.
        """
        del prompts, want, on_tokens
        require(self, ["score"])
        raise NotImplementedError

    def divergences(
        self,
        prompts: Sequence[Prompt],
        rules: Sequence[Rule],
        *,
        on_tokens: Callable[[int], None] | None = None,
    ) -> Iterator[tuple[int, NDArray[np.float64]]]:  # (rules, tokens)
        """Yield the place of a prompt among `prompts` and how far rules move predictions (capability ``divergence``).

        For each rule and token, the Kullback–Leibler divergence in nats of the distribution over all ids that predicts
        the token under the rule from that without it; NaN where `loss` gives NaN.

        Parameters
        ----------
        prompts
            As `loss` takes them; the logits of each token are held twice.
        rules
            Each is compared with the model as it routes by itself.
        on_tokens
            See `run`.

        Raises
        ------
        CaptureError
            If a rule is carried out already, or does not fit the model's layout.
        OutOfMemory
            If the prompts do not fit into memory together.
        ModelError
            If the model cannot follow a rule, or does not give the logits of all tokens.
        """
        del prompts, rules, on_tokens
        require(self, ["divergence"])
        raise NotImplementedError

    def route(
        self, token_ids: NDArray[np.integer], *, written: int = 0, name: str, chooser: Chooser | None = None
    ) -> NDArray[np.int16]:  # (tokens, layers, k)
        """Return the experts that given token ids are sent to, in one pass alone (capability ``route``).

        Parameters
        ----------
        token_ids
            Of one text ``(tokens,)``.
        written
            How many of them, at the end, were generated.
        name
            What the text is called in error messages.
        chooser
            Sees the scores of each layer, of which its router takes the top k, and may take others. It is not asked
            where ``scores`` is not among the capabilities. −1 stands for no selection.

        Raises
        ------
        CaptureError
            If a token has no embedding, the text exceeds the model's context, or one pass would not route it as it was
            written.
        ModelError
            If the routing cannot be recorded.
        """
        del token_ids, written, name, chooser
        require(self, ["route"])
        raise NotImplementedError

    def budget_of_loss(self) -> int:
        """Return how many tokens `loss` can take together: their logits are all in memory."""
        return self.budget()

    def output_norms(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:  # (layers, experts)
        """Return the mean of gate weight × norm of output over the tokens of each expert (capability ``norms``).

        0 for an expert without tokens, and beyond the experts of a layer that has fewer than others.

        Parameters
        ----------
        prompts
            As `loss` takes them; each runs by itself.

        Raises
        ------
        ModelError
            If the experts of a layer cannot be run one by one.
        """
        del prompts
        require(self, ["norms"])
        raise NotImplementedError

    def text_of(self, token_id: int) -> str:
        """Return the text of one token."""
        ...

    def inputs(self) -> Mapping[str, Any]:
        """Return everything about the model that decides what is recorded: JSON values by name.

        An interrupted capture is only resumed by an engine with equal inputs.
        """
        return self.description

    def begin_at(self, moment: datetime) -> None:
        """Take the time at which the capture began, also where it is resumed, for templates that ask for it.

        It is called before anything is run or asked of the engine; what depends on it belongs to the description.
        """
        del moment  # nothing depends on it unless an engine says so

    def budget(self) -> int:
        """Return how many tokens, padding included, fit into memory together (``batching="tokens"``)."""
        return 4096

    def costs_of_prompts(self, lengths: NDArray[np.integer]) -> NDArray[np.float64]:  # (prompts,)
        """Return the memory that prompts of these lengths take, in tokens of `budget`; a longer one takes more."""
        return np.asarray(lengths, dtype=np.float64)

    def cost_of_generated(self) -> float:
        """Return the memory that a generated token takes, as a share of what a token of a prompt takes."""
        return 1.0

    def observations(self) -> Mapping[str, Sequence[str]]:
        """Return what only shows while prompts run, for the meta of signatures: lists of names by name."""
        return {}

    def verify(
        self, batches: Sequence[Sequence[Prompt]] = (), generation: Generation | None = None
    ) -> Mapping[str, Any]:
        """Check that what is recorded is what the model computes with; return what was checked, for the meta.

        Parameters
        ----------
        batches
            What to try: some of the batches that a capture will run. By default the engine takes prompts of its own.
        generation
            What the capture generates after each.

        Raises
        ------
        ModelError
            If it is not.
        """
        del batches, generation
        require(self, ["verify"])
        raise NotImplementedError

    def close(self) -> None:
        """Leave the model as it was found, and free what the engine holds. A second call does nothing."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_engine(name: str, model: str, **options: Any) -> Engine:
    """Open an engine by name, and its model.

    Parameters
    ----------
    name
        One of `engine_names`.
    model
        The model, as that engine calls it.
    options
        What that engine's own function takes beside the model.

    Raises
    ------
    CaptureError
        If there is no such engine, or it does not take an option.
    ModelError
        If the model cannot be loaded or its routing cannot be recorded.
    """
    for option in options:
        if not takes(name, option):
            message = f"engine {name} takes no `{option}`: leave it out"
            raise CaptureError(message)
    engine: Engine = _function(name)(model, **options)
    return engine


def takes(name: str, option: str) -> bool:
    """Return whether the function that opens an engine takes an option."""
    parameters = signature(_function(name)).parameters.values()
    return any(one.name == option or one.kind is Parameter.VAR_KEYWORD for one in parameters)


def image_option(name: str, prompts: Sequence[Prompt]) -> dict[str, bool]:
    """Return what `open_engine` is given for images: the option ``images``, true, where a prompt has one.

    Raises
    ------
    CaptureError
        If a prompt has one, and the engine takes no such option.
    """
    first = _first_with_images(prompts)
    if first is None:
        return {}
    if not takes(name, "images"):
        message = (
            f"engine {name} takes no images, and prompt {first.id!r} has one: use an engine that does, or leave "
            "images out with an empty `image_column`"
        )
        raise CaptureError(message)
    return {"images": True}


def require_images(engine: Engine, prompts: Sequence[Prompt]) -> None:
    """Raise CaptureError if a prompt has an image, and the engine would leave it out (capability ``images``)."""
    first = _first_with_images(prompts)
    if first is not None and "images" not in engine.capabilities:
        message = (
            f"engine {engine.description.get('engine', type(engine).__name__)} shows this model no images, and prompt "
            f"{first.id!r} has one: open it with images, where it takes that option, or leave them out"
        )
        raise CaptureError(message)


def _first_with_images(prompts: Sequence[Prompt]) -> Prompt | None:
    return next((prompt for prompt in prompts if prompt.images), None)


def engine_names() -> list[str]:
    """Return the names of all engines: those that come with moexray, then those of other packages."""
    return list(dict.fromkeys([*ENGINES, *(found.name for found in entry_points(group=ENTRY_POINTS))]))


def require(engine: Engine, wanted: Collection[str]) -> None:
    """Raise CaptureError, which names it, if an engine lacks one of the capabilities."""
    for capability in wanted:
        if capability not in engine.capabilities:
            offers = ", ".join(sorted(engine.capabilities)) or "none"
            message = (
                f"engine {engine.description.get('engine', type(engine).__name__)} does not offer {capability} "
                f"for this model: it offers {offers}"
            )
            raise CaptureError(message)


def _function(name: str) -> Callable[..., Engine]:
    if name in ENGINES:
        module, _, function = ENGINES[name].partition(":")
        found: Callable[..., Engine] = getattr(import_module(module), function)
        return found
    for entry_point in entry_points(group=ENTRY_POINTS, name=name):
        loaded: Callable[..., Engine] = entry_point.load()
        return loaded
    message = f"no engine {name!r}: there are {', '.join(engine_names())}"
    raise CaptureError(message)
