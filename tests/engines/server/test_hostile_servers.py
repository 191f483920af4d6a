"""Servers that answer wrongly, for ever, too much or elsewhere: one sentence, soon, in little memory, and no key."""

import base64
import gzip
import io
import json
import logging
import os
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moexray.engines.server.address import address_of
from moexray.engines.server.engine import ServerEngine
from moexray.engines.server.limits import Limits
from moexray.engines.serving.model import ServedModel
from moexray.errors import ModelError, MoexrayError
from moexray.generation import Generation
from moexray.prompts import Prompt
from tests.cli.conftest import Run
from tests.engines.server import asking
from tests.engines.server.fake_server import EXPERTS, MODEL, Damage, FakeServer, Handler, K, bare, npy

KEY = "sk-very-secret-0123456789"
PROMPTS = "".join(json.dumps({"text": text, "category": "a"}) + "\n" for text in ("abcdefgh", "ijklmnop", "qrstuv"))
Change = Callable[[dict[str, Any]], Any]


def choice(**changed: Any) -> Change:
    """Change fields of the choice; what is callable gets the field as it was."""

    def change(reply: dict[str, Any]) -> dict[str, Any]:
        of = reply["choices"][0]
        for name, value in changed.items():
            of[name] = value(of.get(name)) if callable(value) else value
        return reply

    return change


def rows(change: Callable[[Any], Any], write: Callable[[Any], str] = npy) -> Change:
    """Change the rows of routed experts, and write them again."""
    return choice(routed_experts=lambda text: write(change(np.load(io.BytesIO(base64.b64decode(text))))))


def pickled(array: Any) -> str:
    return npy(array.astype(object), allow_pickle=True)


def header(text: str) -> str:
    """Return a .npy file of this header and no data."""
    padded = text.encode().ljust(117) + b"\n"
    return base64.b64encode(b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded).decode()


def repeated(array: Any) -> Any:
    return np.zeros_like(array)


