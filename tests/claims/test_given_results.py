"""Claims about batches, caches, placements and ablations are checked against the results of those commands."""

import json
from pathlib import Path
from typing import Any

import pytest

import moexray as mx
from moexray.claims.check import check_claims
from moexray.claims.claim import Study, Verdict
from moexray.claims.given_results import GIVEN, read_given, value_at
from moexray.claims.report import CheckedClaim
from moexray.claims.study_file import parse_study, shipped_names, shipped_study
from moexray.errors import AnalysisError, NotComputable
from moexray.studies.analysis import Analysis, analyze
from moexray.studies.batch_report import Batching
from moexray.studies.batching import study_batches
from moexray.studies.caching import study_caches
from moexray.studies.coverage import study_coverage
from moexray.studies.coverage_report import Coverage
from moexray.studies.results import Result

from ..made import signatures as made_signatures

EXAMPLE = mx.example()


@pytest.fixture(scope="module")
def batches() -> Batching:
    return study_batches(EXAMPLE.trace, sizes=(1, 4))


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return analyze(EXAMPLE.signatures.take(range(0, 80, 4)), permutations=9)


def study(kind: str = "measured", **claim: Any) -> Study:
    """Return a study of one claim about the mean number of experts that four prompts read."""
    values = {"result": "batch", "place": "layers.layer=0.top_k", "value": 8.0, **claim.pop("values", {})}
    if kind == "measured_below":
        values = {"bound": values.pop("value"), **values}
    table = ", ".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
    lines = [f"{key} = {value}" for key, value in claim.items()]
    return parse_study(
        "\n".join(
            [
                '[study]\ntitle = "t"\nsource = "s"\n[study.settings]\nmodel = "scale"\n[[claims]]\nid = "1"',
                f'name = "n"\ntext = "t"\nkind = "{kind}"\npublished = "8"\nvalues = {{ {table} }}',
                *lines,
            ]
        ),
        where="here",
    )


def checked(about: Study, analysis: Analysis, **results: Result) -> CheckedClaim:
    some = EXAMPLE.signatures.take(range(0, 80, 4))
    (claim,) = check_claims(some, analysis, about, results=results).claims
    return claim


def test_a_value_is_found_by_the_keys_of_the_json(batches: Batching) -> None:
    assert value_at(batches, "layers.layer=3.top_k") == (8.0, None)
    document = batches.document
    assert value_at(batches, "grouping.random") == (
        document["grouping"]["random"]["experts"],
        tuple(document["grouping"]["random"]["ci"]),
    )


def test_an_object_stands_for_its_estimate_with_its_interval_alone(batches: Batching) -> None:
    """An object without an interval has no one estimate: a layer is not its number of experts."""
    own = batches.document["prefill_decode"]["own"]
    for name in ("prefill_decode.own", "prefill_decode.own.r"):
        assert value_at(batches, name) == (own["r"], tuple(own["ci"]))
    with pytest.raises(NotComputable, match="no number at layers"):
        value_at(batches, "layers.layer=3")


def test_a_number_beside_lists_of_intervals_has_none_of_them() -> None:
    """A layer of caches has intervals by policy and capacity, none of which is of its number of experts."""
    caches = study_caches(EXAMPLE.trace, capacities=[8])
    assert value_at(caches, "layers.layer=3.experts") == (64.0, None)
    with pytest.raises(NotComputable, match="no number at layers"):
        value_at(caches, "layers.layer=3")
    reuse = caches.layers[3]
    assert value_at(caches, "layers.layer=3.reuse") == (reuse.reuse, reuse.reuse_ci)


@pytest.mark.parametrize("place", ["nothing", "layers.layer=99.top_k", "layers.top_k", "model", "layers", "bytes.x.y"])
def test_what_is_no_number_is_not_guessed(batches: Batching, place: str) -> None:
    with pytest.raises(NotComputable):
        value_at(batches, place)


