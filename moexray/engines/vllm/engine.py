"""The engine that runs models in vLLM, in this machine's own processes."""

import hashlib
import importlib.util
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from typing import Any

from moexray.engines.engine import require
from moexray.engines.serving.engine import Request, ServingEngine
from moexray.engines.serving.model import ServedModel, read_served_model
from moexray.engines.vllm.options import check_options
from moexray.engines.vllm.process import RunningVllm, import_vllm
from moexray.errors import CaptureError, ModelError
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.routing import RoutedSequence

_DTYPES = ("float32", "bfloat16", "float16")
_FINISHED = ("stop", "length")


def open_engine(
    model: str,
    *,
    dtype: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    raw: bool = False,
    chat_template: str | None = None,
    template_options: Mapping[str, Any] | None = None,
    system: str | None = None,
    engine_options: Mapping[str, Any] | None = None,
) -> "VllmEngine":
    """Start vLLM with a model and return its engine.

    Parameters
    ----------
    model, revision, trust_remote_code, raw, chat_template, template_options, system
        See `moexray.engines.serving.model.read_served_model`.
    dtype
        ``float32``, ``bfloat16`` or ``float16``; by default what vLLM chooses for the checkpoint.
    engine_options
        More arguments of ``vllm.LLM``, such as ``{"tensor_parallel_size": 2}``.

    Raises
    ------
    MissingExtra
        If vLLM is not installed.
    CaptureError
        If an option cannot be used.
    ModelError
        If the model cannot be loaded, or its routing cannot be recorded.
    """
    options = dict(engine_options or {})
    check_options(options)
    if dtype not in (None, "auto", *_DTYPES):
        message = f"`dtype` is {dtype!r}: engine vllm takes {', '.join(_DTYPES)}, or leave it out for its own choice"
        raise CaptureError(message)
    if importlib.util.find_spec("vllm") is None:
        import_vllm()  # says how to install it, before a model is fetched
    served = read_served_model(
        model,
        revision=revision,
        trust_remote_code=trust_remote_code,
        raw=raw,
        chat_template=chat_template,
        template_options=template_options,
        system=system,
    )
    running = RunningVllm(
        model,
        {
            "disable_log_stats": True,
            **options,
            "model": served.source,
            "revision": served.revision,
            "tokenizer_revision": served.revision,
            "code_revision": served.revision,
            "dtype": dtype or "auto",
            "trust_remote_code": trust_remote_code,
            "enable_return_routed_experts": True,
            "skip_tokenizer_init": True,  # tokens are made, and read, here
        },
    )
    try:
        return VllmEngine(served, running, options)
    except BaseException:
        running.close()
        raise