WRONG_REPLIES: dict[str, tuple[Change, str]] = {
    "layers": (rows(lambda a: a[:, :-1]), r"shape \(9, 2, 3\), and \(tokens, layers, k\) \(9, 3, 3\) is expected"),
    "k": (rows(lambda a: a[:, :, :-1]), r"shape \(9, 3, 2\)"),
    "one row short": (rows(lambda a: a[:-1]), "of 8 tokens, and 9 passed the routers"),
    "one row long": (rows(lambda a: np.concatenate([a, a[:1]])), "of 10 tokens, and 9 passed the routers"),
    "two axes": (rows(lambda a: a.reshape(len(a), -1)), "2 axes"),
    "never written": (rows(repeated), "never written"),
    "expert beyond": (rows(lambda a: np.where(a == a.max(), EXPERTS, a)), f"distinct ids below {EXPERTS}"),
    "fractions": (rows(lambda a: a.astype("f4")), "are '<f4'"),
    "64 bits": (rows(lambda a: a.astype("i8")), "are '<i8'"),
    "big-endian": (rows(lambda a: a.astype(">u2")), "are '>u2'"),
    "Fortran order": (rows(np.asfortranarray), "Fortran order"),
    "pickle": (rows(lambda a: a, pickled), r"are '\|O'"),
    "cut base64": (choice(routed_experts=lambda text: text[:-3]), "no base64, or are cut off"),
    "no base64": (choice(routed_experts="…"), "no base64"),
    "cut file": (
        choice(routed_experts=lambda text: base64.b64encode(base64.b64decode(text)[:-6]).decode()),
        "should be 81 bytes by their header, and are 75",
    ),
    "no file": (choice(routed_experts=base64.b64encode(b"x" * 200).decode()), r"no \.npy file"),
    "empty": (choice(routed_experts=""), r"no \.npy file"),
    "huge header": (
        choice(routed_experts=header("{'descr': '|u1', 'fortran_order': False, 'shape': (9999999999, 99999, 9), }")),
        "by their header, and are 0",
    ),
    "header of Python 2": (
        choice(routed_experts=header("{'descr': '|u1', 'fortran_order': False, 'shape': (9L, 3L, 3L), }")),
        r"no \.npy file",
    ),
    "header of a half string": (choice(routed_experts=header("'''{")), r"no \.npy file"),
    "header of other names": (
        choice(routed_experts=header("{'descr': '|u1', 'shape': (9, 3, 3), }")),
        r"no \.npy file",
    ),
    "deep header": (choice(routed_experts=header("(" * 110)), r"no \.npy file"),
    "dtype of parts": (
        choice(routed_experts=header("{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (9, 3, 3), }")),
        r"are \[\('a', '\|u1'\)\]",
    ),
    "header with code": (choice(routed_experts=header("__import__('os').abort()")), r"no \.npy file"),
    "lists": (choice(routed_experts=[[[0, 1, 2]]]), r"as of vLLM 0\.21"),
    "a number": (choice(routed_experts=7), "are int"),
    "no routed experts": (choice(routed_experts=None), "start it with --enable-return-routed-experts"),
    "another prompt": (choice(prompt_token_ids=lambda ids: ids[::-1]), "number 1 is not the one that was sent"),
    "a longer prompt": (choice(prompt_token_ids=lambda ids: [*ids, 5]), "ran 9 tokens of which number 9 is not"),
    "no prompt": (choice(prompt_token_ids=None), "no prompt_token_ids"),
    "no tokens": (choice(token_ids=None), "no token_ids"),
    "no new token": (choice(token_ids=[]), "cannot have written"),
    "tokens beyond": (choice(token_ids=[52, 1]), "cannot have written"),
    "tokens that are none": (choice(token_ids=[True, 1]), "no list of token ids"),
    "negative tokens": (choice(token_ids=[-1, 1]), "no list of token ids"),
    "tokens as text": (choice(token_ids="12"), "no list of token ids"),
    "more tokens": (
        lambda reply: choice(token_ids=[1, 2, 3])(rows(lambda a: np.concatenate([a, a[:1]]))(reply)),
        "generated 3 tokens, and at most 2 were asked for",
    ),
    "no choice": (lambda reply: {**reply, "choices": []}, "no choice, or several"),
    "two choices": (lambda reply: {**reply, "choices": reply["choices"] * 2}, "no choice, or several"),
    "choices of text": (lambda reply: {**reply, "choices": ["a"]}, "no choice, or several"),
    "a list": (lambda reply: [reply], "is list"),
    "NaN": (lambda reply: {**reply, "usage": float("nan")}, "NaN is not a finite number"),
}

RAW_REPLIES: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"<html>\x1b[2J</html>", "no JSON"),
    "nothing": (b"", "no JSON"),
    "half of JSON": (b'{"choices": [', "no JSON"),
    "no UTF-8": (b'{"a": "\xff\xfe"}', "no JSON"),
    "the same key twice": (b'{"choices": [], "choices": [{}]}', "'choices' is there twice"),
    "deep nesting": (b"[" * 60_000, "nested too deeply"),
    "thousands of digits": (b'{"usage": ' + b"9" * 5000 + b"}", "thousands of digits"),
}


