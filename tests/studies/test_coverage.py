"""A study of coverage counts what prompts reach, and finds what was planted in a ranking of experts."""

from pathlib import Path

import numpy as np
import pytest

from moexray import example
from moexray.errors import AnalysisError
from moexray.signatures import Signatures
from moexray.studies.coverage import study_coverage
from moexray.studies.coverage_report import Coverage

from .. import made


@pytest.fixture(scope="module")
def of_example() -> Coverage:
    return study_coverage(example().signatures)


def test_rare_experts_are_those_of_the_counts() -> None:
    counts = np.zeros((6, 2, 1, 4), dtype=np.uint16)
    counts[:, 0, 0] = [[9, 0, 1, 0], [9, 0, 1, 0], [6, 4, 0, 0], [9, 0, 1, 0], [10, 0, 0, 0], [9, 0, 1, 0]]
    found = study_coverage(made.signatures(counts=counts, top_k=1), below=3)
    (layer,) = found.layers
    assert (found.experts, found.never, found.selected_tokens) == (4, 1, 60)
    assert layer.tokens.found == 1  # expert 1 has four tokens, of one prompt
    assert layer.prompts.found == 2
    # P(Binomial(60, 1/4) < 3) = (3/4)^60 (1 + 60/3 + 60 · 59/2 /9), four times.
    assert found.by_tokens.uniform == pytest.approx(4 * 0.75**60 * (1 + 60 / 3 + 60 * 59 / 2 / 9))
    assert found.fewer_prompts.experts[-1] == 2
    assert found.fewer_prompts.experts[0] == 4


def test_selections_bunched_in_few_prompts_are_more_than_load_alone_leaves() -> None:
    """Expert 0 takes all tokens of one prompt in ten; with the same load spread out, every prompt would reach it."""
    counts = np.zeros((40, 2, 1, 4), dtype=np.uint16)
    counts[:, 0, 0] = [0, 20, 20, 20]
    counts[::10, 0, 0] = [60, 0, 0, 0]
    found = study_coverage(made.signatures(counts=counts, top_k=1), below=10)
    assert found.by_prompts.found == 1
    assert found.by_prompts.load_matched == pytest.approx(0, abs=1e-6)
    assert found.by_tokens.found == 0


def test_categories_with_experts_of_their_own_rank_them_apart() -> None:
    apart = np.zeros((2, 1, 16))
    apart[0, 0, :8] = apart[1, 0, 8:] = 3.0
    found = study_coverage(
        made.signatures(80, layers=(3,), experts=16, preferences=apart, length=(60, 60)), seed=1
    ).stability
    assert found is not None
    assert found.same_category is not None
    assert found.other_category is not None
    assert found.same_category > 0.95
    assert found.other_category < 0.05
    assert found.difference_ci is not None
    assert found.difference_ci[0] > 0.5


def test_categories_that_route_alike_do_not_differ() -> None:
    found = study_coverage(made.signatures(80, experts=16, effect=0, length=(60, 60)), seed=1).stability
    assert found is not None
    assert found.difference_ci is not None
    assert found.difference_ci[0] < 0 < found.difference_ci[1]
    assert found.halves == pytest.approx(found.chance, abs=0.2)


def test_the_most_used_take_most_where_they_were_chosen(of_example: Coverage) -> None:
    found = of_example.most_used
    assert found is not None
    for share, same, even, ci in zip(found.share, found.same_prompts, found.even, found.ci, strict=True):
        assert even <= share <= same + 1e-9
        assert ci is not None
        assert ci[0] - 1e-9 <= share <= ci[1] + 1e-9
    assert found.share[-1] == found.same_prompts[-1] == found.even[-1] == pytest.approx(1)
    assert (np.diff(found.share) > 0).all()


def test_the_embedded_model_ranks_experts_by_category(of_example: Coverage) -> None:
    found = of_example.stability
    assert found is not None
    assert found.same_category is not None
    assert found.other_category is not None
    assert found.chance == 0.5 < found.other_category < found.same_category < found.halves < 1
    assert found.halves == pytest.approx(np.mean([one.halves for one in found.layers]))


def test_a_file_is_read_in_blocks_and_gives_the_same(tmp_path: Path, of_example: Coverage) -> None:
    example().signatures.save(tmp_path / "s.npz")
    stored = Signatures.open(tmp_path / "s.npz")
    assert study_coverage(stored) == of_example
    assert not stored.in_memory


def test_layers_of_unequal_size_count_the_experts_that_they_have() -> None:
    found = study_coverage(made.signatures(24, experts=(8, 5, 6), top_k=(2, 1, 3)), below=1)
    assert [one.experts for one in found.layers] == [8, 5, 6]
    assert found.experts == 19
    assert found.never == 0
    assert found.stability is not None
    assert [one.experts for one in found.stability.layers] == [4, 2, 3]
    assert found.most_used is not None
    assert found.most_used.even[1] == pytest.approx((2 / 8 + 2 / 5 + 2 / 6) / 3)


def test_one_category_has_halves_alone() -> None:
    found = study_coverage(made.signatures(12, categories=("a",)))
    assert found.stability is not None
    assert found.stability.same_category is None
    assert found.stability.halves_ci is not None
    assert found.notes["stability.same_category"] == "there is one category only"


def test_groups_stay_on_one_side() -> None:
    """Prompts of one group are copies: were a group split, both halves would rank experts alike."""
    rng = np.random.default_rng(0)
    counts = np.repeat(rng.multinomial(20, np.full(16, 1 / 16), size=(8, 2, 2)), 5, axis=0).astype(np.uint16)
    groups = [f"g{i // 5}" for i in range(40)]
    apart, together = (study_coverage(made.signatures(counts=counts, top_k=1, groups=g)) for g in (groups, None))
    assert apart.units == 8
    assert apart.stability is not None
    assert together.stability is not None
    assert apart.stability.halves < together.stability.halves


def test_a_single_prompt_has_no_halves() -> None:
    found = study_coverage(made.signatures(1, categories=("a",)))
    assert found.stability is None
    assert found.most_used is None
    assert "one prompt or group only" in found.notes["stability"]


def test_a_result_is_saved_and_read_again(of_example: Coverage, tmp_path: Path) -> None:
    of_example.save(tmp_path / "coverage.json")
    assert Coverage.load(tmp_path / "coverage.json") == of_example
    assert "coverage of 1,024 experts" in repr(of_example)


@pytest.mark.parametrize("below", [0, -1, 10**13, 10**30])
def test_a_threshold_is_positive_and_no_larger_than_counts_are(below: int) -> None:
    with pytest.raises(AnalysisError, match="below"):
        study_coverage(made.signatures(6), below=below)


def test_a_threshold_above_all_tokens_is_above_every_expert() -> None:
    found = study_coverage(made.signatures(6), below=10**12)
    assert found.by_tokens.found == found.by_prompts.found == found.experts == found.by_tokens.load_matched


def test_too_few_groups_of_several_categories_are_named_as_such() -> None:
    """Both categories have twelve prompts; the two groups that hold both are a sample of two."""
    groups = ["both", "both", "all", "all", *("" for _ in range(20))]
    assert (
        "fewer than three groups hold several categories" in study_coverage(made.signatures(groups=groups)).notes["ci"]
    )
