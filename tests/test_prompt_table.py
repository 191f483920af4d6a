"""A prompt table keeps its columns together whatever is done with its rows."""

import pytest

from moexray.errors import SignaturesError
from moexray.prompt_table import PromptTable

TABLE = PromptTable(
    ids=("p0", "p1", "p2"),
    categories=("a", "b", "a"),
    texts=("first", "second", "third"),
    columns={"difficulty": ("1", "2", "3")},
)


def test_rows_are_taken_with_every_column() -> None:
    assert TABLE.take([2, 0]) == PromptTable(
        ids=("p2", "p0"), categories=("a", "a"), texts=("third", "first"), columns={"difficulty": ("3", "1")}
    )


def test_tables_that_are_joined_give_back_the_whole() -> None:
    assert PromptTable.concat([TABLE.take([0]), TABLE.take([1, 2])]) == TABLE


def test_a_prompt_of_a_table_without_groups_has_none() -> None:
    grouped = PromptTable(ids=("q",), categories=("a",), groups=("g",))
    joined = PromptTable.concat([TABLE, grouped])
    assert joined.groups == ("", "", "", "g")
    assert joined.texts is None
    assert not joined.columns


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"categories": ("a",)}, "categories do not fit 3 prompts: there are 1"),
        ({"ids": ("p0", "p1", "p0")}, "two prompts have the id 'p0'"),
        ({"columns": {"difficulty": ("1",)}}, "difficulty do not fit 3 prompts"),
        ({"columns": {"ids": ("q0", "q1", "q2")}}, "a further column cannot be called ids"),
    ],
)
def test_columns_that_do_not_fit_are_refused(columns: dict[str, object], problem: str) -> None:
    whole = {"ids": TABLE.ids, "categories": TABLE.categories}
    with pytest.raises(SignaturesError, match=problem):
        PromptTable(**{**whole, **columns})  # type: ignore[arg-type]
