"""Captures through servers: the routing of the model that they serve, whole, whatever happens to the server."""

import asyncio
import base64
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event, Lock
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from moexray.engines.engine import open_engine, require
from moexray.engines.server.address import address_of
from moexray.engines.server.engine import ServerEngine
from moexray.engines.server.limits import Limits
from moexray.engines.server.requests import seed_of
from moexray.engines.serving.model import ServedModel, read_served_model
from moexray.engines.transformers.loading import read_model
from moexray.errors import CaptureError, ModelError
from moexray.generation import Generation
from moexray.prompts import Prompt, bundled_prompts
from moexray.recording.capture import capture, capture_with
from tests.engines.server.fake_server import MODEL, FakeServer, Handler, Route, bare, made_up
from tests.engines.server.model_server import routes_of
from tests.tiny_models import prompts_of_letters, routed

KINDS = pytest.mark.parametrize("kind", ["vllm", "sglang"])


@pytest.fixture
def engine_of(served: ServedModel) -> Callable[..., ServerEngine]:
    """Return a function that opens the engine of a fake server of the tiny model."""

    def opened(server: FakeServer, **limits: Any) -> ServerEngine:
        return ServerEngine(served, address_of(server.url), Limits(**limits), served_model=MODEL)

    return opened


def found(engine: ServerEngine, prompts: list[Prompt], generation: Generation) -> list[Any]:
    """Return what a test compares of each sequence, in the order of the prompts."""
    return [
        (one.token_ids.tolist(), one.segments.tolist(), one.experts.tolist(), one.output)
        for one in routed(engine, prompts, generation)
    ]


@pytest.mark.slow
def test_servers_of_the_scale_model_give_the_signatures_of_transformers(tmp_path: Path) -> None:
    """And its traces, greedy in float32; also for outputs that are given, and where nothing is generated."""
    prompts = [Prompt(one.text[:40], one.category, one.id) for one in bundled_prompts()[::27]]
    loaded = read_model("scale", dtype="float32", device="cpu")
    route, read = cache_of(routes_of(loaded.model)), read_served_model("scale")
    files = {name: tmp_path / f"{name}.npz" for name in ("transformers", "vllm", "sglang")}
    with (
        FakeServer("vllm", model="scale", route=route, context=512) as vllm,
        FakeServer("sglang", model="scale", route=route, context=512) as sglang,
        ServerEngine(read, address_of(vllm.url)) as of_vllm,
        ServerEngine(read, address_of(sglang.url)) as of_sglang,
        open_engine("transformers", "scale", device="cpu") as transformers,
    ):
        first = capture_with(transformers, prompts, Generation(2))
        texts = zip(prompts, first.prompts.outputs or (), strict=True)
        given = [Prompt(one.text, one.category, one.id, output=text) for one, text in texts]
        for some, generation in ((prompts, Generation(2)), (prompts, Generation(0)), (given, Generation())):
            options: dict[str, Any] = {"record": ["trace"]}
            theirs = capture_with(transformers, some, generation, out=files["transformers"], **options)
            for engine, name in ((of_vllm, "vllm"), (of_sglang, "sglang")):
                ours = capture_with(engine, some, generation, out=files[name], **options)
                assert ours.meta["server"].lower() == name
                assert (np.asarray(ours.counts) == np.asarray(theirs.counts)).all()
                assert (ours.tokens == theirs.tokens).all()
                assert ours.prompts.outputs == theirs.prompts.outputs
                traces = [file.with_suffix(".trace.parquet") for file in (files[name], files["transformers"])]
                assert rows_of(traces[0]) == rows_of(traces[1])


def rows_of(trace: Path) -> list[Any]:
    """Return prompt, position, layer, token, phase and set of experts of each row of a trace."""
    names = ["prompt", "position", "layer", "token_id", "phase", "experts"]
    columns = parquet.read_table(trace, columns=names).to_pydict()
    return [(*one, sorted(experts)) for *one, experts in zip(*columns.values(), strict=True)]


