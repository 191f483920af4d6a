"""The engine that asks a running server for completions, several at a time, and reads the routing in its replies."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from moexray.engines.engine import require
from moexray.engines.server.address import Address, address_of
from moexray.engines.server.background import Background
from moexray.engines.server.exchange import Exchange, UnansweredError
from moexray.engines.server.features import NAMES, Served, find_server
from moexray.engines.server.limits import Limits
from moexray.engines.server.replies import ended, read_answer
from moexray.engines.server.requests import most_bytes, request_body
from moexray.engines.server.retrying import asked_until_answered
from moexray.engines.server.routed import ReplyError
from moexray.engines.server.stale import Seen
from moexray.engines.serving.engine import Request, ServingEngine
from moexray.engines.serving.model import ServedModel, read_served_model
from moexray.errors import CaptureError, ModelError
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.routing import RoutedSequence

_ROUTE = "/v1/completions"


def open_engine(
    model: str,
    *,
    url: str | None = None,
    served_model: str | None = None,
    concurrency: int = Limits.concurrency,
    retry_seconds: float = Limits.retry_seconds,
    request_seconds: float = Limits.request_seconds,
    revision: str | None = None,
    trust_remote_code: bool = False,
    raw: bool = False,
    chat_template: str | None = None,
    template_options: Mapping[str, Any] | None = None,
    system: str | None = None,
) -> "ServerEngine":
    """Find out what a server is, and return its engine.

    A key, where the server wants one, is read from the environment variable MOEXRAY_API_KEY.

    Parameters
    ----------
    model
        The model that is served: a local folder, a Hugging Face id, or ``scale``. Its configuration and tokenizer are
        read here, its weights are not.
    url
        Where the server listens: ``http://HOST:PORT``, with or without ``/v1``.
    served_model
        What the server calls the model, where it is neither its name nor its folder.
    concurrency
        How many prompts are in flight at a time. It changes speed and memory, not what is recorded, but for near ties
        in half precision.
    retry_seconds
        How long a prompt is sent again to a server that does not answer, or says that it is busy.
    request_seconds
        The time that one prompt may take, from its connection to the last byte of its reply.
    revision, trust_remote_code, raw, chat_template, template_options, system
        See `moexray.engines.serving.model.read_served_model`.

    Raises
    ------
    CaptureError
        If there is no server, or it cannot be used.
    ModelError
        If the model cannot be read, or its routing could not be checked.
    MissingExtra
        If a package that asks servers is not installed.
    """
    address = address_of(url)
    limits = Limits(concurrency, retry_seconds, request_seconds)
    read = read_served_model(
        model,
        revision=revision,
        trust_remote_code=trust_remote_code,
        raw=raw,
        chat_template=chat_template,
        template_options=template_options,
        system=system,
    )
    return ServerEngine(read, address, limits, served_model=served_model)


class ServerEngine(ServingEngine):
    """Sends prompts as token ids to a server of vLLM or SGLang, and yields each as soon as its reply is there.

    Parameters
    ----------
    model
        The model that is served.
    address, limits
        Where, and how much at a time.
    served_model
        What the server calls the model; None where it is its name or folder.

    Raises
    ------
    CaptureError
        If the server does not answer, or cannot be used.
    """

    def __init__(
        self, model: ServedModel, address: Address, limits: Limits | None = None, *, served_model: str | None = None
    ) -> None:
        self._address, self._limits = address, limits or Limits()
        self._served_model = served_model
        self._exchange = Exchange(address, connections=self._limits.concurrency)
        self._background = Background()
        try:
            self._served: Served = self._background.run(self._found(model))
        except UnansweredError as error:
            self.close()
            message = f"there is no answer from {address.origin} ({error}): start the server, or correct `url`"
            raise CaptureError(message) from error
        except BaseException:
            self.close()
            raise
        super().__init__(
            model,
            {
                "engine": "server",
                "server": NAMES[self._served.kind],
                "engine_version": self._served.version,
                "served_model": self._served.model,
                # At temperatures above 0, its random numbers are not those of other engines.
                "draws": self._served.kind,
                # A capture that is resumed after a step of training would hold the routing of two models.
                **({} if self._served.weights is None else {"weight_version": self._served.weights}),
            },
            context=self._served.context,
            fingerprint=model.fingerprint(weights=False),  # those that the server runs cannot be seen from here
        )
        self._seen = Seen()
        self._weights: str | None = None

    def run(
        self,
        prompts: Sequence[Prompt],
        generation: Generation,
        *,
        want: Collection[str] = (),
        on_tokens: Callable[[int], None] | None = None,
    ) -> Iterator[tuple[int, RoutedSequence]]:
        """Yield the place of a prompt among `prompts` and its routed sequence, in the order of replies.

        At most `concurrency` replies are in memory.

        Parameters
        ----------
        prompts, generation, want, on_tokens
            See `moexray.engines.engine.Engine.run`.

        Raises
        ------
        CaptureError
            If the server does not answer for too long, refuses a prompt, or came back as another.
        ModelError
            If a reply is no routing of its prompt by this model.
        """
        del on_tokens
        require(self, want)
        if generation.temperature > 0 and not self._served.draws_alike:
            message = (
                f"{self._served.name} draws tokens without regard to `seed`, so that nobody could record them again: "
                "start it with --enable-deterministic-inference, or leave out `temperature`"
            )
            raise CaptureError(message)
        yield from self._in_flight(self.requests(prompts, generation), generation)

    def close(self) -> None:
        """Cancel what is in flight and close all connections. A second call does nothing."""
        if not self._background.is_closed:
            try:
                self._background.run(self._exchange.close())
            finally:
                self._background.close()

    def _in_flight(self, requests: Sequence[Request], generation: Generation) -> Iterator[tuple[int, RoutedSequence]]:
        waiting = iter(range(len(requests)))
        flying: dict[Future[bytes], tuple[int, bool]] = {}

        def send(place: int, *, runs_on: bool = False) -> None:
            flying[self._background.submit(self._reply(requests[place], generation, runs_on=runs_on))] = place, runs_on

        try:
            while True:
                while len(flying) < self._limits.concurrency and (place := next(waiting, None)) is not None:
                    send(place)
                if not flying:
                    return
                done, _ = wait(flying, return_when=FIRST_COMPLETED)
                for future in done:
                    place, runs_on = flying.pop(future)
                    sequence = self._read(future.result(), requests[place], generation, runs_on=runs_on)
                    if sequence is None:
                        send(place, runs_on=True)
                    else:
                        yield place, sequence
        finally:
            for future in flying:
                future.cancel()

    async def _reply(self, request: Request, generation: Generation, *, runs_on: bool) -> bytes:
        ends = self._ends(generation)
        body = request_body(self._served, request, generation, ends=ends, runs_on=runs_on)
        most = most_bytes(request, layers=self.model.hidden_layers, k=self.model.k)

        async def ask(attempt: int) -> bytes:
            if attempt > 1:
                await self._check_same()
            return await self._exchange.post(_ROUTE, body, most_bytes=most, seconds=self._limits.request_seconds)

        return await asked_until_answered(ask, seconds=self._limits.retry_seconds, where=self._address.origin)

    def _ends(self, generation: Generation) -> frozenset[int]:
        return self.model.end_tokens if generation.stop_at_eos else frozenset()

    async def _found(self, model: ServedModel) -> Served:
        names = list(dict.fromkeys([model.name, model.source]))
        return await find_server(self._exchange, self._address, names=names, served_model=self._served_model)

    async def _check_same(self) -> None:
        """Refuse a server that was started again as another one."""
        now = await self._found(self.model)
        if now != self._served:
            message = (
                f"the server at {self._address.origin} came back as {now.name} with {now.model!r} and a context of "
                f"{now.context}, and was {self._served.name} with {self._served.model!r} and {self._served.context}"
                f"{_versions(now.weights, self._served.weights)}: "
                "start it as it was, or begin the capture anew"
            )
            raise CaptureError(message)

    def _read(self, body: bytes, request: Request, generation: Generation, *, runs_on: bool) -> RoutedSequence | None:
        """Return the routed sequence in a reply; None where the server ended the text at a token that ends none."""
        try:
            answer = read_answer(
                body,
                self._served.kind,
                token_ids=request.token_ids,
                vocabulary=self._vocabulary,
                layers=self.model.hidden_layers,
                k=self.model.k,
            )
            tokens = ended(answer.new_ids, request.new_tokens, self._ends(generation))
            if tokens is None and runs_on:
                message = f"it ended the text after {len(answer.new_ids)} tokens, at none that ends one"
                raise ReplyError(message)
            self._weights = self._weights or answer.weights
            if answer.weights != self._weights:
                message = (
                    f"its weights are now of version {answer.weights} and were of {self._weights}: record while nobody "
                    "changes them"
                )
                raise ReplyError(message)
        except ReplyError as problem:
            message = (
                f"the server at {self._address.origin} ({self._served.name}) returned no usable routing of prompt "
                f"{request.prompt!r}: {self._address.shown(str(problem))}"
            )
            raise ModelError(message) from None  # what it comes from may quote the server, and so the key
        if tokens is None:
            return None
        rows = answer.rows[: len(request.token_ids) + tokens - 1]
        sequence = self.sequence(request, rows, answer.new_ids[:tokens], generation)
        other = self._seen.same_as(request.prompt, sequence)
        if other is not None:
            message = (
                f"the server at {self._address.origin} ({self._served.name}) returned for prompt {request.prompt!r} "
                f"the routing of prompt {other!r}, row for row, though their tokens differ: it returns stale rows, as "
                "with keys and values from another cache"
            )
            raise ModelError(message)
        return sequence


def _versions(now: str | None, before: str | None) -> str:
    return "" if now == before else f" (its weights are of version {now}, and were of {before})"
