"""What each choice does to the headline, summed up."""

from moexray.stats.categories.alternatives import Specification
from moexray.studies.analysis import analyze
from moexray.studies.completion import completed
from moexray.studies.sections.alternatives import by_choice

from .. import made


def test_each_choice_is_summed_up_over_all_that_made_it() -> None:
    found = [
        Specification("shares", "concatenated", "all", "none", 0.5, 0.6, 0.01),
        Specification("shares", "averaged", "all", "none", 0.9, 0.7, 0.2),
        Specification("square roots", "concatenated", "prompt", "none", None, None, None),
    ]
    rows = {(row.choice, row.value): row for row in by_choice(found)}
    shares = rows["measure", "shares"]
    assert (shares.specifications, shares.least, shares.median, shares.greatest) == (2, 0.5, 0.7, 0.9)
    assert shares.significant == 1
    assert rows["phase", "prompt"].median is None
    assert rows["left_out", "none"].specifications == 3


def test_an_analysis_holds_them_only_where_they_were_asked_for() -> None:
    signatures = made.signatures(12, layers=(0, 1), experts=4, effect=0, tokens=(8, 8))
    assert "specifications" not in analyze(signatures, permutations=9).document
    found = analyze(signatures, permutations=9, specifications=True).specifications
    assert {one.phase for one in found} == {"prompt", "generated", "all"}
    assert len(found) == 3 * 8  # with one of two categories left out, nothing remains to compare


def test_the_test_of_all_together_is_null_with_its_reason_until_specifications_are_asked_for() -> None:
    signatures = made.signatures(12, layers=(0, 1), experts=4, effect=2, tokens=(8, 8))
    plain, asked = (analyze(signatures, permutations=99, specifications=wanted) for wanted in (False, True))
    assert plain.document["specifications_p"] is None
    assert "--specifications" in plain.notes["specifications_p"]
    assert asked.specifications_p.specifications == len(asked.specifications)
    assert asked.specifications_p.p_value < 0.05
    assert "specifications_p" not in asked.notes
    assert completed(plain, signatures, specifications=True).to_json() == asked.to_json()
