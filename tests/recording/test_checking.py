"""Nothing that breaks the contract of engines reaches a file, and what was right before it is not lost."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moexray.engines.engine import Batching
from moexray.errors import CaptureError, ModelError, OutOfMemory
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.recording.capture import capture_with
from moexray.recording.checking import check_sequence
from moexray.routing import RoutedSequence, RouterLayout, plain_segments
from moexray.segments import PLAIN, Segment

from .made_engine import MadeEngine

PROMPTS = [Prompt("abcdefgh"[: 2 + i], "ab"[i % 2], f"p{i}") for i in range(6)]
BATCHINGS: tuple[Batching, ...] = ("own", "alone", "tokens")
Yielded = tuple[int, RoutedSequence]


class Faulty(MadeEngine):
    """Changes what it yields; `run` number `fails` raises OutOfMemory at its end."""

    def __init__(
        self, batching: Batching, change: Callable[[list[Yielded]], Sequence[Yielded]], fails: int = 0
    ) -> None:
        super().__init__(batching)
        self._change, self._fails = change, fails

    def run(self, prompts: Sequence[Prompt], *arguments: Any, **options: Any) -> Iterator[Yielded]:
        yield from self._change(list(super().run(prompts, *arguments, **options)))
        if len(self.ran) == self._fails:
            message = "too late"
            raise OutOfMemory(message)


def changed(**parts: Callable[[RoutedSequence], Any]) -> Callable[[list[Yielded]], list[Yielded]]:
    """Return a function that changes these parts of the last sequence."""

    def change(yielded: list[Yielded]) -> list[Yielded]:
        place, last = yielded[-1]
        return [*yielded[:-1], (place, replace(last, **{name: part(last) for name, part in parts.items()}))]

    return change


def with_expert(expert: int | None) -> Callable[[RoutedSequence], np.ndarray]:
    """Return a function that makes an expert the first token's first in the first layer; None for its second one."""

    def experts(sequence: RoutedSequence) -> np.ndarray:
        found = sequence.experts.copy()
        found[0, 0, 0] = found[0, 0, 1] if expert is None else expert
        return found

    return experts


FAULTS: dict[str, tuple[Callable[[list[Yielded]], list[Yielded]], str]] = {
    "twice": (lambda yielded: [*yielded, (yielded[0][0], yielded[-1][1])], "which is none or came before"),
    "beyond": (lambda yielded: [*yielded[:-1], (6, yielded[-1][1])], "place 6 of . prompts"),
    "negative": (lambda yielded: [*yielded[:-1], (-1, yielded[-1][1])], "place -1 of . prompts"),
    "forgotten": (lambda yielded: yielded[:-1], "ended without the routing of prompt 'p.'"),
    "another's": (lambda yielded: [(yielded[0][0], yielded[-1][1])] if len(yielded) > 1 else [], "but it has 2|ended"),
    "no expert": (changed(experts=with_expert(5)), "layer 0 has 5 experts, but expert 5 was selected"),
    "dropped": (changed(experts=with_expert(-1)), "layer 0 selects 2 experts for a token, but 1 were"),
    "same expert": (changed(experts=with_expert(None)), "layer 0 selected an expert twice for one token"),
    "a layer less": (
        changed(experts=lambda s: s.experts[:, :1], gate_weights=lambda _: None),
        r"experts are int16 \(1, 2\) for each token, where \(2, 2\) are expected",
    ),
    "no numbers": (changed(gate_weights=lambda s: np.full_like(s.gate_weights, np.nan)), "weights range from nan"),
    "no weights": (changed(gate_weights=lambda _: None), "its weights are missing"),
    "half a character": (changed(output=lambda _: "a\ud800"), "its output holds '.ud800', half of a character"),
    "other segments": (changed(segment_names=lambda s: s.segment_names[::-1]), "its segments are generated/text, pro"),
}


@pytest.mark.parametrize("batching", BATCHINGS)
@pytest.mark.parametrize("fault", FAULTS)
def test_what_breaks_the_contract_is_refused_and_a_mended_engine_goes_on(
    tmp_path: Path, fault: str, batching: Batching
) -> None:
    change, problem = FAULTS[fault]
    out = tmp_path / "s.npz"
    with pytest.raises(ModelError, match=problem):
        capture_with(Faulty(batching, change), PROMPTS, Generation(3), out=out, record=["weights"])
    assert not out.exists()
    found = capture_with(MadeEngine(batching), PROMPTS, Generation(3), out=out, record=["weights"])
    right = capture_with(MadeEngine(), PROMPTS, Generation(3), record=["weights"])
    np.testing.assert_array_equal(found.counts, right.counts)
    np.testing.assert_array_equal(found.mass, right.mass)


@pytest.mark.parametrize(("kept", "runs"), [(6, 1), (5, 2)])
def test_an_engine_that_runs_out_of_memory_late_goes_on_with_what_it_has_not_yielded(kept: int, runs: int) -> None:
    """If one prompt is left of six it gets its try, alone."""
    engine = Faulty("own", lambda yielded: yielded[:kept], fails=1)
    assert len(capture_with(engine, PROMPTS, Generation(3))) == 6
    assert len(engine.ran) == runs


def test_a_capture_does_not_go_on_with_routers_of_another_layout(tmp_path: Path) -> None:
    other = MadeEngine()
    other.layout = RouterLayout((0, 1), (6, 6), (2, 2))
    with pytest.raises(KeyboardInterrupt):
        capture_with(MadeEngine(stop_after=3), PROMPTS, out=tmp_path / "s.npz")
    with pytest.raises(CaptureError, match=r"experts \[5, 5\] and not \[6, 6\]"):
        capture_with(other, PROMPTS, out=tmp_path / "s.npz")


def test_a_length_that_is_missing_is_noticed_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = MadeEngine()
    monkeypatch.setattr(engine, "lengths", lambda prompts, _: np.ones(len(prompts) - 1, np.int32))
    with pytest.raises(ModelError, match=r"gave lengths \(5,\) of 6 prompts"):
        capture_with(engine, PROMPTS)
    assert not engine.ran


def test_one_prompt_that_does_not_fit_into_memory_is_refused() -> None:
    with pytest.raises(CaptureError, match="not even one prompt"):
        capture_with(Faulty("alone", lambda yielded: yielded, fails=1), PROMPTS, Generation(3))


def test_layers_with_other_k_routers_that_drop_and_repeated_passes_are_as_their_layout_says() -> None:
    """The second layer selects one expert in each of two passes, which may be the same."""
    layout = RouterLayout((0, 1), (5, 3), (3, 2), (*PLAIN, Segment("prompt", "image")), passes=(1, 2))
    experts = np.array([[[4, 0, 1], [2, 2, -1]]], dtype=np.int16)
    sequence = RoutedSequence(
        np.zeros(1, np.int32), plain_segments(1, 0), experts, "", segment_names=(*PLAIN, Segment("prompt", "image"))
    )
    check_sequence(sequence, layout, prompt="p", prompt_tokens=1)
    with pytest.raises(ModelError, match="layer 1 selected an expert twice"):
        check_sequence(sequence, replace(layout, passes=()), prompt="p", prompt_tokens=1)
    dropped = replace(sequence, experts=np.array([[[4, -1, -1], [2, -1, -1]]], dtype=np.int16))
    check_sequence(dropped, layout, prompt="p", prompt_tokens=1, may_drop=True)
    with pytest.raises(ModelError, match="layer 0 selects 3 experts for a token, but 1 were"):
        check_sequence(dropped, layout, prompt="p", prompt_tokens=1)
