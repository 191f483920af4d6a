"""A small server on loopback that answers as vLLM or SGLang document it, with routing that a test gives it.

As a program, `python fake_server.py KIND PORT SECONDS`, it is one that can be killed: its routing depends on the tokens
alone, and each reply takes some seconds.
"""

import base64
import io
import json
import sys
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

# Of the tiny OLMoE of tests.tiny_models.
LAYERS, EXPERTS, K, VOCABULARY = 3, 12, 3, 52
MODEL = "tiny"

# From the tokens of a prompt and the body of its request: new tokens, and rows of expert ids.
Route = Callable[[Sequence[int], dict[str, Any]], tuple[list[int], NDArray[np.integer]]]
# Sends something else than the reply, or changes the reply and returns it to be sent.
Damage = Callable[["Handler", dict[str, Any]], dict[str, Any] | None]


def made_up(token_ids: Sequence[int], body: dict[str, Any]) -> tuple[list[int], NDArray[np.uint8]]:
    """Return tokens and rows that follow from the tokens before them, as those of a model do."""

    def drawn(end: int) -> np.random.Generator:
        return np.random.default_rng([end, *tokens[max(0, end - 8) : end]])

    tokens, ends = list(token_ids), set(body["stop_token_ids"])
    while len(tokens) < len(token_ids) + body["max_tokens"]:
        tokens.append(int(drawn(len(tokens)).integers(VOCABULARY)))
        if tokens[-1] in ends:
            break
    of_tokens = [drawn(end).random((LAYERS, EXPERTS)) for end in range(1, len(tokens))]
    return tokens[len(token_ids) :], np.argsort(of_tokens, axis=2)[:, :, :K].astype(np.uint8)


def npy(rows: NDArray[Any], **options: Any) -> str:
    """Return an array as vLLM writes it."""
    file = io.BytesIO()
    np.save(file, rows, **options)
    return base64.b64encode(file.getvalue()).decode()


def bare(rows: NDArray[Any], dtype: str = "<i4") -> str:
    """Return an array as SGLang writes it."""
    return base64.b64encode(rows.astype(dtype).tobytes()).decode()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: "FakeServer"

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer what a client asks about the server."""
        found = self.server.about.get(self.path)
        if found is None:
            self.send(404, b'{"detail": "Not Found"}')
        else:
            self.send(200, json.dumps(found).encode())

    def do_POST(self) -> None:
        """Answer a request for a completion."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.note(self.path, dict(self.headers), body)
        if self.path != self.server.prefix + "/v1/completions":
            self.send(404, b"{}")
            return
        new_ids, rows = self.server.route(body["prompt"], body)
        reply: dict[str, Any] | None = self.server.reply(body, new_ids, rows)
        if self.server.damage is not None:
            reply = self.server.damage(self, reply)
        if reply is not None:
            self.send(200, json.dumps(reply).encode())

    def send(self, status: int, content: bytes, **headers: str) -> None:
        """Send a whole reply."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)


class FakeServer(ThreadingHTTPServer):
    """A server of one kind; it listens while it is a context.

    Attributes
    ----------
    requests
        The headers and bodies of the completions that were asked for.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(
        self,
        kind: str = "vllm",
        *,
        model: str = MODEL,
        route: Route = made_up,
        damage: Damage | None = None,
        context: int = 128,
        settings: dict[str, Any] | None = None,
        port: int = 0,
        prefix: str = "",
    ) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.kind, self.route, self.damage, self.prefix = kind, route, damage, prefix
        listing = {"object": "list", "data": [{"id": model, "root": model, "max_model_len": context}]}
        self.about: dict[str, Any] = {f"{prefix}/v1/models": listing}
        if kind == "vllm":
            self.about[f"{prefix}/version"] = {"version": "0.30.0"}
        else:
            plain = {"model_path": model, "version": "0.5.23", "enable_return_routed_experts": True}
            self.about[f"{prefix}/server_info"] = {**plain, "disaggregation_mode": "null", **(settings or {})}
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
        self._lock = Lock()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}{self.prefix}"

    def note(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> None:
        """Keep a request."""
        del path
        with self._lock:
            self.requests.append((headers, body))

    def reply(self, body: dict[str, Any], new_ids: list[int], rows: NDArray[Any]) -> dict[str, Any]:
        """Return the reply to a request as this kind of server writes it."""
        stopped = new_ids[-1] in body["stop_token_ids"]
        choice = {
            "index": 0,
            "text": "…",
            "finish_reason": "stop" if stopped else "length",
            "prompt_token_ids": body["prompt"],
            "token_ids": new_ids,
        }
        reply = {"id": "cmpl-1", "object": "text_completion", "model": body["model"], "choices": [choice]}
        if self.kind == "vllm":
            choice["routed_experts"] = npy(rows)
        elif body.get("return_routed_experts"):
            reply["sglext"] = {"routed_experts": bare(rows)}
        return reply

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up."""

    def __enter__(self) -> Self:
        Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_args: Any) -> None:
        self.shutdown()
        self.server_close()


def _main(kind: str, port: str, seconds: str) -> None:
    def slowly(_handler: Handler, reply: dict[str, Any]) -> dict[str, Any]:
        time.sleep(float(seconds))
        return reply

    with FakeServer(kind, port=int(port), damage=slowly) as server:
        print(server.url, flush=True)
        while True:
            time.sleep(1)


if __name__ == "__main__":
    _main(*sys.argv[1:])
