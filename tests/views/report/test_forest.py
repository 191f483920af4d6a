"""Estimates side by side are those of the analysis, each where its key says."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from moexray.formats import percent
from moexray.studies.segment_selections import segment_selections
from moexray.views.report.forest import Forest, control_forests, forest_table, phase_forests
from moexray.views.report.still import TABLES

from ... import made
from .conftest import Opened


@pytest.fixture(params=["plain", "traced"])
def one(request: pytest.FixtureRequest) -> Opened:
    found: Opened = request.getfixturevalue(request.param)
    return found


def at(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values[part]
    return values


def test_every_estimate_stands_in_the_analysis_under_its_key(one: Opened) -> None:
    values = json.loads(one.analysis.to_json())
    rows = [row for forest in (*control_forests(one.analysis), *phase_forests(one.analysis)) for row in forest.rows]
    assert len({row.key for row in rows}) == len(rows) > 10
    for row in rows:
        assert row.value == at(values, row.key)
        holder, _, last = row.key.rpartition(".")
        around = at(values, holder)
        ends = around.get(f"{last}_ci", around.get("ci")) if last not in ("same_category", "other_categories") else None
        assert (None if row.ci is None else list(row.ci)) == ends, row.key


def test_intervals_and_p_values_are_not_left_out(plain: Opened, traced: Opened) -> None:
    classifier, partial = plain.analysis.classifier, plain.analysis.controls.partial
    accuracy, _, similarity = control_forests(plain.analysis)
    assert (accuracy.reference, accuracy.rows[0].p_value) == (classifier.chance, classifier.p_value)
    assert [row.name for row in accuracy.rows] == ["signatures", "words", "characters", "length"]
    assert all(row.ci is not None for row in accuracy.rows)
    assert [row.p_value for row in similarity.rows] == [None, partial.p_value]
    identity = traced.analysis.controls.token_identity
    rows = {row.key: row for forest in control_forests(traced.analysis) for row in forest.rows}
    residual = rows["controls.token_identity.residual.cohens_d"]
    assert (residual.ci, residual.p_value) == (identity.residual.cohens_d_ci, identity.residual.p_value)
    assert rows["controls.token_identity.share.high"].ci == identity.share.high_ci
    between = phase_forests(traced.analysis)[-1].rows[0]
    phases = traced.analysis.phases
    assert (between.value, between.ci, between.p_value) == (phases.own.mean, phases.own.ci, phases.p_value)


def test_what_estimates_are_compared_with_and_of_which_tokens_is_said(plain: Opened, traced: Opened) -> None:
    chance = plain.analysis.classifier.chance
    assert [(one.unit, one.reference, one.reference_name) for one in control_forests(plain.analysis)] == [
        ("share", chance, "chance"), ("points", 0.0, "no gain"), ("similarity", 0.0, "no effect"),
    ]  # fmt: skip
    covered = percent(traced.analysis.controls.token_identity.covered)
    titles = [one.title for one in control_forests(traced.analysis)]
    assert f"Effect size (Cohen's d) by token ids, of the {covered} of tokens that occur elsewhere" in titles


def test_what_was_not_computed_has_no_row_and_a_panel_of_nothing_is_left_out(traced: Opened) -> None:
    found = traced.analysis.phases
    without = replace(
        found,
        prompt=replace(found.prompt, cohens_d=None, accuracy=None),
        generated=replace(found.generated, accuracy=None),
    )
    effects, within, between = phase_forests(replace(traced.analysis, phases=without))
    assert [row.key for row in effects.rows] == ["phases.generated.cohens_d", "phases.difference.cohens_d"]
    assert (within.unit, between.unit) == ("similarity", "similarity")


def test_a_still_table_has_the_estimates_and_chance(plain: Opened) -> None:
    forest: Forest = control_forests(plain.analysis)[0]
    table = forest_table(forest)
    assert table.title.endswith(f"(chance: {percent(plain.analysis.classifier.chance)})")
    assert [row[:2] for row in table.rows] == [(row.name, percent(row.value)) for row in forest.rows]


def test_segments_add_up_to_what_was_recorded() -> None:
    signatures = made.signatures(6, categories=("b", "a"))
    found = segment_selections(signatures)
    assert (found.categories, found.segments) == (("a", "b"), ("prompt", "generated"))
    np.testing.assert_array_equal(
        found.tokens, [signatures.tokens[1::2].sum(axis=0), signatures.tokens[::2].sum(axis=0)]
    )
    np.testing.assert_array_equal(found.loads, signatures.counts.sum(axis=0))
    np.testing.assert_array_equal(found.selections.sum(axis=0), signatures.counts.sum(axis=(0, 2, 3)))
    table, _ = TABLES["segments"](None, found)
    assert table.rows[0][0] == "a"
    shares = found.tokens[0] / found.tokens[0].sum()
    assert list(table.rows[0][1:]) == [
        f"{value} ({percent(share)})" for value, share in zip(found.tokens[0], shares, strict=True)
    ]


def test_a_segment_without_a_token_is_left_out() -> None:
    signatures = made.signatures(6, tokens=[3, 0])
    assert segment_selections(signatures).segments == ("prompt",)