def cache_of(route: Route) -> Route:
    """Return a route that asks another one once for the same tokens."""
    kept: dict[str, Any] = {}

    def cached(token_ids: Sequence[int], body: dict[str, Any]) -> Any:
        key = f"{list(token_ids)} {body['max_tokens']} {body['stop_token_ids']}"
        if key not in kept:
            kept[key] = route(token_ids, body)
        return kept[key]

    return cached


@KINDS
def test_texts_end_where_the_engine_of_transformers_ends_them(
    kind: str, engine_of: Callable[..., ServerEngine]
) -> None:
    """At the model's end token, 7, or at the most tokens; at no end token where that is asked for."""
    with FakeServer(kind) as server, engine_of(server) as engine:
        stopped = routed(engine, prompts_of_letters(), Generation(20))
        on = routed(engine, prompts_of_letters(), Generation(20, stop_at_eos=False))
    assert {len(one.token_ids) - one.prompt_length for one in on} == {19}
    lengths = [len(one.token_ids) - one.prompt_length for one in stopped]
    assert min(lengths) < 19
    for one, all_of_it, length in zip(stopped, on, lengths, strict=True):
        assert 7 not in one.token_ids[one.prompt_length :]
        assert (one.token_ids == all_of_it.token_ids[: len(one.token_ids)]).all()
        if length < 19:
            assert all_of_it.token_ids[len(one.token_ids)] == 7


def test_a_text_that_sglang_ends_at_another_token_is_asked_for_again_and_goes_on(
    engine_of: Callable[..., ServerEngine],
) -> None:
    """SGLang also ends texts at the tokenizer's end token; told to end at none, it generates all tokens."""

    def own_end(token_ids: Any, body: dict[str, Any]) -> Any:
        ends = [] if body["ignore_eos"] else [*body["stop_token_ids"], 3, 4, 5]
        return made_up(token_ids, {**body, "stop_token_ids": ends})

    with FakeServer("sglang", route=own_end) as server, engine_of(server) as engine:
        ours = found(engine, prompts_of_letters(), Generation(12))
        assert len(server.requests) > len(ours)
    with FakeServer("sglang") as server, engine_of(server) as engine:
        assert found(engine, prompts_of_letters(), Generation(12)) == ours
        assert len(server.requests) == len(ours)


def test_a_text_that_vllm_ends_before_its_end_is_refused(engine_of: Callable[..., ServerEngine]) -> None:
    def early(token_ids: Any, body: dict[str, Any]) -> Any:
        return made_up(token_ids, {**body, "max_tokens": 3})

    refused = pytest.raises(ModelError, match="ended the text after 3 tokens, at none that ends one")
    with FakeServer(route=early) as server, engine_of(server) as engine, refused:
        list(engine.run([Prompt("abc", "a", "p")], Generation(9)))


def test_concurrency_changes_no_sequence_and_bounds_what_is_in_flight(engine_of: Callable[..., ServerEngine]) -> None:
    counted = Counter[str]()
    lock = Lock()

    def slowly(_handler: Handler, reply: dict[str, Any]) -> dict[str, Any]:
        with lock:
            counted["now"] += 1
            counted["most"] = max(counted["most"], counted["now"])
        time.sleep(0.01)
        with lock:
            counted["now"] -= 1
        return reply

    with FakeServer(damage=slowly) as server:
        results = []
        for concurrency, most in ((1, 1), (3, 3), (100, 17)):
            counted.clear()
            with engine_of(server, concurrency=concurrency) as engine:
                results.append(found(engine, prompts_of_letters(), Generation(4)))
            assert 1 <= counted["most"] <= most
    assert results[0] == results[1] == results[2]


def test_replies_come_in_order_of_completion(engine_of: Callable[..., ServerEngine]) -> None:
    others = Event()

    def first_last(_handler: Handler, reply: dict[str, Any]) -> dict[str, Any]:
        if len(reply["choices"][0]["prompt_token_ids"]) == 5:
            others.wait()
        return reply

    with FakeServer(damage=first_last) as server, engine_of(server) as engine:
        places = []
        for place, _ in engine.run(prompts_of_letters(), Generation(2)):
            places.append(place)
            if len(places) == 16:
                others.set()
    assert places[-1] == 0
    assert sorted(places) == list(range(17))


