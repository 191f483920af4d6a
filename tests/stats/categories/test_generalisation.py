"""Templates alone are told by folds that ignore groups and not by folds that leave them out; categories are by both."""

import numpy as np
import pytest

from moexray.errors import NotComputable
from moexray.stats.categories.classifier import classify
from moexray.stats.categories.generalisation import LeftOutGroups, folds_of_groups, leave_groups_out
from moexray.stats.categories.permuted_classifier import classifier_p_value
from tests.stats.recipes import SimulatedStudy, crossed_contents, nested_templates
from tests.stats.simulations import assert_share, simulated


def left_out(study: SimulatedStudy, repeats: int = 2) -> LeftOutGroups:
    assert study.groups is not None
    folds = folds_of_groups(study.labels, study.groups, most=5)
    return leave_groups_out(study.vectors, study.labels, study.groups, folds=folds, repeats=repeats)


@pytest.mark.slow
@simulated(5, nightly=100)
def test_templates_alone_are_learnt_only_where_folds_ignore_them(seeds: range) -> None:
    """4 categories of 4 templates of 5 prompts: nothing tells a category but which templates it has."""
    found = [left_out(nested_templates(np.random.default_rng(seed), 0.6)) for seed in seeds]
    assert np.mean([one.ignoring_groups.mean for one in found]) > 0.9
    assert np.mean([one.accuracy.mean for one in found]) == pytest.approx(0.25, abs=0.4 / np.sqrt(len(found)))
    assert all(one.drop_ci is not None and one.drop_ci[0] > 0 for one in found)


@pytest.mark.slow
@simulated(5, nightly=100)
def test_a_category_is_told_in_templates_that_were_left_out(seeds: range) -> None:
    found = [left_out(nested_templates(np.random.default_rng(seed), 0.15, category=0.6)) for seed in seeds]
    assert np.mean([one.accuracy.mean for one in found]) > 0.9
    assert np.mean([one.drop for one in found]) < 0.05


@pytest.mark.slow
@simulated(6, nightly=200)
def test_the_drop_is_covered(seeds: range) -> None:
    """The truth is the mean drop over studies of one population, whose groups are drawn anew.

    The interval is wide: both accuracies err together, and what one group gains another loses.
    """
    drops, ends = [], []
    for seed in seeds:
        found = left_out(of_one_population(seed), repeats=5)
        assert found.drop_ci is not None
        drops.append(found.drop)
        ends.append(found.drop_ci)
    low, high = np.array(ends).T
    assert_share((low <= np.mean(drops)) & (np.mean(drops) <= high), 0.93, 1.0)


def of_one_population(seed: int) -> SimulatedStudy:
    """20 groups of 4 prompts around the centres of 4 categories, which are the same in every study."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(20), 4)
    centres = 0.4 * np.random.default_rng(99).normal(size=(4, 30))
    of_group = centres[np.arange(20) % 4] + rng.normal(size=(20, 30))
    shares = np.exp(0.2 * (of_group[groups] + rng.normal(size=(80, 30))))
    return SimulatedStudy(
        shares[:, None], [str(one % 4) for one in groups], [str(one) for one in groups], np.full(80, 9)
    )


def test_left_out_groups_are_the_classifier_s_and_ignored_ones_are_as_if_there_were_none() -> None:
    study = nested_templates(np.random.default_rng(1), 0.3, templates=3, prompts=3)
    found = left_out(study)
    assert found.folds == 3
    assert found.groups == 12
    kept = classify(study.vectors, study.labels, folds=3, groups=study.groups, repeats=2)
    ignored = classify(study.vectors, study.labels, folds=3, repeats=2)
    assert (found.accuracy.mean, found.accuracy.ci) == (kept.accuracy, kept.accuracy_ci)
    assert found.ignoring_groups.mean == ignored.accuracy
    assert found.drop == pytest.approx(ignored.accuracy - kept.accuracy)
    low, high = found.ignoring_groups.ci
    assert high - low > ignored.accuracy_ci[1] - ignored.accuracy_ci[0], "prompts of a group are no independent ones"


def test_contents_that_are_in_every_category_are_left_out_too() -> None:
    study = crossed_contents(np.random.default_rng(0), 0.8, 0.6, contents=6)
    found = left_out(study)
    assert found.folds == 5
    assert found.accuracy.mean > 0.9
    assert classifier_p_value(study.vectors, study.labels, permutations=39, groups=study.groups) == 1 / 40


@pytest.mark.parametrize(
    ("labels", "groups", "reason"),
    [
        ("aabb", None, "no two prompts share a group"),
        ("aabb", ["", "", "", ""], "no two prompts share a group"),
        ("aaaa", ["g", "g", "h", "h"], "one category only"),
        ("aaabb", ["g", "g", "h", "i", "i"], "category 'b' has one group only"),
    ],
)
def test_where_groups_do_not_allow_it_the_reason_is_given(labels: str, groups: list[str] | None, reason: str) -> None:
    with pytest.raises(NotComputable, match=reason):
        folds_of_groups(list(labels), groups, most=5)
