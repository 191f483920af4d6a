"""Units: which prompts stand together, and which exchanges of labels a permutation test may make."""

from itertools import permutations

import numpy as np
import pytest

from moexray.errors import NotComputable
from moexray.stats.inference.units import Units, units_of

NESTED = units_of(["a", "a", "b", "b", "b"], ["s", "s", "t", "u", "u"])
CROSSED = units_of(["a", "b", "c", "a", "b", "c", "a", "a"], ["x", "x", "x", "y", "y", "y", "", ""])


def all_labelings(units: Units) -> np.ndarray:  # (labelings, parts)
    return np.concatenate(list(units.labelings(2000, 0)))


def test_prompts_without_groups_are_units_whose_labels_are_permuted_over_prompts() -> None:
    units = units_of(["b", "a", "b"])
    assert (units.design, len(units), units.pairs_left_out) == ("independent", 3, 0)
    assert units.part_categories.tolist() == [1, 0, 1]
    assert {tuple(row) for row in all_labelings(units)} == {(1, 0, 1), (0, 1, 1), (1, 1, 0)}


def test_prompts_of_a_group_keep_one_label_together() -> None:
    assert (NESTED.design, len(NESTED), NESTED.pairs_left_out) == ("nested", 3, 2)
    assert {tuple(row) for row in all_labelings(NESTED)} == set(permutations((0, 1, 1)))


def test_labels_of_a_group_of_several_categories_are_exchanged_inside_it() -> None:
    assert CROSSED.design == "crossed"
    labelings = all_labelings(CROSSED)
    for unit in (0, 1):
        inside = labelings[:, CROSSED.part_units == unit]
        assert {tuple(row) for row in inside} == set(permutations((0, 1, 2)))
    assert (labelings[:, 6:] == 0).all()  # the two prompts without a group have one category


def test_every_exchange_is_equally_likely() -> None:
    labelings = np.concatenate(list(units_of(["a", "b", "c"], ["x", "x", "x"]).labelings(60_000, 1)))
    _, counts = np.unique(labelings, axis=0, return_counts=True)
    assert np.abs(counts / 60_000 - 1 / 6).max() < 4 * np.sqrt(5 / 36 / 60_000)


@pytest.mark.parametrize("units", [NESTED, CROSSED, units_of(list("aabbb"))])
def test_pairs_are_of_prompts_of_two_units(units: Units) -> None:
    pairs = [(p, q) for p in range(len(units.units)) for q in range(p)]
    apart = [(p, q) for p, q in pairs if units.units[p] != units.units[q]]
    within = sum(units.categories[p] == units.categories[q] for p, q in apart)
    assert units.pairs_left_out == len(pairs) - len(apart)
    assert (units.pairs_within, units.pairs_across) == (within, len(apart) - within)


@pytest.mark.parametrize(
    ("labels", "groups", "least"),
    [
        ("aabb", None, 1 / 3),  # of the 6 labelings 2 split the prompts in this way
        ("aabbb", None, 1 / 10),
        ("aaabbb", "sstuuv", 1 / 3),  # four units, two of each category: as the first
        ("abab", "xxyy", 1 / 2),
        ("abcabc", "xxxyyy", 1 / 6),
        ("abababab", "wwxxyyzz", 1 / 8),
    ],
)
def test_least_p_is_the_share_of_labelings_that_split_the_units_as_they_are(
    labels: str, groups: str | None, least: float
) -> None:
    units = units_of(list(labels), None if groups is None else list(groups))
    assert units.least_p == pytest.approx(least)
    labelings = all_labelings(units)
    same = labelings[:, :, None] == labelings[:, None, :]
    own = units.part_categories[:, None] == units.part_categories[None]
    assert np.mean((same == own).all(axis=(1, 2))) == pytest.approx(least, abs=0.05)


def test_strata_are_the_categories_of_nested_units_and_one_more_for_crossed_ones() -> None:
    assert NESTED.strata.tolist() == [0, 1, 1]
    assert CROSSED.strata.tolist() == [3, 3, 0, 0]


def test_some_of_the_prompts_keep_the_numbers_of_their_categories() -> None:
    some = CROSSED.take(np.array([1, 2, 5, 6]))
    assert (some.names, some.categories.tolist()) == (CROSSED.names, [1, 2, 2, 0])
    assert (len(some), some.design) == (3, "crossed")


def test_sums_add_the_prompts_of_each_part() -> None:
    assert NESTED.sums(np.arange(10.0).reshape(5, 2)).tolist() == [[2, 4], [4, 5], [14, 16]]


@pytest.mark.parametrize(
    ("labels", "groups", "reason"),
    [
        ("aa", None, "one category only"),
        ("ab", None, "no two prompts share a category"),
        ("aabb", "xxyy", "no two prompts of different groups share a category"),
    ],
)
def test_designs_without_pairs_say_so(labels: str, groups: str | None, reason: str) -> None:
    with pytest.raises(NotComputable, match=reason):
        units_of(list(labels), None if groups is None else list(groups)).check_pairs()