@pytest.fixture
def ask(run: Run, served: ServedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return a function that captures from a server and returns the sentence that the command ends with.

    The model is read once for all of them.
    """
    monkeypatch.setattr("moexray.engines.server.engine.read_served_model", lambda *_, **__: served)
    monkeypatch.setenv("MOEXRAY_API_KEY", KEY)
    (tmp_path / "prompts.jsonl").write_text(PROMPTS)

    def asked(server: FakeServer, *options: object, seconds: float = 30.0) -> str:
        arguments = ["--engine", "server", "--url", server.url, "--model", served.name, "--served-model", MODEL]
        waits = ["--retry-seconds", "0.2", "--request-seconds", "20", "--max-new-tokens", "2", "--concurrency", "2"]
        started = time.perf_counter()
        done = run("capture", "--prompts", "prompts.jsonl", *arguments, *waits, *options)
        assert time.perf_counter() - started < seconds
        assert done.returncode == 1
        assert done.stdout == ""
        (sentence,) = done.stderr.splitlines()
        assert sentence.startswith("error: ")
        assert sentence.isprintable()
        assert len(sentence) < 600
        held = sentence.encode() + b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
        assert KEY.encode() not in held
        assert not (tmp_path / "signatures.npz").exists()
        return sentence

    return asked


@pytest.fixture(scope="module")
def opened(served: ServedModel) -> Iterator[tuple[FakeServer, ServerEngine]]:
    """Return a server and an engine that asks it; a test may damage its replies."""
    with (
        FakeServer() as server,
        ServerEngine(served, address_of(server.url), Limits(concurrency=2), served_model=MODEL) as engine,
    ):
        yield server, engine


def sentence_of(opened: tuple[FakeServer, ServerEngine], damage: Damage) -> str:
    """Return what the engine says of damaged replies."""
    server, engine = opened
    server.damage = damage
    prompts = [Prompt(text, "a", text) for text in ("abcdefgh", "ijklmnop")]
    with pytest.raises(ModelError) as refused:
        list(engine.run(prompts, Generation(2)))
    return str(refused.value)


@pytest.mark.parametrize("name", WRONG_REPLIES)
def test_a_wrong_reply_is_refused_with_what_is_wrong(name: str, opened: tuple[FakeServer, ServerEngine]) -> None:
    change, expected = WRONG_REPLIES[name]
    assert re.search(expected, sentence_of(opened, lambda _handler, reply: change(reply)))


@pytest.mark.parametrize("name", RAW_REPLIES)
def test_a_reply_that_is_no_json_is_refused(name: str, opened: tuple[FakeServer, ServerEngine]) -> None:
    content, expected = RAW_REPLIES[name]
    assert expected in sentence_of(opened, lambda handler, _reply: handler.send(200, content))


@pytest.mark.parametrize("name", ["one row short", "pickle", "no routed experts", "another prompt", "NaN"])
def test_the_command_ends_with_one_sentence_about_a_wrong_reply(name: str, ask: Callable[..., str]) -> None:
    change, expected = WRONG_REPLIES[name]
    with FakeServer(damage=lambda _handler, reply: change(reply)) as server:
        assert re.search(expected, ask(server))


def test_rows_of_an_earlier_request_are_refused(ask: Callable[..., str]) -> None:
    kept: list[Any] = []

    def stale(_handler: Handler, reply: dict[str, Any]) -> dict[str, Any]:
        of = reply["choices"][0]
        if len(of["prompt_token_ids"]) == 8:
            kept.append(of["routed_experts"])
            of["routed_experts"] = kept[0]
        return reply

    with FakeServer(damage=stale) as server:
        assert re.search("returned for prompt .* the routing of prompt .* stale rows", ask(server))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (bare(np.zeros((8, 3, K))), r"are 288 bytes, and 9 rows of 3 layers and 3 experts \(324 bytes\) are expected"),
        (bare(np.zeros((9, 3, K)), "<i8"), "are 648 bytes"),
        (bare(np.zeros((9, 3, K))), "never written"),
        ("", "are 0 bytes"),
        (None, "`return_routed_experts` out of requests"),
    ],
)
def test_wrong_replies_of_sglang_are_refused(content: str | None, expected: str, ask: Callable[..., str]) -> None:
    def damage(_handler: Handler, reply: dict[str, Any]) -> dict[str, Any]:
        return {**reply, "sglext": {"routed_experts": content}}

    with FakeServer("sglang", damage=damage) as server:
        assert re.search(expected, ask(server))


def send_for_ever(handler: Handler, head: bytes, block: bytes, pause: float = 0.0) -> None:
    """Send a head, then blocks, until the client hangs up."""
    handler.close_connection = True
    handler.wfile.write(head)
    while True:
        handler.wfile.write(block)
        time.sleep(pause)


MEGABYTE = b"100000\r\n" + b" " * 2**20 + b"\r\n"
ENDLESS: dict[str, tuple[bytes, bytes, float, str]] = {
    "2 GB that it declares": (b"HTTP/1.1 200 OK\r\nContent-Length: 2147483648\r\n\r\n", b" " * 2**20, 0.0, "more than"),
    "2 GB in chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", MEGABYTE, 0.0, "more than"),
    "2 GB without a length": (b"HTTP/1.1 200 OK\r\n\r\n", b" " * 2**20, 0.0, "more than"),
    "2 GB of an error": (b"HTTP/1.1 400 No\r\nTransfer-Encoding: chunked\r\n\r\n", MEGABYTE, 0.0, "status 400"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"A: " + b"b" * 1000 + b"\r\n", 0.0, "has not answered"),
    "one header": (b"HTTP/1.1 200 OK\r\nA: ", b"b" * 1000, 0.0, "has not answered"),
    "a drip of headers": (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n", 0.02, "longer than 0.5 s"),
    "a drip": (b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", b" ", 0.02, "longer than 0.5 s"),
    "nothing": (b"", b"", 0.02, "longer than 0.5 s"),
    "interim replies": (b"", b"HTTP/1.1 102 Processing\r\n\r\n", 0.0, "longer than 0.5 s"),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_an_endless_reply_is_given_up(name: str, ask: Callable[..., str]) -> None:
    head, block, pause, expected = ENDLESS[name]
    with FakeServer(damage=lambda handler, _reply: send_for_ever(handler, head, block, pause)) as server:
        assert expected in ask(server, "--request-seconds", "0.5", seconds=10)


@pytest.mark.slow
@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux to count memory")
def test_hostile_replies_take_little_memory(folder: Path) -> None:
    """Eight at a time, of any size and form."""
    deep, lists = b"[" * 60_000, b'{"choices": [' + b"[]," * 20_000 + b"[]]}"
    bomb = gzip.compress(b" " * 2**27)
    damages: list[Damage] = [
        *(
            lambda handler, _reply, of=of: send_for_ever(handler, of[0], of[1])
            for of in (ENDLESS["2 GB that it declares"], ENDLESS["2 GB in chunks"], ENDLESS["2 GB without a length"])
        ),
        lambda handler, _reply: send_for_ever(handler, *ENDLESS["one header"][:2]),
        lambda handler, _reply: handler.send(200, deep),
        lambda handler, _reply: handler.send(200, lists),
        lambda handler, _reply: handler.send(200, bomb, Content_Encoding="gzip"),
        lambda _handler, reply: WRONG_REPLIES["huge header"][0](reply),
        lambda _handler, reply: WRONG_REPLIES["pickle"][0](reply),
    ]
    with ExitStack() as servers:
        urls = [servers.enter_context(FakeServer(damage=damage)).url for damage in (None, *damages)]
        command = [sys.executable, "-m", asking.__name__, str(folder), *urls]
        root = Path(asking.__file__).parents[3]
        finished = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=120)
    assert finished.returncode == 0, finished.stderr
    growths = [int(line) for line in finished.stdout.split()]
    assert len(growths) == len(damages)
    assert max(growths) < 16 * 2**20, growths


def test_a_compressed_reply_is_not_unpacked(ask: Callable[..., str]) -> None:
    bomb = gzip.compress(b" " * 2**24)
    with FakeServer(damage=lambda handler, _reply: handler.send(200, bomb, Content_Encoding="gzip")) as server:
        assert "encodes its reply to /v1/completions (gzip)" in ask(server)


def test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else(ask: Callable[..., str]) -> None:
    with FakeServer() as other:

        def elsewhere(handler: Handler, _reply: object) -> None:
            handler.send(307, b"", Location=f"{other.url}/v1/completions?key={KEY}")

        with FakeServer(damage=elsewhere) as server:
            assert "sends /v1/completions elsewhere (status 307)" in ask(server)
            assert all(headers["Authorization"] == f"Bearer {KEY}" for headers, _ in server.requests)
        assert other.requests == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 600, 999])
def test_a_refusal_is_shown_in_one_visible_line_without_the_key(status: int, ask: Callable[..., str]) -> None:
    said = json.dumps({"error": {"message": f"key {KEY} \x1b[2J\u202e is\nwrong{' !' * 5000}"}}).encode()
    with FakeServer(damage=lambda handler, _reply: handler.send(status, said)) as server:
        sentence = ask(server)
        assert f"refuses /v1/completions with status {status}: key [key] \\x1b[2J\\u202e is wrong ! !" in sentence
        assert len(server.requests) <= 2  # it is not asked again
        assert ("MOEXRAY_API_KEY" in sentence) == (status in (401, 403))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_stays_busy_is_given_up_after_the_stated_time(status: int, ask: Callable[..., str]) -> None:
    """Whatever wait it asks for."""

    def busy(handler: Handler, _reply: object) -> None:
        handler.send(status, f"out of {KEY} memory".encode(), Retry_After="86400")

    with FakeServer(damage=busy) as server:
        sentence = ask(server)
        assert f"has not answered for 0.2 s (status {status}: out of [key] memory)" in sentence
        assert "the same command goes on" in sentence


ABOUT: dict[str, tuple[dict[str, Any], str]] = {
    "another model": ({"/v1/models": {"data": [{"id": "x\x1b[2J"}]}}, r"serves .x.x1b.2J. and not .tiny."),
    "no list of models": ({"/v1/models": {"data": {"id": MODEL}}}, "serves no model"),
    "no JSON object": ({"/v1/models": [MODEL]}, "serves no model"),
    "no version": ({"/version": {"version": ["\x1b"]}}, "says no version"),
    "a long version": ({"/version": {"version": "1" * 5000}}, "says no version"),
    "no route of either": ({"/version": None}, "neither vLLM .* nor SGLang"),
}


@pytest.mark.parametrize("name", ABOUT)
def test_a_server_that_does_not_say_what_it_is_is_refused(name: str, ask: Callable[..., str]) -> None:
    changed, expected = ABOUT[name]
    with FakeServer() as server:
        server.about.update(changed)
        assert re.search(expected, ask(server))
        assert server.requests == []


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"enable_return_routed_experts": False}, "start it with --enable-return-routed-experts"),
        ({"enable_hierarchical_cache": True}, "runs with enable_hierarchical_cache, under which"),
        ({"enable_lmcache": True}, "runs with enable_lmcache, under which"),
        ({"disaggregation_mode": "decode\x1b"}, r"disaggregation_mode decode\\x1b"),
    ],
)
def test_settings_of_sglang_that_make_routing_wrong_are_refused(
    settings: dict[str, Any], expected: str, ask: Callable[..., str]
) -> None:
    with FakeServer("sglang", settings=settings) as server:
        assert re.search(expected, ask(server))
        assert server.requests == []


def test_there_is_no_server(ask: Callable[..., str]) -> None:
    """A wrong address shows at once: nothing was recorded that a patient wait could save."""
    with FakeServer() as server:
        pass
    assert "there is no answer from http://127.0.0.1:" in ask(server, "--retry-seconds", "60", seconds=5)


@pytest.mark.parametrize("status", [200, 400, 401, 503])
def test_the_key_is_in_no_log_and_no_traceback(
    status: int, served: ServedModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the server says, and with all that libraries log."""
    monkeypatch.setenv("MOEXRAY_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    said = f'{{"message": "{KEY}", "{KEY}": 1, "{KEY}": 2}}'.encode()
    limits = Limits(retry_seconds=0.2)
    with (
        FakeServer(damage=lambda handler, _reply: handler.send(status, said)) as server,
        ServerEngine(served, address_of(server.url), limits, served_model=MODEL) as engine,
        pytest.raises(MoexrayError) as refused,
    ):
        list(engine.run([Prompt("abc", "a", "p")], Generation(2)))
    assert {headers["Authorization"] for headers, _ in server.requests} == {f"Bearer {KEY}"}
    assert KEY not in repr(engine.description)
    assert KEY not in caplog.text
    printed = traceback.format_exception(refused.value)
    assert KEY not in "".join(printed)
