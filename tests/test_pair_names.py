"""The name of a pair of categories: short for ordinary names, and never that of another pair."""

from itertools import chain, combinations, product

from moexray.pair_names import pair_name


def test_ordinary_names_are_joined_in_the_order_of_the_alphabet() -> None:
    assert pair_name("story", "code") == pair_name("code", "story") == "code|story"
    assert pair_name(r"C:\b", "a b") == r"C:\b|a b"


def test_no_two_pairs_share_a_name_whatever_bars_and_backslashes_the_names_hold() -> None:
    names = ["".join(letters) for letters in chain(*(product("a|\\", repeat=length) for length in range(6)))]
    found = [pair_name(*pair) for pair in combinations(names, 2)]
    assert len(set(found)) == len(found)
