"""Experts are left out for tokens of one kind alone, and ranked by what these use."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from moexray.engines.rules import ByKind, Without
from moexray.engines.transformers.engine import TransformersEngine
from moexray.errors import AnalysisError, CaptureError
from moexray.generation import Generation
from moexray.interventions.ablation import AblatedModel, measure_ablation
from moexray.recording.capture import capture_with
from moexray.recording.scoring import score
from moexray.studies.ablation import Ablated
from moexray.studies.ablation_measured import Intervention
from moexray.studies.ablation_result import Ablation

from .image_engine import opened, prompts_with_images


@pytest.fixture(scope="module")
def engine() -> Iterator[TransformersEngine]:
    with opened() as one:
        yield one


def test_use_is_counted_for_tokens_of_the_kind(engine: TransformersEngine) -> None:
    """The kinds' counts sum to those of all tokens, and to tokens × layers × k."""
    prompts = prompts_with_images(6)
    rows = np.arange(6)
    every = AblatedModel(engine, prompts).usage(rows, norms=False)
    image, text = (AblatedModel(engine, prompts, kind=kind).usage(rows, norms=False) for kind in ("image", "text"))
    np.testing.assert_array_equal(image.counts + text.counts, every.counts)
    np.testing.assert_allclose(image.mass + text.mass, every.mass)
    np.testing.assert_array_equal(image.pairs + text.pairs, every.pairs)
    scored = dict(score(engine, prompts))
    for place, one in scored.items():
        assert image.counts[place].sum() == (one.routed.segments == 1).sum() * len(engine.layout.layers) * 2
    assert image.counts[:2].sum() == 0  # they hold no image


def test_experts_are_left_out_for_tokens_of_the_kind_alone(engine: TransformersEngine) -> None:
    prompts = prompts_with_images(6)
    model = AblatedModel(engine, prompts, kind="image", meaning="skipped")
    change = Intervention("without", {0: (0, 1, 2, 3), 1: (4, 5)})
    plain, pictured = np.arange(2), np.arange(2, 6)
    for rows, same in ((plain, True), (pictured, False)):
        full, without = model.run(rows, None, write=False), model.run(rows, change, write=False)
        assert np.array_equal(full.losses, without.losses) is same
    assert without.kinds is not None
    assert without.kinds["text"] == 2.0
    assert without.kinds["image"] is not None
    assert without.kinds["image"] < 2.0
    rule = Without(change.experts, "skipped")
    with engine.ruled(ByKind({"image": rule})):
        by_hand = dict(score(engine, [prompts[row] for row in pictured]))
    expected = [float(by_hand[i].losses[by_hand[i].predicted].sum(dtype=np.float64)) for i in range(4)]
    np.testing.assert_array_equal(without.losses, expected)


@pytest.mark.slow
def test_a_study_of_one_kind_ranks_and_leaves_out_for_that_kind(engine: TransformersEngine, tmp_path: Path) -> None:
    prompts = prompts_with_images(6)
    asked = Ablated(rankings=("coldest",), write=False)
    found = measure_ablation(engine, prompts, asked, kind="image", new_tokens=0)
    assert found.kind == "image"
    assert [one.policy for one in found.policies] == ["coldest"]
    assert found.policies[0].kinds == {"text": 2.0, "image": 2.0}  # others take their place
    found.save(tmp_path / "a.json")
    assert Ablation.load(tmp_path / "a.json") == found
    # Prompts without images have no token whose routing changes.
    forced = measure_ablation(engine, prompts[:2], Ablated(forced={0: (1,)}, write=False), kind="image", new_tokens=0)
    assert forced.policies[0].overall.mean == 0.0


@pytest.mark.slow
def test_signatures_rank_by_the_tokens_of_the_kind(engine: TransformersEngine, tmp_path: Path) -> None:
    others = [replace(one, id=f"other-{one.id}", text=one.text + "hg") for one in prompts_with_images(6)]
    recorded = capture_with(engine, others, Generation(1))
    recorded.save(tmp_path / "others.npz")
    asked = Ablated(draws=10, write=False)
    found = measure_ablation(
        engine, prompts_with_images(4), asked, kind="image", new_tokens=0, ranking=tmp_path / "others.npz"
    )
    counts = recorded.counts[:, 1].sum(axis=0)  # of image tokens
    (coldest,) = [one for one in found.policies if one.policy.startswith("coldest")]
    for place, layer in enumerate(engine.layout.layers):
        left_out = list(coldest.experts[str(layer)])
        assert counts[place][left_out].max() <= np.delete(counts[place], left_out).min()


def test_what_cannot_be_of_one_kind_is_refused(engine: TransformersEngine, tmp_path: Path) -> None:
    prompts = prompts_with_images(4)
    with pytest.raises(CaptureError, match="`kind` is 'audio', but the tokens of these prompts are text and image"):
        AblatedModel(engine, prompts, kind="audio")
    with pytest.raises(CaptureError, match="leave it out for image tokens"):
        measure_ablation(engine, prompts, Ablated(rankings=("reap",), write=False), kind="image", new_tokens=0)
    report = tmp_path / "experts.json"  # nothing is read of it
    with pytest.raises(AnalysisError, match=r"experts\.json counts tokens of all kinds: rank by signatures"):
        measure_ablation(engine, prompts, Ablated(write=False), kind="image", ranking=report)
