"""A live engine is asked for a few prompts, and what it says is compared with transformers' own routing."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from moexray.checks.result import RoutingCheck
from moexray.engines import engine as engines
from moexray.engines.engine import Engine
from moexray.engines.transformers.engine import open_engine
from moexray.errors import CaptureError, ModelError
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.replays.live import check_engine
from moexray.routing import RoutedSequence

from .. import tiny_models
from .planted import prompts


class FaultyEngine(Engine):
    """Serves what transformers records, with a fault planted in it."""

    batching = "own"
    capabilities = frozenset[str]()

    def __init__(self, model: str, fault: str | None) -> None:
        self._inner = open_engine(model)
        self._fault = fault
        self.layout = self._inner.layout
        self.description = {**self._inner.description, "engine": "faulty"}

    def lengths(self, prompts: Sequence[Prompt], generation: Generation) -> NDArray[np.int32]:
        return self._inner.lengths(prompts, generation)

    def run(
        self, prompts: Sequence[Prompt], generation: Generation, *, want: Collection[str] = (), on_tokens: Any = None
    ) -> Iterator[tuple[int, RoutedSequence]]:
        for place, sequence in reversed(list(self._inner.run(prompts, generation))):
            experts = np.sort(sequence.experts, axis=2)  # the order of serving engines
            if self._fault == "zeros":
                experts[sequence.segments == 1] = 0
            elif self._fault == "late":
                experts = np.roll(experts, 1, axis=0)
            elif self._fault == "refused":
                message = "prompt 'p1': layer 0 holds 0 in every place"
                raise ModelError(message)
            elif self._fault == "narrow":
                experts = experts[:, :, :2]
            yield place, replace(sequence, experts=experts)

    def text_of(self, token_id: int) -> str:
        return self._inner.text_of(token_id)

    def close(self) -> None:
        self._inner.close()


def open_faulty(model: str, *, fault: str | None = None, raw: bool = False) -> FaultyEngine:
    del raw
    return FaultyEngine(model, fault)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("checkpoint")
    tiny_models.random_model(tiny_models.olmoe(), torch.float32).save_pretrained(folder)
    tiny_models.tokenizer_of_letters().save_pretrained(folder)
    return str(folder)


@pytest.fixture(autouse=True)
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """List the engine beside those that come with moexray."""
    held = {**engines.ENGINES, "faulty": "unused"}
    monkeypatch.setattr(engines, "ENGINES", held)
    found = engines._function
    monkeypatch.setattr(engines, "_function", lambda name: open_faulty if name == "faulty" else found(name))


def asked(checkpoint: str, **options: Any) -> RoutingCheck:
    return check_engine("faulty", prompts(6), model=checkpoint, number=3, max_new_tokens=10, options=options)


def test_an_engine_that_says_what_is_true_passes(checkpoint: str) -> None:
    found = asked(checkpoint, device="cpu", raw=True)  # which only transformers takes, and which both do
    assert found.verdict == "true"
    assert found.source == "engine faulty"
    assert found.recorded["engine"] == "faulty"
    assert found.comparison is not None
    assert len(found.comparison.prompts) == 3
    assert {one.phase for one in found.comparison.layers} == {"prompt", "generated"}


@pytest.mark.parametrize(
    ("fault", "verdict", "cause"), [("zeros", "not whole", "unwritten"), ("late", "different", "tokens_shifted")]
)
def test_a_fault_of_an_engine_is_named(checkpoint: str, fault: str, verdict: str, cause: str) -> None:
    found = asked(checkpoint, fault=fault)
    assert found.verdict == verdict
    assert found.diagnosis is not None
    assert found.diagnosis.name == cause


@pytest.mark.parametrize("fault", ["refused", "narrow"])
def test_what_an_engine_refuses_or_gives_in_another_shape_is_a_finding(checkpoint: str, fault: str) -> None:
    found = asked(checkpoint, fault=fault)
    assert found.verdict == "not whole"
    assert "p" in found.integrity.faults[0].first
    assert found.comparison is None


def test_an_option_that_neither_engine_takes_is_refused(checkpoint: str) -> None:
    with pytest.raises(CaptureError, match="takes no `url`"):
        asked(checkpoint, url="http://127.0.0.1:1")


def test_transformers_itself_is_true(checkpoint: str, tmp_path: Path) -> None:
    assert check_engine("transformers", prompts(2), model=checkpoint, number=2).verdict == "true"
