"""Gate mass: how much weight each expert got, beside how often it was selected."""

from pathlib import Path

import numpy as np
import pytest

from moexray import counts as counts_module
from moexray.errors import AnalysisError, SignaturesError
from moexray.merging import merge
from moexray.signatures import Signatures
from moexray.studies.analysis import analyze
from moexray.studies.limits import Limits

from .. import made as builder


def made(prompts: int = 60, *, seed: int = 0, first: int = 0) -> Signatures:
    """Three layers of six experts, k = 2; weights of 0 to 1 a selection; counts say nothing of the category."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(3, 12, size=(prompts, 2)).astype(np.int32)
    counts = np.zeros((prompts, 2, 3, 6), dtype=np.uint8)
    mass = np.zeros(counts.shape, dtype=np.float32)
    for prompt, phase, layer in np.ndindex(prompts, 2, 3):
        for _ in range(tokens[prompt, phase]):
            selected = rng.choice(6, 2, replace=False)
            counts[prompt, phase, layer, selected] += 1
            mass[prompt, phase, layer, selected] += rng.uniform(size=2) * (1 + (selected % 3 == prompt % 3))
    return builder.signatures(
        counts=counts,
        tokens=tokens,
        mass=mass,
        categories="abc",
        ids=[f"p{first + i}" for i in range(prompts)],
        texts=[f"text {i}" for i in range(prompts)],
    )


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts_module, "_BLOCK_NUMBERS", 7 * 18)


@pytest.mark.parametrize("phase", ["prompt", "generated", "all"])
def test_a_vector_by_mass_is_each_layers_share_of_gate_weight(phase: str) -> None:
    signatures = made(5)
    index = {"prompt": [0], "generated": [1], "all": [0, 1]}[phase]
    assert signatures.mass is not None
    for prompt, vector in enumerate(signatures.vectors(phase, weighting="mass")):
        for layer in range(3):
            got = sum(signatures.mass[prompt, i, layer].astype(float) for i in index)
            np.testing.assert_allclose(vector[6 * layer : 6 * layer + 6], got / got.sum())


def test_equal_weights_make_the_mass_and_the_counts_the_same_signature() -> None:
    signatures = made()
    equal = signatures.replace(mass=0.25 * signatures.counts.astype(np.float32))
    np.testing.assert_array_equal(equal.vectors(weighting="mass"), equal.vectors())
    by_mass, by_counts = (analyze(equal, weighting=by, permutations=9).document for by in ("mass", "counts"))
    different = {key for key in by_counts if by_counts[key] != by_mass[key]}
    assert different == {"signatures", "balance", "notes"}
    assert by_mass["signatures"]["by"] == "mass"
    assert by_mass["notes"]["balance"] == "a null of load balancing draws selections: it says nothing of gate mass"


@pytest.mark.slow
def test_what_only_the_weights_tell_is_found_by_mass_alone() -> None:
    by_mass, by_counts = (analyze(made(), weighting=by, permutations=199).document for by in ("mass", "counts"))
    assert by_mass["permutation"]["p_value"] == 1 / 200
    assert by_counts["permutation"]["p_value"] > 0.05
    assert by_mass["load"] == by_counts["load"]


def test_selecting_and_merging_keep_the_mass_with_its_prompts() -> None:
    signatures, other = made(6), made(4, seed=1, first=6)
    assert signatures.mass is not None
    np.testing.assert_array_equal(signatures.take(range(1, len(signatures), 3)).mass, signatures.mass[1::3])
    merged = merge([signatures, other])
    np.testing.assert_array_equal(merged.take([7, 2]).mass, [other.mass[1], signatures.mass[2]])
    assert merge([signatures, other.replace(mass=None)]).mass is None


def test_the_file_keeps_the_mass_and_one_without_reads_as_before(tmp_path: Path) -> None:
    made().save(tmp_path / "with.npz")
    made().replace(mass=None).save(tmp_path / "without.npz")
    np.testing.assert_array_equal(Signatures.load(tmp_path / "with.npz").mass, made().mass)
    assert Signatures.load(tmp_path / "without.npz").mass is None
    with np.load(tmp_path / "with.npz") as one, np.load(tmp_path / "without.npz") as other:
        assert set(one.files) - set(other.files) == {"mass"}


def test_blocks_of_a_file_hold_the_mass_of_their_prompts(tmp_path: Path, small_blocks: None) -> None:
    made().save(tmp_path / "s.npz")
    stored = Signatures.open(tmp_path / "s.npz")
    blocks = list(stored.blocks())
    assert len(blocks) > 2
    np.testing.assert_array_equal(np.concatenate([block.mass for block in blocks]), made().mass)
    np.testing.assert_array_equal(stored.take([3, 30, 59]).mass, made().take([3, 30, 59]).mass)


def test_an_analysis_by_mass_is_the_same_whole_and_streamed(tmp_path: Path, small_blocks: None) -> None:
    made().save(tmp_path / "s.npz")
    stored = Signatures.open(tmp_path / "s.npz")
    whole = analyze(stored, weighting="mass", permutations=9).document
    few = Limits(in_memory=40, sample=30)
    streamed = analyze(stored, weighting="mass", permutations=9, limits=few).document
    assert streamed["similarity"]["cohens_d"] == pytest.approx(whole["similarity"]["cohens_d"])
    assert [layer["cohens_d"] for layer in streamed["layers"]] == pytest.approx(
        [layer["cohens_d"] for layer in whole["layers"]]
    )


@pytest.mark.slow
def test_specifications_try_gate_mass_where_it_is_there() -> None:
    found = analyze(made(30), permutations=19, specifications=True).document["specifications"]
    assert {one["layers"] for one in found if one["measure"] == "shares of gate mass"} == {"concatenated", "averaged"}
    plain = analyze(made(30).replace(mass=None), permutations=19, specifications=True).document["specifications"]
    assert [one for one in found if one["measure"] != "shares of gate mass"] == plain


def test_what_is_no_mass_of_these_counts_is_refused() -> None:
    signatures = made(3)
    assert signatures.mass is not None
    unselected = signatures.mass + (signatures.counts == 0)
    changes = [
        -signatures.mass,
        signatures.mass * np.nan,
        signatures.mass.astype(np.float64),
        signatures.mass[1:],
        unselected.astype(np.float32),
    ]
    for mass in changes:
        with pytest.raises(SignaturesError, match="mass must be"):
            signatures.replace(mass=mass)


def test_asking_by_what_was_not_recorded_says_how_to_record_it(tmp_path: Path) -> None:
    without = made().replace(mass=None)
    without.save(tmp_path / "s.npz")
    for signatures in (without, Signatures.open(tmp_path / "s.npz")):
        with pytest.raises(SignaturesError, match="hold no gate mass: `moexray capture --record weights` records it"):
            analyze(signatures, weighting="mass")
    with pytest.raises(SignaturesError, match="hold no gate mass"):
        without.vectors(weighting="mass")
    with pytest.raises(AnalysisError, match="no weighting 'size': there are counts and mass"):
        analyze(without, weighting="size")  # type: ignore[arg-type]
