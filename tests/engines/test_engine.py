"""Engines are opened by name, and what one does not offer is refused in one sentence."""

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from moexray.engines import engine as engines
from moexray.engines.engine import Batching, Engine, engine_names, open_engine, require
from moexray.errors import CaptureError
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.routing import RoutedSequence, RouterLayout


class Silent(Engine):
    """An engine with nothing but what every engine must have."""

    def __init__(self, model: str) -> None:
        self.layout = RouterLayout(layers=(0,), experts=(2,), top_k=(1,))
        self.description: Mapping[str, Any] = {"model": model, "engine": "silent"}
        self.batching: Batching = "own"
        self.capabilities = frozenset[str]()

    def lengths(self, prompts: Sequence[Prompt], generation: Generation) -> NDArray[np.int32]:
        return np.ones(len(prompts), dtype=np.int32)

    def run(self, prompts: Sequence[Prompt], generation: Generation, **_: Any) -> Iterator[tuple[int, RoutedSequence]]:
        yield from ()

    def text_of(self, token_id: int) -> str:
        return str(token_id)

    def close(self) -> None:
        """Do nothing: it holds nothing."""


@pytest.fixture
def with_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a package that offers an engine."""
    entry = EntryPoint("silent", f"{__name__}:Silent", engines.ENTRY_POINTS)
    monkeypatch.setattr(EntryPoint, "load", lambda _self: Silent)
    monkeypatch.setattr(engines, "entry_points", lambda **keys: EntryPoints([entry]).select(**keys))


def test_an_engine_that_there_is_not_is_refused_with_those_there_are() -> None:
    with pytest.raises(CaptureError, match=r"^no engine 'abacus': there are transformers, server, vllm$"):
        open_engine("abacus", "m")


@pytest.mark.usefixtures("with_silent")
def test_the_engine_of_another_package_is_found_by_its_entry_point() -> None:
    assert engine_names() == ["transformers", "server", "vllm", "silent"]
    with open_engine("silent", "m") as engine:
        assert engine.description["model"] == "m"
    with pytest.raises(CaptureError, match="there are transformers, server, vllm, silent"):
        open_engine("abacus", "m")


@pytest.mark.usefixtures("with_silent")
def test_an_option_that_an_engine_does_not_take_is_refused_by_name() -> None:
    with pytest.raises(CaptureError, match="engine silent takes no `dtype`: leave it out"):
        open_engine("silent", "m", dtype="float32")


def test_what_an_engine_cannot_give_is_refused_by_name() -> None:
    engine = Silent("m")
    require(engine, [])
    with pytest.raises(CaptureError, match=r"^engine silent does not offer weights for this model: it offers none$"):
        require(engine, ["weights"])
    with pytest.raises(CaptureError, match="engine silent does not offer verify"):
        engine.verify()


def test_an_engine_has_defaults_for_what_it_does_not_define() -> None:
    engine = Silent("m")
    assert (engine.inputs(), engine.observations()) == (engine.description, {})
    assert engine.budget() > 0
