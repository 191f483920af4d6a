"""A section is a function and its result: computed in order, explained where missing, and written by the codec."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from moexray.errors import AnalysisError, NotComputable
from moexray.studies.codec import from_values, to_values
from moexray.studies.cohort import Cohort
from moexray.studies.limits import Limits
from moexray.studies.notes import Notes
from moexray.studies.section import compute_sections, group, section, sections_of

from .. import made


@dataclass(frozen=True)
class Lengths:
    """Mean tokens of a prompt in each category."""

    mean: dict[str, float]
    longest: str | None

    def missing(self) -> Iterator[tuple[str, str]]:
        """Yield what is None."""
        if self.longest is None:
            yield "longest", "all prompts are of one length"


def mean_lengths(cohort: Cohort, notes: Notes) -> Lengths:
    """Average the lengths of the prompts of a sample."""
    some = cohort.sample(cohort.limits.balance_prompts, "lengths")
    notes.sampled(some, cohort)
    found, labels = some.signatures.lengths(some.tokens), np.array(some.labels)
    longest = None if found.min() == found.max() else str(some.signatures.prompts.ids[int(found.argmax())])
    return Lengths({name: float(found[labels == name].mean()) for name in sorted(set(labels.tolist()))}, longest)


def never(_cohort: Cohort, _notes: Notes) -> int:
    """Return nothing."""
    message = "it never is"
    raise NotComputable(message)


@dataclass(frozen=True, kw_only=True)
class Inner:
    """A group of one section."""

    never: int | None = section(never)


@dataclass(frozen=True, kw_only=True)
class Study:
    """Two sections, a group, and one that is computed when it is asked for."""

    name: str
    lengths: Lengths | None = section(mean_lengths)
    inner: Inner = group(Inner)
    again: Lengths | None = section(mean_lengths, key="lengths_again", when_asked=True)


def computed(cohort: Cohort, **options: Any) -> tuple[Study, dict[str, str]]:
    notes = Notes()
    return Study(name="x", **compute_sections(Study, cohort, notes, **options)), notes.found


def test_sections_are_the_fields_that_say_how_they_are_computed() -> None:
    assert [one.key for one in sections_of(Study)] == ["lengths", "inner", "lengths_again"]


def test_a_section_is_computed_and_what_it_misses_is_noted_under_its_name() -> None:
    steps: list[str] = []
    found, notes = computed(Cohort.of(made.signatures(tokens=(4, 4))), announce=steps.append)
    assert found.lengths == Lengths({"a": 8.0, "b": 8.0}, None)
    assert (found.inner.never, found.again) == (None, None)
    assert notes == {"lengths.longest": "all prompts are of one length", "inner.never": "it never is"}
    assert steps == ["lengths", "inner.never"]


def test_what_is_computed_when_asked_for_has_a_key_only_then() -> None:
    cohort = Cohort.of(made.signatures())
    plain, _ = computed(cohort)
    asked, _ = computed(cohort, asked=("lengths_again",))
    assert "lengths_again" not in to_values(plain)
    assert to_values(asked)["lengths_again"] == to_values(asked)["lengths"]
    assert from_values(to_values(asked), Study) == asked


def test_a_sample_is_noted_with_its_size_and_keeps_labels_and_groups_with_their_prompts() -> None:
    signatures = made.signatures(24, groups=[f"g{i}" for i in range(24)])
    cohort = Cohort.of(signatures, limits=Limits(balance_prompts=5))
    _, notes = computed(cohort)
    assert notes["lengths"] == "of 5 of the 24 prompts, drawn at random"
    some = cohort.sample(5, "lengths")
    places = [signatures.prompts.ids.index(name) for name in some.signatures.prompts.ids]
    assert list(some.labels) == [signatures.prompts.categories[i] for i in places]
    assert list(some.fold_options["groups"]) == [signatures.prompts.groups[i] for i in places]
    np.testing.assert_array_equal(some.vectors, signatures.vectors()[places])


def test_a_cohort_does_not_change_by_being_looked_at() -> None:
    """Another sample and other values asked for before leave every value as it is."""
    signatures = made.signatures()
    one, other = Cohort.of(signatures), Cohort.of(signatures)
    one.sample(5, "a").sample(3, "b")
    assert one.layer_effects[0].cohens_d == other.layer_effects[0].cohens_d
    assert one.rng("x").integers(1000) == other.rng("x").integers(1000)


@pytest.mark.parametrize("option", [{"permutations": 0}, {"folds": 1}, {"seed": -1}])
def test_an_option_out_of_range_is_named_as_the_parameter_that_it_is(option: dict[str, int]) -> None:
    (name,) = option
    with pytest.raises(AnalysisError, match=f"`{name}` is {option[name]}: it must be at least"):
        Cohort.of(made.signatures(), **option)  # type: ignore[arg-type]
