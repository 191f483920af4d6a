"""An analysis with a trace says how much of its finding is the tokens themselves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moexray.signatures import Signatures
from moexray.studies import same_token as module
from moexray.studies.analysis import analyze
from moexray.studies.cohort import subject_of
from moexray.studies.same_token import streamed_gains, token_identity
from moexray.trace import Trace

Write = Callable[..., Signatures]


def control(path: Path, signatures: Signatures, phase: Any = "all") -> dict[str, Any]:
    return token_identity(subject_of(signatures, phase, permutations=199, folds=3), Trace.open(path, signatures))


def test_routing_by_token_alone_is_all_expected_and_leaves_nothing(write_trace: Write, tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    found = control(path, write_trace(path, category=0.0, prompts=60))
    assert found["same_token"]["p_value"] > 0.01
    assert found["residual"]["p_value"] > 0.01
    assert found["expected"]["p_value"] <= 0.01
    assert abs(found["residual"]["cohens_d"]) < found["expected"]["cohens_d"] / 5
    assert found["share"]["ci"][0] < 1 < found["share"]["ci"][1]
    assert found["share"]["share"] > 0.6


def test_routing_by_category_is_left_when_tokens_are_taken_away(write_trace: Write, tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    found = control(path, write_trace(path, category=2.0, prompts=60))
    assert found["same_token"]["p_value"] == found["residual"]["p_value"] == 1 / 200
    assert found["same_token"]["ci"][0] > 0
    assert found["residual"]["cohens_d"] > 0.5
    assert found["share"]["share"] < 0.5
    assert {layer["layer"] for layer in found["same_token"]["by_layer"]} == {1, 2, 4}
    assert 0 < found["other_categories"]["covered"] <= found["covered"] <= 1
    bits = found["information"][0]
    assert bits["category"]["bits"] > 0.05
    assert bits["token"]["bits"] <= bits["entropy"]


def test_the_gain_of_a_stream_is_that_of_all_tokens_in_memory(
    write_trace: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many layers fit into memory at once."""
    path = tmp_path / "trace.parquet"
    signatures = write_trace(path)
    expected = [layer["gain"] for layer in control(path, signatures)["same_token"]["by_layer"]]
    assert streamed_gains(Trace.open(path, signatures), "all") == pytest.approx(expected)
    monkeypatch.setattr(module, "_MOST_BYTES", 1)
    assert streamed_gains(Trace.open(path, signatures), "all") == pytest.approx(expected)


def test_of_many_prompts_some_are_drawn_and_the_gain_is_of_all(
    write_trace: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "trace.parquet"
    signatures = write_trace(path)
    monkeypatch.setattr(module, "MOST_PROMPTS", 16)
    subject = subject_of(signatures, "all", permutations=19, folds=2)
    found = token_identity(subject, Trace.open(path, signatures))
    gains = streamed_gains(Trace.open(path, signatures), "all")
    assert found["same_token"]["every_prompt"] == {"gain": pytest.approx(np.mean(gains)), "by_layer": gains}
    assert "of 16 of the 24 prompts" in subject.notes["controls.token_identity"]


def test_an_analysis_without_a_trace_says_how_to_get_one(write_trace: Write, tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    signatures = write_trace(path)
    plain = analyze(signatures, permutations=9, folds=2).document
    assert plain["controls"]["token_identity"] is None
    assert "moexray capture --trace" in plain["notes"]["controls.token_identity"]
    traced = analyze(signatures, permutations=9, folds=2, trace=Trace.open(path, signatures)).document
    assert traced["controls"]["token_identity"]["same_token"]["gain"] > 0
    assert traced["settings"] == {**plain["settings"], "trace": True}
    other = {"settings", "controls", "notes"}
    assert {key: value for key, value in traced.items() if key not in other} == {
        key: value for key, value in plain.items() if key not in other
    }


def test_only_tokens_of_the_phase_are_looked_at(write_trace: Write, tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    signatures = write_trace(path, prompts=40)
    found = control(path, signatures, "prompt")
    assert found["same_token"]["gain"] != control(path, signatures)["same_token"]["gain"]
