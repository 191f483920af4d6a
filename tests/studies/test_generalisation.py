"""analyze() says whether the classifier generalises: to groups that were left out, and to another capture."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moexray.errors import AnalysisError
from moexray.signatures import Signatures
from moexray.stats.categories.classifier import classify
from moexray.stats.categories.other_prompts import classify_others
from moexray.studies.analysis import Analysis, analyze
from moexray.studies.completion import completed
from moexray.views.tables.headline import headline

from .. import made


def capture(
    prompts: int = 24,
    *,
    seed: int = 0,
    categories: str = "ab",
    category: float = 1.0,
    template: float = 0.0,
    groups: bool = False,
    name: str = "p",
    first_layer: int = 1,
    meta: dict[str, object] | None = None,
) -> Signatures:
    """Two layers of eight experts, k = 2; prompts of four a template, which differ by `template`."""
    router = np.random.default_rng(5).normal(size=(len(categories), 2, 8))
    of_template = np.random.default_rng(seed).normal(size=(prompts, 2, 8))
    places = np.arange(prompts)
    templates = places % len(categories) + len(categories) * (places // (4 * len(categories)))
    return made.signatures(
        prompts,
        layers=(first_layer, first_layer + 1),
        categories=[categories[place % len(categories)] for place in places],
        preferences=category * router[places % len(categories)] + template * of_template[templates],
        length=(30, 40),
        texts=[f"{name} {place}" for place in places],
        ids=[f"{name}-{place}" for place in places],
        groups=[f"{name} template {number}" for number in templates] if groups else None,
        seed=seed,
        meta=meta,
        mass=True,
    )


def with_texts(signatures: Signatures, texts: list[str] | None) -> Signatures:
    return signatures.replace(prompts=replace(signatures.prompts, texts=texts))


OPTIONS: Any = {"permutations": 99}


def rows_of(analysis: Analysis) -> dict[str, str]:
    return {row[0]: row[1] for row in headline(analysis).rows}


def test_templates_alone_make_an_accuracy_that_left_out_groups_take_back() -> None:
    found = analyze(capture(64, category=0.0, template=5.0, groups=True), **OPTIONS)
    general = found.generalisation
    assert general is not None
    assert general.ignoring_groups.mean > 0.9
    assert general.accuracy.mean < 0.7
    assert general.drop.ci is not None
    assert general.drop.ci[0] > 0
    assert general.p_value is not None
    assert general.p_value > 0.05
    rows = rows_of(found)
    assert f"{100 * general.accuracy.mean:.1f} %" in rows["left-out groups"]
    assert f"{100 * general.ignoring_groups.mean:.1f} %" in rows["groups ignored"]


def test_with_enough_groups_it_is_the_classifier_s_accuracy_and_p() -> None:
    found = analyze(capture(64, template=0.5, groups=True), folds=5, **OPTIONS)
    assert found.generalisation is not None
    assert found.classifier is not None
    assert found.generalisation.groups == 16
    assert found.generalisation.accuracy.mean == found.classifier.accuracy.mean
    assert found.generalisation.p_value == found.classifier.p_value


def test_where_the_classifier_has_too_few_groups_fewer_folds_leave_them_out() -> None:
    signatures = capture(24, template=0.5, groups=True)
    found = analyze(signatures, folds=5, **OPTIONS)
    assert found.classifier is None
    assert found.generalisation is not None
    assert found.generalisation.folds == 3
    again = classify(signatures.vectors(), signatures.prompts.categories, folds=3, groups=signatures.prompts.groups)
    assert found.generalisation.accuracy.mean == again.accuracy
    assert found.generalisation.drop.difference == pytest.approx(
        found.generalisation.ignoring_groups.mean - again.accuracy
    )


def test_without_groups_it_is_null_with_the_reason() -> None:
    found = analyze(capture(), **OPTIONS)
    assert found.generalisation is None
    assert "no groups are declared" in found.notes["generalisation"]
    assert found.document["generalisation"] is None


def test_another_capture_is_tested_on_and_nothing_else_changes() -> None:
    training, test = capture(), capture(30, seed=1, name="q", category=0.7, groups=True)
    plain, found = analyze(training, **OPTIONS), analyze(training, test=test, **OPTIONS)
    assert found.test is not None
    expected = classify_others(
        (training.vectors(), training.prompts.categories),
        (test.vectors(), test.prompts.categories),
        permutations=9,
        groups=test.prompts.groups,
    )
    assert (found.test.accuracy, found.test.balanced.mean) == (expected.accuracy, expected.balanced_accuracy.mean)
    assert found.test.prompts == 30
    assert np.sum(found.test.confusion) == 30
    assert found.test.similarity.difference > 0
    assert (plain.settings.test, found.settings.test) == (None, test.fingerprint)
    differing = {"settings", "test"}
    assert {key: value for key, value in found.document.items() if key not in differing} == {
        key: value for key, value in plain.document.items() if key != "settings"
    }
    assert f"{100 * found.test.accuracy.mean:.1f} %" in rows_of(found)["other prompts"]
    assert completed(found, training, specifications=True).test == found.test


def test_the_same_tokens_and_weighting_are_read_of_both() -> None:
    training, test = capture(), capture(20, seed=1, name="q")
    found = analyze(training, test=test, tokens="generated", weighting="mass", **OPTIONS)
    expected = classify_others(
        (training.vectors("generated", weighting="mass"), training.prompts.categories),
        (test.vectors("generated", weighting="mass"), test.prompts.categories),
        permutations=9,
    )
    assert found.test is not None
    assert found.test.accuracy == expected.accuracy


def test_a_saved_analysis_keeps_its_test(tmp_path: Path) -> None:
    found = analyze(capture(), test=capture(20, seed=1, name="q"), **OPTIONS)
    found.save(tmp_path / "analysis.json")
    assert Analysis.load(tmp_path / "analysis.json").document == found.document


def test_prompts_that_both_hold_are_left_out_of_the_test_and_named() -> None:
    training, other = capture(), capture(20, seed=1, name="q")
    texts = ["p 3 ", *(other.prompts.texts or ())[1:]]
    leaking = with_texts(other, texts)
    found = analyze(training, test=leaking, **OPTIONS)
    assert found.test is not None
    assert found.test.prompts == 19
    assert found.notes["test.prompts"] == "1 are among what is analyzed, and left out: q-0"


def test_without_texts_prompts_of_one_id_are_the_same() -> None:
    training, same_ids = capture(), capture(30, seed=1)
    found = analyze(training, test=with_texts(same_ids, None), **OPTIONS)
    assert found.test is not None
    assert found.test.prompts == 6
    assert analyze(training, test=with_texts(same_ids, [f"q {i}" for i in range(30)]), **OPTIONS).test is not None


def test_templates_that_training_knows_are_noted() -> None:
    found = analyze(capture(64, groups=True), test=with_texts(capture(32, seed=1, groups=True), ["x"] * 32), **OPTIONS)
    assert found.notes["test.groups"].startswith("32 prompts are of groups that are in training, too")


def test_settings_that_differ_are_noted() -> None:
    found = analyze(capture(), test=capture(12, seed=1, name="q", meta={"max_new_tokens": 8}), **OPTIONS)
    assert found.notes["test.settings"].endswith("max_new_tokens 8, not None")


def test_a_test_of_one_category_says_why_it_has_no_p() -> None:
    found = analyze(capture(), test=capture(12, categories="b", seed=1, name="q"), **OPTIONS)
    assert found.test is not None
    assert found.test.p_value is None
    assert "one category" in found.notes["test.p_value"]


@pytest.mark.parametrize(
    ("test", "said"),
    [
        (capture(), "`test` is what is analyzed"),
        (capture(name="q", meta={"model": "other"}), "another model: its model is 'other', not 'made-up'"),
        (capture(name="q", first_layer=2), r"other layers than what is analyzed: \[2, 3\], not \[1, 2\]"),
        (capture(name="q", categories="abc"), "the category 'c', which is not in what is analyzed$"),
        (capture(name="q", categories="cd"), "'c', which is not in what is analyzed; no category is in both"),
        (capture(12), "holds every prompt of `test`"),
    ],
    ids=["same", "model", "layers", "category", "no category", "prompts"],
)
def test_what_does_not_fit_is_refused(test: Signatures, said: str) -> None:
    with pytest.raises(AnalysisError, match=said):
        analyze(capture(), test=test, **OPTIONS)


def test_another_number_of_experts_or_of_selections_is_refused() -> None:
    wider, more = made.signatures(experts=16, seed=1), made.signatures(top_k=3, seed=1)
    for other, said in ((wider, "other experts"), (more, "other k")):
        with pytest.raises(AnalysisError, match=said):
            analyze(made.signatures(), test=other, **OPTIONS)