class VllmEngine(ServingEngine):
    """Runs a model in vLLM and yields the routed sequence of each prompt as soon as vLLM has finished it.

    Parameters
    ----------
    served
        The model as its files describe it.
    running
        vLLM with that model.
    options
        What was asked of vLLM beside, for the meta of signatures.
    """

    def __init__(self, served: ServedModel, running: RunningVllm, options: Mapping[str, Any]) -> None:
        configuration = running.configuration
        quantization = None if configuration.quantization is None else str(configuration.quantization)
        # What packed weights take is vLLM's own affair.
        sizes = {} if quantization else {"expert_bytes": served.expert_bytes(configuration.dtype.itemsize)}
        super().__init__(
            served,
            {
                "engine": "vllm",
                "engine_version": running.version,
                "dtype": str(configuration.dtype).removeprefix("torch."),
                "quantization": quantization,
                **sizes,
                "device": running.device,
                "engine_options": dict(options),
                # At temperatures above 0, its random numbers are not those of other engines.
                "draws": "vllm",
            },
            context=int(configuration.max_model_len),
        )
        self._running: RunningVllm | None = running
        self._runs = 0
        # Where it splits a prompt, vLLM turns the random numbers of its seed back, which torch does on GPUs alone.
        self._cannot_draw = running.device == "cpu" and options.get("enable_chunked_prefill") is not False

    def run(
        self,
        prompts: Sequence[Prompt],
        generation: Generation,
        *,
        want: Collection[str] = (),
        on_tokens: Callable[[int], None] | None = None,
    ) -> Generator[tuple[int, RoutedSequence], None, None]:
        """Yield the place of a prompt and its routed sequence, in the order in which vLLM finishes them.

        Raises
        ------
        CaptureError
            If something is wanted beside selected experts, or the engine is closed.
        ModelError
            If vLLM fails, or returns what is no routing of the model.
        """
        del on_tokens  # a sequence is known when it is done
        require(self, want)
        running = self._open()
        if generation.temperature > 0 and self._cannot_draw:
            message = (
                "vLLM on CPUs fails with seeds where it splits a prompt: leave out `temperature`, or switch splitting "
                "off with `engine_options` enable_chunked_prefill false and a max_num_batched_tokens of max_model_len "
                "or more"
            )
            raise CaptureError(message)
        self._runs += 1
        waiting: dict[str, tuple[int, Request]] = {}
        try:
            for place, request in enumerate(self.requests(prompts, generation)):
                name = f"{self._runs}-{place}"
                running.add(name, request.token_ids, self._sampling(request, generation))
                waiting[name] = place, request
            while waiting:
                for output in running.step():
                    if output.request_id in waiting:  # others are of a run that was left
                        place, request = waiting.pop(output.request_id)
                        yield place, self._sequence(request, output, generation)
        finally:
            if waiting:
                running.abort(list(waiting))

    def close(self) -> None:
        """End vLLM's processes. A second call does nothing."""
        if self._running is not None:
            self._running.close()
            self._running = None

    def _open(self) -> RunningVllm:
        if self._running is None:
            message = f"the engine of {self.model.name} is closed: open it again"
            raise CaptureError(message)
        return self._running

    def _sampling(self, request: Request, generation: Generation) -> dict[str, Any]:
        """Return the sampling parameters of a request: nothing but what is asked for, whatever a checkpoint says."""
        drawn = generation.temperature > 0
        return {
            "max_tokens": request.new_tokens,
            "ignore_eos": True,
            "stop_token_ids": sorted(self.model.end_tokens) if generation.stop_at_eos else [],
            "temperature": generation.temperature,
            "top_p": generation.top_p if drawn else 1.0,
            "seed": seed_of(request.prompt, generation.seed) if drawn else None,
        }

    def _sequence(self, request: Request, output: Any, generation: Generation) -> RoutedSequence:
        problem = self._problem(request, output, generation)
        if problem:
            message = f"the routing of prompt {request.prompt!r} is not known: {problem}"
            raise ModelError(message)
        (completion,) = output.outputs
        return self.sequence(request, completion.routed_experts, list(completion.token_ids), generation)

    def _problem(self, request: Request, output: Any, generation: Generation) -> str | None:
        """Say why what vLLM returned of a request cannot be used."""
        if len(output.outputs) != 1:
            return f"vLLM returned {len(output.outputs)} texts for it"
        (completion,) = output.outputs
        if completion.finish_reason not in _FINISHED:
            return f"it ended for the reason {completion.finish_reason!r}"
        if list(output.prompt_token_ids or ()) != request.token_ids:
            return "vLLM ran other tokens than it was given"
        if getattr(completion, "routed_experts", None) is None:
            return "vLLM returned no routed experts for it"
        return self._problem_of_text(list(completion.token_ids), request.new_tokens, generation)

    def _problem_of_text(self, new_ids: list[int], most: int, generation: Generation) -> str | None:
        """Say where a text does not end where it should: at its first end token, or after all tokens."""
        ends = self.model.end_tokens if generation.stop_at_eos else frozenset()
        first = next((place + 1 for place, token in enumerate(new_ids) if token in ends), most)
        if len(new_ids) == first:
            return None
        return f"its text has {len(new_ids)} new tokens and should end after {first}"


def seed_of(prompt: str, seed: int) -> int:
    """Return the seed of a prompt's draws: of its id and the capture's seed, so that it depends on no other prompt."""
    digest = hashlib.sha256(f"{seed}:".encode() + prompt.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:4], "little")
