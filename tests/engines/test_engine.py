"""Engines are opened by name, and what one does not offer is refused in one sentence."""

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from moexray.engines import engine as engines
from moexray.engines.engine import Batching, Engine, engine_names, image_option, open_engine, require, require_images
from moexray.errors import CaptureError
from moexray.generation import Generation
from moexray.prompts import Prompt, PromptImage
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


def with_image(id_: str) -> Prompt:
    return Prompt("x", "c", id_, images=(PromptImage("a.png", "0" * 64, 6, 4, data=b"x"),))


@pytest.mark.usefixtures("with_silent")
def test_an_engine_that_takes_no_images_refuses_prompts_that_have_some() -> None:
    """They would be left out, and what is recorded would be of other prompts."""
    prompts = [Prompt("x", "c", "a"), with_image("b"), with_image("d")]
    assert image_option("silent", prompts[:1]) == {}
    require_images(Silent("m"), prompts[:1])
    with pytest.raises(CaptureError, match=r"^engine silent takes no images, and prompt 'b' has one: use an engine"):
        image_option("silent", prompts)
    with pytest.raises(CaptureError, match=r"^engine silent shows this model no images, and prompt 'b' has one: open"):
        require_images(Silent("m"), prompts)


def test_an_engine_that_takes_images_is_opened_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "takes", lambda name, option: (name, option) == ("seeing", "images"))
    assert image_option("seeing", [Prompt("x", "c", "a")]) == {}
    assert image_option("seeing", [Prompt("x", "c", "a"), with_image("b")]) == {"images": True}
    seeing = Silent("m")
    seeing.capabilities = frozenset({"images"})
    require_images(seeing, [with_image("b")])
