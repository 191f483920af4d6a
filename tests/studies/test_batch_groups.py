"""Grouping saves what prompts share: all of it, or nothing, where routers are made so."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from moexray import example
from moexray.errors import AnalysisError
from moexray.signatures import Signatures
from moexray.stats.workloads.distinct import load_matched
from moexray.studies.batch_counts import batch_counts, generated_lengths
from moexray.studies.batch_groups import Grouping
from moexray.studies.batch_pool import Pool, pool_of
from moexray.studies.batch_report import Batching
from moexray.studies.batch_ways import Batches
from moexray.studies.batching import study_batches
from moexray.studies.prefill_decode import prefill_decode
from moexray.studies.unit_blocks import unit_blocks
from moexray.trace import Trace

from .. import made


def batches_of(chosen: NDArray[np.bool_], labels: Sequence[str], size: int) -> Batches:
    numbers = np.unique(labels, return_inverse=True)[1]
    return Batches(chosen, numbers, unit_blocks(labels, None), size, 0)


def by_kind(prompts: int, *, noise: float) -> tuple[NDArray[np.bool_], list[str]]:
    """Return what prompts of two kinds select: eight of sixteen experts that are the kind's own, but for noise."""
    rng = np.random.default_rng(0)
    kinds = np.arange(prompts) % 2
    scores = (np.arange(16) // 8 == kinds[:, None, None, None]) + noise * rng.gumbel(size=(prompts, 5, 3, 16))
    chosen = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(chosen, np.argsort(-scores, axis=-1)[..., :4], values=True, axis=-1)
    return chosen, [f"kind {kind}" for kind in kinds]


@pytest.fixture(scope="module")
def of_example() -> Batching:
    return study_batches(example().trace, sizes=(8,))


def test_random_batches_and_those_of_a_category_are_those_of_all_subsets() -> None:
    chosen, labels = by_kind(10, noise=0.5)
    batches = batches_of(chosen, labels, 3)
    unions = {some: chosen[list(some)].any(axis=0).sum() / 15 for some in combinations(range(10), 3)}
    assert batches.random.experts == pytest.approx(np.mean(list(unions.values())))
    inside = [[value for some, value in unions.items() if {one % 2 for one in some} == {kind}] for kind in (0, 1)]
    assert batches.category(print).experts == pytest.approx((np.mean(inside[0]) + np.mean(inside[1])) / 2)


def test_kinds_that_share_nothing_are_told_apart_by_every_way() -> None:
    """Batches of one kind read eight of sixteen experts and no more, and mixed ones more than that."""
    chosen, labels = by_kind(32, noise=0.05)
    batches = batches_of(chosen, labels, 4)
    loads = chosen.sum(axis=1).reshape(32, -1).astype(float)
    for mean in (
        batches.category(print),
        batches.greedy(loads @ loads.T),
        batches.greedy(batches.shared.sum(axis=0)),
    ):
        assert mean.experts <= 8
    assert batches.random.experts > 10
    assert batches.hamming().experts < batches.random.experts - 2


def test_prompts_of_one_kind_gain_nothing_from_signatures() -> None:
    """What prompts select at random cannot be predicted; batches by another draw read what random ones read."""
    rng = np.random.default_rng(1)
    chosen = np.argsort(rng.random((40, 20, 4, 16)), axis=-1) < 3
    batches = batches_of(chosen, ["a", "b"] * 20, 5)
    similarity = rng.random((40, 40))
    for mean in (batches.greedy(similarity), batches.category(print)):
        assert mean.experts == pytest.approx(batches.random.experts, abs=0.05)
    assert batches.greedy(batches.shared.sum(axis=0)).experts < batches.random.experts


def test_copies_of_one_prompt_read_k_in_every_way() -> None:
    chosen = np.repeat(np.argsort(np.random.default_rng(0).random((1, 3, 2, 12)), axis=-1) < 3, 16, axis=0)
    batches = batches_of(chosen, ["a", "b"] * 8, 4)
    ways = (batches.random, batches.category(print), batches.greedy(np.ones((16, 16))), batches.hamming())
    assert [mean.experts for mean in ways] == pytest.approx([3, 3, 3, 3])


def test_the_embedded_model_gains_what_was_found_before(of_example: Batching) -> None:
    """Of prompts with all 31 generated tokens; one greedy order gave 33.6, 35.5 were draws of random batches."""
    found = of_example.grouping
    assert found is not None
    assert (found.prompts, found.steps) == (79, 31)
    assert found.uniform == pytest.approx(42.0, abs=0.05)
    assert found.random.experts == pytest.approx(35.5, abs=0.3)
    assert found.random.experts == pytest.approx(of_example.mean.observed[0])
    assert found.signature is not None
    assert found.signature.experts == pytest.approx(33.6, abs=1)
    assert found.oracle is not None
    assert found.hamming is not None
    assert found.oracle.experts < found.signature.experts < found.random.experts
    assert found.hamming.experts < found.random.experts


def test_every_way_has_an_interval_of_its_difference_from_random(of_example: Batching) -> None:
    found = of_example.grouping
    assert found is not None
    for part in (found.category, found.signature, found.hamming, found.oracle):
        assert part is not None
        assert part.difference == pytest.approx(part.experts - found.random.experts)
        assert part.ci is not None
        assert part.difference_ci is not None
        assert part.difference_ci[0] < part.difference < part.difference_ci[1] < 0


def test_what_random_batches_have_in_common_is_the_step() -> None:
    """With each prompt's tokens in random order, batches read what load alone predicts, and signatures still help."""
    signatures, trace = example()
    pool = pool_of(signatures, generated_lengths(signatures), size=8, seed=0)
    batch_counts(trace, (1,), on_block=pool.keep)
    rng = np.random.default_rng(0)
    mixed = replace(pool, chosen=np.stack([one[rng.permutation(len(one))] for one in pool.chosen]))
    loads = signatures.take(pool.rows).loads("prompt").reshape(len(pool.rows), -1).astype(float)
    loads /= np.linalg.norm(loads, axis=1, keepdims=True)
    shares = pool.chosen.mean(axis=(0, 1))
    alone = float(load_matched(shares, 8).mean())
    in_step, apart = (Batches.of(one, signatures, size=8, seed=0) for one in (pool, mixed))
    assert in_step.random.experts == pytest.approx(35.6, abs=0.1)
    assert apart.random.experts == pytest.approx(alone, abs=0.25)
    assert apart.random.experts == pytest.approx(37.9, abs=0.1)
    assert apart.greedy(loads @ loads.T).experts - apart.random.experts == pytest.approx(-2.3, abs=0.2)


def test_prefill_predicts_decoding_of_the_embedded_model(of_example: Batching) -> None:
    found = of_example.prefill_decode
    assert found is not None
    assert found.own.r == pytest.approx(0.415, abs=0.001)
    assert (found.other_category.r or 0) < (found.same_category.r or 0) < found.own.r


def test_correlations_are_those_of_a_loop_over_pairs() -> None:
    signatures = made.signatures(8, experts=(8, 6, 8), groups=["g", "g", *map(str, range(6))])
    found = prefill_decode(signatures, tokens="all", seed=0)
    pairs: dict[str, list[float]] = {"own": [], "same": [], "other": []}
    for one in range(8):
        for other in range(8):
            kind = "own" if one == other else "same" if one % 2 == other % 2 else "other"
            if {one, other} == {0, 1}:
                continue
            for layer, width in enumerate((8, 6, 8)):
                before, after = (signatures.counts[row, phase, layer, :width] for phase, row in ((0, one), (1, other)))
                pairs[kind].append(float(np.corrcoef(before, after)[0, 1]))
    assert [found.own.r, found.same_category.r, found.other_category.r] == pytest.approx(
        [np.mean(pairs[kind]) for kind in ("own", "same", "other")]
    )


def test_small_categories_are_left_out_of_both_sides() -> None:
    chosen, labels = by_kind(12, noise=0.5)
    said: list[str] = []
    found = batches_of(chosen, [*labels[:10], "rare", "rare"], 4).category(said.append)
    assert "2 prompts of categories with fewer than 4" in said[0]
    assert found.random is not None
    assert found.random.experts == pytest.approx(batches_of(chosen[:10], labels[:10], 4).random.experts)


def grouped(signatures: Signatures, path: Path, **options: int) -> tuple[Grouping | None, dict[str, str]]:
    found = study_batches(Trace.open(path, signatures), sizes=(1,), **options)  # type: ignore[arg-type]
    return found.grouping, dict(found.notes)


def test_what_cannot_be_grouped_says_why(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    few = made.trace(path, prompts=6)
    found, notes = grouped(few, path)
    assert found is None
    assert "two batches of 8 prompts are the least to group, and 6 prompts" in notes["grouping"]
    found, notes = grouped(few.replace(categories=("a",) * 6), path, group_size=3)
    assert found is not None
    assert found.category is None
    assert notes["grouping.category"] == "there is one category only"
    assert found.signature is not None
    with pytest.raises(AnalysisError, match="group_size"):
        grouped(few, path, group_size=1)


def test_a_category_of_just_one_batch_has_no_interval_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    found, notes = grouped(made.trace(path, prompts=16), path, group_size=8)
    assert found is not None
    assert found.random.ci is not None
    assert found.category is not None
    assert found.category.ci is None
    assert "too few for a batch" in notes["grouping.category.ci"]


def test_more_prompts_than_can_be_held_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moexray.studies.batch_pool._MOST_PROMPTS", 10)
    path = tmp_path / "t.parquet"
    found, notes = grouped(made.trace(path), path, group_size=3)
    assert found is not None
    assert found.prompts == 10
    assert "10 of 24 prompts were put together" in notes["pool"]


def test_the_pool_holds_what_the_trace_says(tmp_path: Path) -> None:
    signatures = made.trace(tmp_path / "t.parquet", prompts=6)
    trace = Trace.open(tmp_path / "t.parquet", signatures)
    rows, steps = np.array([1, 4]), np.array([0, 3])
    pool = Pool(rows, 4, steps, np.zeros((2, 2, 3, 8), dtype=bool), np.zeros((2, 2), dtype=bool))
    for block in trace.blocks():
        first = np.flatnonzero(np.diff(block.prompts, prepend=-1))
        before: NDArray[np.int64] = np.cumsum(block.generated) - block.generated
        step: NDArray[np.int64] = before - np.repeat(before[first], np.diff([*first, len(block)]))
        pool.keep(block, np.where(block.generated, step, -1))
        for place, row in enumerate(rows):
            last = block.take((block.prompts == row) & block.generated)
            for number, one in enumerate(steps):
                for layer in range(3):
                    chosen = set(np.flatnonzero(pool.chosen[place, number, layer]).tolist())
                    assert not len(last) or chosen == set(last.experts[one, layer].tolist())
    assert pool.seen.all()