def test_weights_that_change_in_a_capture_are_refused(engine_of: Callable[..., ServerEngine]) -> None:
    """SGLang names their version in each reply: training may load others while the server runs."""
    versions = ["1", "1", "2"]

    def trained(_handler: Handler, reply: dict[str, Any]) -> dict[str, Any]:
        return {**reply, "metadata": {"weight_version": versions.pop(0)}}

    refused = pytest.raises(ModelError, match="its weights are now of version 2 and were of 1")
    with FakeServer("sglang", damage=trained) as server, engine_of(server, concurrency=1) as engine, refused:
        list(engine.run(prompts_of_letters(), Generation(2)))


def test_a_notebook_whose_event_loop_runs_can_ask_servers(engine_of: Callable[..., ServerEngine]) -> None:
    async def cell() -> int:
        with FakeServer() as server, engine_of(server) as engine:
            return len(found(engine, prompts_of_letters()[:3], Generation(2)))

    assert asyncio.run(cell()) == 3


def test_a_run_that_is_left_cancels_what_is_in_flight(engine_of: Callable[..., ServerEngine]) -> None:
    """And the engine runs again, and closes at once."""
    never = Event()

    def hang(handler: Handler, reply: dict[str, Any]) -> dict[str, Any] | None:
        if len(reply["choices"][0]["prompt_token_ids"]) == 33:
            never.wait(5)
            handler.close_connection = True
            return None
        return reply

    with FakeServer(damage=hang) as server:
        started = time.perf_counter()
        with engine_of(server, concurrency=2) as engine:
            running = engine.run(prompts_of_letters(), Generation(2))
            next(running)
            running.close()  # type: ignore[attr-defined]
            assert len(found(engine, prompts_of_letters()[:1], Generation(2))) == 1
        assert time.perf_counter() - started < 4
        never.set()


def test_every_setting_that_decides_tokens_is_sent(engine_of: Callable[..., ServerEngine]) -> None:
    """A server takes those that are not from the model's own files; draws depend on the seed and the prompt alone."""
    prompts = [Prompt("abc", "a", "one"), Prompt("abc", "a", "two")]
    with FakeServer() as server, engine_of(server) as engine:
        routed(engine, prompts, Generation(3))
        routed(engine, prompts, Generation(3, temperature=0.5, top_p=0.9, seed=4))
        routed(engine, prompts, Generation(3, stop_at_eos=False))
    (_, greedy), _, (_, drawn), (_, other), (_, endless), _ = server.requests
    assert greedy["temperature"] == 0
    assert "seed" not in greedy
    assert (greedy["stop_token_ids"], greedy["ignore_eos"]) == ([7], True)
    assert (endless["stop_token_ids"], endless["ignore_eos"]) == ([], True)
    assert (drawn["temperature"], drawn["top_p"]) == (0.5, 0.9)
    assert {drawn["seed"], other["seed"]} == {seed_of(4, "one"), seed_of(4, "two")}
    assert drawn["seed"] != other["seed"]
    for body in (greedy, drawn, endless):
        plain = ("top_k", "min_p", "min_tokens", "repetition_penalty", "presence_penalty", "frequency_penalty", "n")
        assert [body[name] for name in plain] == [-1, 0, 0, 1, 0, 0, 1]


def test_draws_that_nobody_can_repeat_are_refused(engine_of: Callable[..., ServerEngine]) -> None:
    drawn = Generation(3, temperature=0.5)
    refused = pytest.raises(CaptureError, match="start it with --enable-deterministic-inference")
    with FakeServer("sglang") as server, engine_of(server) as engine, refused:
        list(engine.run(prompts_of_letters(), drawn))
    with (
        FakeServer("sglang", settings={"enable_deterministic_inference": True}) as server,
        engine_of(server) as engine,
    ):
        assert len(routed(engine, prompts_of_letters(), drawn)) == 17


