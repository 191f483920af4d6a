"""JSON of results: the same values both ways, and one sentence for what is no result."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain, combinations, product

import numpy as np
import pytest
from numpy.typing import NDArray

from moexray.studies.codec import Pair, from_values, optional, pair_name, pair_of, to_values


@dataclass(frozen=True)
class Inner:
    """An interval and a number."""

    ci: tuple[float, float] | None
    count: int


@dataclass(frozen=True, eq=False)
class Outer:
    """One field of each kind."""

    name: str
    inner: Inner | None
    rows: tuple[Inner, ...]
    by_pair: Mapping[Pair, float]
    array: NDArray[np.float64]
    all_of_it: bool = field(metadata={"key": "all"})
    more: int | None = optional()
    beside: float | None = optional(beside="more")


MADE = Outer("x", None, (Inner((0.5, 1.0), 2), Inner(None, 3)), {("a", "b|c"): 1.5}, np.array([1.0, 2.5]), True)
VALUES = {
    "name": "x",
    "inner": None,
    "rows": [{"ci": [0.5, 1.0], "count": 2}, {"ci": None, "count": 3}],
    "by_pair": {r"a|b\|c": 1.5},
    "array": [1.0, 2.5],
    "all": True,
}


def test_fields_are_keys_in_their_order_and_optional_ones_only_where_they_are_there() -> None:
    assert to_values(MADE) == VALUES
    assert list(to_values(MADE)) == list(VALUES)
    with_more = Outer("x", None, (), {}, np.zeros(0), False, more=1)
    assert to_values(with_more) | VALUES == {**VALUES, "more": 1, "beside": None}


def test_values_make_the_same_result_and_keys_of_a_newer_version_are_passed_over() -> None:
    made = from_values({**VALUES, "newer": 1}, Outer)
    assert to_values(made) == VALUES
    assert (made.rows, made.by_pair, made.more) == (MADE.rows, MADE.by_pair, None)
    assert isinstance(made.array, np.ndarray)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": 1}, "1 is not a text at name"),
        ({"rows": {}}, "{} is not a list at rows"),
        ({"rows": [[1]]}, r"\[1\] is not an object at rows"),
        ({"rows": [{"ci": [1.0], "count": 1}]}, "1 values stand where 2 belong at rows.ci"),
        ({"rows": [{"ci": None, "count": 1.5}]}, "1.5 is not a whole number at rows.count"),
        ({"inner": {"ci": ["a", 1], "count": True}}, "'a' is not a number at inner.ci"),
        ({"inner": {"ci": None}}, "'count' is missing at inner"),
        ({"by_pair": {"a": 1.0}}, "'a' is not the name of a pair"),
        ({"all": "true"}, "'true' is not true or false"),
    ],
)
def test_a_missing_key_and_a_value_of_another_type_are_named(change: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        from_values({**VALUES, **change}, Outer)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_values(Inner((number, 1.0), 1))


def test_ordinary_names_are_joined_in_the_order_of_the_alphabet() -> None:
    assert pair_name("story", "code") == pair_name("code", "story") == "code|story"
    assert pair_name(r"C:\b", "a b") == r"C:\b|a b"


def test_no_two_pairs_share_a_name_and_each_name_gives_its_pair_back() -> None:
    """Whatever bars and backslashes the names hold."""
    names = ["".join(letters) for letters in chain(*(product("a|\\", repeat=length) for length in range(6)))]
    pairs = [tuple(sorted(pair)) for pair in combinations(names, 2)]
    found = [pair_name(*pair) for pair in pairs]
    assert len(set(found)) == len(found)
    assert [pair_of(name) for name in found] == pairs
