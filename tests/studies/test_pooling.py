"""Several captures of the same prompts in one summary: what it holds, its level, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest

import moexray as mx
from moexray.errors import AnalysisError
from moexray.signatures import Signatures
from moexray.stats.categories.location import location_test
from moexray.stats.pairs.similarity import similarity
from moexray.studies.pooling import Pooled, pool
from moexray.views.tables.pooled import pooled_page

from .. import made
from ..stats.recipes import selected
from ..stats.simulations import assert_level, assert_power, simulated

PROMPTS, CATEGORIES = 48, ("a", "b", "c", "d")


def capture(seed: int, *, effect: float = 0.5, prompts: int = PROMPTS, **more: object) -> Signatures:
    more = {"ids": [f"p{i}" for i in range(prompts)], "categories": CATEGORIES, **more}
    return made.signatures(prompts, effect=effect, seed=seed, meta={"model": f"model {seed}"}, **more)  # type: ignore[arg-type]


def test_each_capture_has_the_effect_and_the_test_that_it_has_alone() -> None:
    captures = [capture(seed) for seed in range(3)]
    found = pool(captures, permutations=99)
    assert [one.model for one in found.captures] == ["model 0", "model 1", "model 2"]
    assert found.studied() == tuple(one.fingerprint for one in captures)
    for one, signatures in zip(found.captures, captures, strict=True):
        labels = signatures.prompts.categories
        alone = similarity(signatures.vectors(), labels).balanced
        assert alone is not None
        assert one.cohens_d == pytest.approx(alone.cohens_d)
        shares = signatures.vectors().reshape(PROMPTS, len(signatures.layers), -1)
        assert one.location_p_value == location_test(shares, labels, permutations=99, rng=0).p_value
    effects = [one.cohens_d or 0 for one in found.captures]
    assert found.effect is not None
    assert found.effect.mean == pytest.approx(np.mean(effects))


def test_prompts_of_one_capture_may_stand_in_another_order() -> None:
    captures = [capture(seed) for seed in range(3)]
    turned = captures[1].take(range(PROMPTS - 1, -1, -1))
    first, second = pool(captures, permutations=49), pool([captures[0], turned, captures[2]], permutations=49)
    assert (first.effect, first.p_value) == (second.effect, second.p_value)


def test_captures_may_have_other_layers_and_experts() -> None:
    found = pool([capture(0), capture(1, layers=(0, 3), experts=12, top_k=3)], permutations=49)
    assert found.effect is not None
    assert "two captures say little" in found.notes["effect"]


def of_templates(seed: int, captures: int, *, template: float, category: float) -> list[Signatures]:
    """Return captures of 4 categories of 4 templates of 3 prompts, which all models treat alike in part."""
    rng = np.random.default_rng(seed)
    of_template = np.repeat(np.arange(16), 3)
    labels, groups = ([f"{name} {n}" for n in of] for name, of in (("kind", of_template // 4), ("t", of_template)))
    size, tokens = (2, 16), 30
    shared = (
        template * rng.normal(size=(16, *size))[of_template] + category * rng.normal(size=(4, *size))[of_template // 4]
    )
    found = []
    for model in range(captures):
        own = template / 2 * rng.normal(size=(16, *size))[of_template] + 0.3 * rng.normal(size=(48, *size))
        counts = selected(rng, rng.normal(size=size) + shared + own, tokens, 4)
        both = np.stack([counts, np.zeros_like(counts)], axis=1).astype(np.uint16)
        ids, meta = [f"p{i}" for i in range(48)], {"model": f"model {model}"}
        found.append(
            made.signatures(
                counts=both, tokens=(tokens, 0), top_k=4, categories=labels, groups=groups, ids=ids, meta=meta
            )
        )
    return found


@pytest.mark.slow
@simulated(60, nightly=600)
def test_groups_that_all_captures_share_make_no_effect(seeds: range) -> None:
    found = [pool(of_templates(seed, 3, template=0.3, category=0.0), permutations=99) for seed in seeds]
    assert {one.units for one in found} == {16}
    assert_level(np.array([one.p_value for one in found]))


@pytest.mark.slow
@simulated(20, nightly=100)
def test_an_effect_of_category_is_found_across_templates(seeds: range) -> None:
    found = [pool(of_templates(seed, 3, template=0.1, category=0.3), permutations=99).p_value for seed in seeds]
    assert_power(np.array(found))


def test_few_units_have_a_test_and_no_interval() -> None:
    found = pool(of_templates(0, 3, template=0.1, category=0.3), permutations=49)
    assert found.effect is None
    assert found.p_value is not None
    assert found.notes["effect"] == "an interval needs 10 prompts, or groups, in each category"


@pytest.mark.parametrize(
    ("others", "problem"),
    [
        ([], r"1 capture cannot be pooled: give two or more"),
        ([capture(1), capture(0)], "captures 1 and 3 are the same signatures"),
        (
            [capture(1, ids=[f"q{i}" for i in range(PROMPTS)])],
            "1 and 2 hold different prompts: 'p0' is in one",
        ),
        ([capture(1, prompts=44)], "captures 1 and 2 hold different prompts: 'p44' is in one"),
        ([capture(1, categories=("a", "b", "c", "e"))], "prompt 'p3' has another category in capture 2"),
        ([capture(1, groups=["g"] * PROMPTS)], "prompt 'p0' has another group in capture 2"),
    ],
)
def test_captures_of_other_prompts_are_refused_by_name(others: list[Signatures], problem: str) -> None:
    with pytest.raises(AnalysisError, match=problem):
        pool([capture(0), *others])


def test_other_texts_are_refused_where_both_captures_have_texts() -> None:
    first, second = (capture(seed, texts=[f"{seed} {i}" for i in range(PROMPTS)]) for seed in range(2))
    with pytest.raises(AnalysisError, match="prompt 'p0' has another text in capture 2"):
        pool([first, second])
    assert pool([first, capture(1)], permutations=9).prompts == PROMPTS


def test_prompts_without_a_token_in_one_capture_are_left_out_of_all() -> None:
    one = capture(1)
    counts, tokens = one.counts.copy(), one.tokens.copy()
    counts[5], tokens[5] = 0, 0
    found = pool([capture(0), one.replace(counts=counts, tokens=tokens)], permutations=9)
    assert found.prompts == PROMPTS - 1
    assert found.notes["prompts"] == "1 have no such token in some capture and are left out"


def test_the_summary_comes_back_from_its_file_and_is_shown_in_words(tmp_path: Path) -> None:
    found = mx.pool([capture(seed) for seed in range(3)], permutations=49)
    found.save(tmp_path / "pooled.json")
    assert Pooled.load(tmp_path / "pooled.json").document == found.document
    assert "3 captures of 48 prompts" in repr(found)
    page = pooled_page(found)
    assert page.title == "3 captures of 48 prompts of a, b, c and d, prompt and generated tokens"
    assert any("with labels permuted once for all captures" in str(block) for block in page.blocks)