@pytest.mark.parametrize(
    ("place", "dtype"),
    [("sglext", "<i4"), ("sgl_ext", "<i4"), ("meta_info", "<i4"), ("sglext", "<u2"), ("sglext", "|u1")],
)
def test_routed_experts_of_sglang_are_found_wherever_it_puts_them(
    place: str, dtype: str, engine_of: Callable[..., ServerEngine]
) -> None:
    """Numbers of 1, 2 or 4 bytes are told apart by their length: the number of tokens is known."""

    def moved(_handler: Handler, reply: dict[str, Any]) -> dict[str, Any]:
        rows = np.frombuffer(base64.b64decode(reply.pop("sglext")["routed_experts"]), dtype="<i4")
        holder = reply if place == "sglext" else reply["choices"][0]
        holder[place] = {"routed_experts": bare(rows, dtype)}
        return reply

    with FakeServer("sglang", damage=moved) as server, engine_of(server) as engine:
        ours = found(engine, prompts_of_letters()[:4], Generation(3))
    with FakeServer() as server, engine_of(server) as engine:
        assert found(engine, prompts_of_letters()[:4], Generation(3)) == ours


@pytest.mark.parametrize("dtype", ["u1", "<u2", "<i2", "<i4"])
def test_routed_experts_of_vllm_may_be_of_any_width(dtype: str, engine_of: Callable[..., ServerEngine]) -> None:
    def wider(token_ids: Any, body: dict[str, Any]) -> Any:
        new_ids, rows = made_up(token_ids, body)
        return new_ids, rows.astype(dtype)

    with FakeServer(route=wider) as server, engine_of(server) as engine:
        ours = found(engine, prompts_of_letters()[:4], Generation(3))
    with FakeServer() as server, engine_of(server) as engine:
        assert found(engine, prompts_of_letters()[:4], Generation(3)) == ours


def test_what_a_server_cannot_give_is_refused_by_name(engine_of: Callable[..., ServerEngine], tmp_path: Path) -> None:
    with FakeServer() as server, engine_of(server) as engine:
        for name in ("weights", "scores", "verify", "rules", "score", "norms"):
            with pytest.raises(CaptureError, match=f"engine server does not offer {name}"):
                require(engine, [name])
        with pytest.raises(CaptureError, match="it exceeds the context of 128"):
            engine.lengths([Prompt("a" * 120, "a", "long")], Generation(9))
    with pytest.raises(CaptureError, match="engine server takes no `device`"):
        capture(prompts_of_letters(), model=str(tmp_path), engine="server", url="http://127.0.0.1:1", device="cpu")
    with pytest.raises(CaptureError, match="engine transformers takes no `url`"):
        capture(prompts_of_letters(), model=str(tmp_path), url="http://127.0.0.1:1")
    for limits in ({"concurrency": 0}, {"concurrency": 10**6}, {"retry_seconds": float("nan")}, {"request_seconds": 0}):
        with pytest.raises(CaptureError, match=f"`{next(iter(limits))}` is "):
            Limits(**limits)


def test_a_text_longer_than_the_servers_context_is_refused_before_anything_is_sent(served: ServedModel) -> None:
    with FakeServer(context=20) as server:
        refused = pytest.raises(CaptureError, match="it exceeds the context of 20")
        with ServerEngine(served, address_of(server.url), served_model=MODEL) as engine, refused:
            engine.lengths(prompts_of_letters(), Generation(4))
        assert server.requests == []


def test_a_server_behind_a_path_is_found_and_its_path_is_shown_nowhere(
    served: ServedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path may be a secret of a gateway."""
    monkeypatch.setattr("moexray.engines.server.engine.read_served_model", lambda *_, **__: served)
    with FakeServer(prefix="/team-secret") as server:
        options: dict[str, Any] = {"engine": "server", "served_model": MODEL, "max_new_tokens": 2}
        capture(prompts_of_letters(), model=served.name, url=f"{server.url}/v1/", out=tmp_path / "a.npz", **options)
        assert len(server.requests) == 17
        server.damage = lambda handler, _reply: handler.send(400, b"no")
        with pytest.raises(CaptureError) as refused:
            capture(prompts_of_letters(), model=served.name, url=server.url, out=tmp_path / "b.npz", **options)
    held = [str(refused.value).encode(), *(file.read_bytes() for file in tmp_path.iterdir())]
    assert not any(b"team-secret" in one for one in held)
    assert not any(b"127.0.0.1" in one for one in held[1:])
