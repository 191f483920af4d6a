"""An analysis with a trace says how much of its finding is the tokens themselves."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from moexray.errors import NotComputable
from moexray.signatures import Signatures
from moexray.studies.agreement import router_agreement
from moexray.studies.analysis import analyze
from moexray.studies.cohort import Cohort
from moexray.studies.limits import Limits
from moexray.studies.notes import Notes
from moexray.studies.sections.same_token import same_context, same_token, streamed_gains
from moexray.studies.sections.token_identity import TokenIdentity, token_identity
from moexray.studies.sections.tokens import tokens_of
from moexray.trace import Trace

from .. import made

Write = Callable[..., Signatures]


def control(path: Path, signatures: Signatures, tokens: str = "all") -> TokenIdentity:
    trace = Trace.open(path, signatures)
    return token_identity(Cohort.of(signatures, tokens=tokens, permutations=199, folds=3, trace=trace), Notes())


def test_routing_by_token_alone_is_all_expected_and_leaves_nothing(write_trace: Write, tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    found = control(path, write_trace(path, category=0.0, prompts=60))
    assert found.same_token.p_value > 0.01
    assert found.residual.p_value > 0.01
    assert found.expected.p_value <= 0.01
    assert abs(found.residual.cohens_d) < found.expected.cohens_d / 5
    assert found.share.ci[0] < 1 < found.share.ci[1]
    assert found.share.share > 0.6


def test_routing_by_category_is_left_when_tokens_are_taken_away(write_trace: Write, tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    found = control(path, write_trace(path, category=2.0, prompts=60))
    assert found.same_token.p_value == found.residual.p_value == 1 / 200
    assert found.same_token.ci[0] > 0
    assert found.residual.cohens_d > 0.5
    assert found.share.share < 0.5
    assert {layer.layer for layer in found.same_token.by_layer} == {1, 2, 4}
    assert 0 < found.other_categories.covered <= found.covered <= 1
    bits = found.information[0]
    assert bits.category.bits > 0.05
    assert bits.token.bits <= bits.entropy


def test_image_tokens_have_no_identity_and_are_left_out(tmp_path: Path) -> None:
    """All of them have one id. What is found is that of the same texts without images, but for places in the prompt."""
    with_images, texts = (
        control(tmp_path / f"{images}.parquet", made.trace(tmp_path / f"{images}.parquet", images=images))
        for images in (True, False)
    )
    for name in ("same_token", "covered", "observed", "expected", "residual", "layers", "other_categories", "share"):
        assert getattr(with_images, name) == getattr(texts, name), name
    for one, other in zip(with_images.information, texts.information, strict=True):
        assert one.token == other.token
    assert with_images.same_context != texts.same_context


def test_of_image_tokens_alone_identity_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    signatures = made.trace(path, images=True)
    with pytest.raises(NotComputable, match="image tokens share ids that do not say what they show"):
        control(path, signatures, "image")
    notes, trace = Notes(), Trace.open(path, signatures)
    token_identity(Cohort.of(signatures, tokens="prompt", permutations=9, folds=3, trace=trace), notes)
    assert notes.found["tokens"].startswith("of prompt/text tokens alone: image tokens share ids")


# Prompts of the two categories alternate; a group of a design holds prompts that stand together, or far apart.
DESIGNS = {
    "no groups": None,
    "nested": [f"group {i % 2}, {i // 6}" for i in range(24)],
    "nested, apart": [f"group {i % 8}" for i in range(24)],
    "crossed": [f"content {i // 4}" for i in range(24)],
    "crossed, apart": [f"content {i // 2 % 6}" for i in range(24)],
    "some": [f"content {i // 4}" if i < 12 else "" for i in range(24)],
}


@pytest.mark.parametrize("k", [2, (3, 1, 2)])
@pytest.mark.parametrize("design", DESIGNS)
def test_the_gain_of_a_stream_is_that_of_all_tokens_in_memory(
    write_trace: Write, tmp_path: Path, design: str, k: int | tuple[int, ...]
) -> None:
    """To the last bit, however many layers fit into memory at once, and wherever the prompts of a group stand."""
    path = tmp_path / "trace.parquet"
    signatures = write_trace(path, groups=DESIGNS[design], k=k)
    trace = Trace.open(path, signatures)
    cohort = Cohort.of(signatures, permutations=1, trace=trace)
    expected = [layer.gain for layer in same_token(cohort, tokens_of(cohort, trace)).by_layer]
    assert streamed_gains(trace) == expected
    assert streamed_gains(trace, most_bytes=1) == expected


@pytest.mark.parametrize("k", [2, (3, 1, 2)])
def test_a_capture_agrees_with_itself_in_every_layer(
    write_trace: Write, tmp_path: Path, k: int | tuple[int, ...]
) -> None:
    path = tmp_path / "trace.parquet"
    signatures = write_trace(path, k=k)
    trace = Trace.open(path, signatures)
    assert router_agreement((trace, trace), signatures)[0].by_layer == (1, 1, 1)


def test_the_same_context_is_two_tokens_in_a_row_whichever_tokens_are_selected(
    write_trace: Write, tmp_path: Path
) -> None:
    """The token before the first generated one is the last of the prompt."""
    path = tmp_path / "trace.parquet"
    signatures = write_trace(path, prompts=40, vocabulary=4, category=2.0)
    trace = Trace.open(path, signatures)
    every, generated = (
        tokens_of(Cohort.of(signatures, tokens=phase, trace=trace), trace) for phase in ("all", "generated")
    )
    first = np.flatnonzero(every.routed.positions == 0)
    assert set(every.before[first]) == {-1}
    assert (every.before[1:] == every.routed.token_ids[:-1])[np.diff(every.routed.prompts) == 0].all()
    np.testing.assert_array_equal(generated.before, every.before[every.routed.generated])
    cohort = Cohort.of(signatures, permutations=199, trace=trace)
    found = same_context(cohort, every)
    assert found.p_value <= 0.01
    assert found.contexts == 16
    assert 0.8 < found.covered < 1


def test_what_is_expected_from_other_categories_has_no_p(write_trace: Write, tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    signatures, notes = write_trace(path), Notes()
    found = token_identity(Cohort.of(signatures, permutations=9, trace=Trace.open(path, signatures)), notes)
    assert found.other_categories.observed.p_value is not None
    assert found.other_categories.expected.p_value is None
    assert "no null" in notes.found["other_categories.expected.p_value"]


def test_of_many_prompts_some_are_drawn_and_the_gain_is_of_all(write_trace: Write, tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    signatures = write_trace(path)
    trace, limits = Trace.open(path, signatures), Limits(token_prompts=16)
    analysis = analyze(signatures, permutations=19, folds=2, trace=trace, limits=limits)
    found = analysis.controls.token_identity.same_token.every_prompt
    gains = streamed_gains(trace)
    assert list(found.by_layer) == gains
    assert found.gain == pytest.approx(np.mean(gains))
    assert "of 16 of the 24 prompts" in analysis.notes["controls.token_identity"]


def test_an_analysis_without_a_trace_says_how_to_get_one(write_trace: Write, tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    signatures = write_trace(path)
    plain = analyze(signatures, permutations=9, folds=2)
    assert plain.controls.token_identity is None
    assert "moexray capture --record trace" in plain.notes["controls.token_identity"]
    traced = analyze(signatures, permutations=9, folds=2, trace=Trace.open(path, signatures))
    assert traced.controls.token_identity.same_token.gain > 0
    assert (plain.settings.trace, traced.settings.trace) == (False, True)
    one, other = dict(plain.sections()), dict(traced.sections())
    assert {key for key in one if one[key] != other[key]} == {"controls"}


def test_only_selected_tokens_are_looked_at(write_trace: Write, tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    signatures = write_trace(path, prompts=40)
    assert control(path, signatures, "prompt").same_token.gain != control(path, signatures).same_token.gain