def test_a_value_without_an_interval_is_said_to_have_none(analysis: Analysis, batches: Batching) -> None:
    """The analysis has no such value, and is not what the claim is about."""
    claim = checked(study(margin=0.1), analysis, batch=batches)
    assert claim.verdict is Verdict.inconclusive
    assert claim.reason == "no interval of the difference: the value has no interval; no direction is claimed"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"result": "bath"}, "there is no result 'bath' that claims can be about: there are ablate, batch, cache"),
        ({"with": "device=4"}, "the claim is of 'device', and the result has no such setting"),
    ],
)
def test_a_claim_that_is_written_wrong_says_so(
    analysis: Analysis, batches: Batching, values: dict[str, str], reason: str
) -> None:
    claim = checked(study(values=values), analysis, batch=batches)
    assert claim.verdict is Verdict.not_applicable
    assert reason in claim.reason


def test_a_claim_without_its_result_names_the_command_that_makes_it(analysis: Analysis) -> None:
    claim = checked(study(), analysis)
    assert claim.verdict is Verdict.not_applicable
    assert "moexray batch --json" in claim.reason


def test_a_value_is_judged_by_its_interval_and_that_of_the_published_value(
    analysis: Analysis, batches: Batching
) -> None:
    value = batches.document["grouping"]["random"]["experts"]
    place = {"place": "grouping.random"}
    error = '{ se = 0.1, source = "its table" }'
    same = checked(study(values={**place, "value": value}, margin=9.0, error=error), analysis, batch=batches)
    other = checked(study(values={**place, "value": 3 * value}, margin=0.5, error=error), analysis, batch=batches)
    unknown = checked(study(values={**place, "value": value}, margin=0.5), analysis, batch=batches)
    assert [one.verdict for one in (same, other, unknown)] == ["consistent", "different", "inconclusive"]


def test_a_bound_holds_where_the_interval_lies_below_it(analysis: Analysis, batches: Batching) -> None:
    value, (low, high) = (batches.document["grouping"]["random"][key] for key in ("experts", "ci"))
    verdicts = [
        checked(
            study("measured_below", values={"place": "grouping.random", "value": bound}), analysis, batch=batches
        ).verdict
        for bound in (high + 0.1, value, low - 0.1)
    ]
    assert verdicts == ["consistent", "inconclusive", "different"]


def test_a_claim_of_another_setting_does_not_apply(analysis: Analysis, batches: Batching) -> None:
    claim = checked(study(values={"with": "steps=7"}), analysis, batch=batches)
    assert claim.verdict is Verdict.not_applicable
    assert "steps 7" in claim.reason


def test_results_are_read_by_what_they_hold(batches: Batching, tmp_path: Path) -> None:
    batches.save(tmp_path / "any.json")
    study_coverage(EXAMPLE.signatures).save(tmp_path / "other.json")
    found = read_given([tmp_path / "any.json", tmp_path / "other.json"], EXAMPLE.signatures)
    assert {command: type(result) for command, result in found.items()} == {"batch": Batching, "coverage": Coverage}


def test_a_result_of_other_signatures_is_refused(batches: Batching, tmp_path: Path) -> None:
    batches.save(tmp_path / "batch.json")
    with pytest.raises(AnalysisError, match="of other signatures"):
        read_given([tmp_path / "batch.json"], made_signatures())


def test_two_results_of_one_command_and_files_of_none_are_refused(batches: Batching, tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        batches.save(tmp_path / name)
    with pytest.raises(AnalysisError, match="a second result of `moexray batch`"):
        read_given([tmp_path / "a.json", tmp_path / "b.json"], EXAMPLE.signatures)
    (tmp_path / "c.json").write_text("[1]")
    with pytest.raises(AnalysisError, match="not a result that claims can be about"):
        read_given([tmp_path / "c.json"], EXAMPLE.signatures)
    with pytest.raises(AnalysisError, match="could not be read"):
        read_given([tmp_path / "none.json"], EXAMPLE.signatures)


def test_every_shipped_table_is_one_and_every_claim_about_a_result_names_a_command() -> None:
    assert shipped_names() == ["arxiv_2603_11114", "olmoe_workloads"]
    for claim in shipped_study("olmoe_workloads").claims:
        assert claim.values["result"] in {*GIVEN, "ablate"}
        assert claim.needs == ("model",)
