"""Load, controls, token identity, phases, segments and specifications in a real browser."""

from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import pytest

from moexray.formats import count, estimate, number, p_text, percent
from moexray.studies.segment_selections import segment_selections
from moexray.views.report.forest import Forest, control_forests, phase_forests
from moexray.views.wording import choice_text

from ... import made
from .conftest import Opened, opened

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# A smooth scroll would still be on its way when a place is clicked.
STILL = {"reduced_motion": "reduce"}


def numbers(row: dict[str, str], names: Sequence[str]) -> list[float | None]:
    return [float(row[name]) if row[name] else None for name in names]


def in_order(opened: Opened) -> list[Any]:
    known = [one for one in opened.analysis.specifications if one.cohens_d is not None]
    return sorted(known, key=lambda one: one.cohens_d)


def test_tables_of_these_sections_are_the_results_cell_by_cell(see: Any, traced: Opened) -> None:
    seen, analysis = see(traced, **STILL), traced.analysis
    cells = [
        (one.layer, expert, selections, selections * len(one.selections) / sum(one.selections))
        for one in analysis.loads
        for expert, selections in enumerate(one.selections)
    ]
    found = [tuple(map(float, row.values())) for row in seen.table("load")]
    assert [row[:3] for row in found] == [cell[:3] for cell in cells]
    assert [row[3] for row in found] == pytest.approx([cell[3] for cell in cells])
    for row, one in zip(seen.table("load", 1), analysis.loads, strict=True):
        names = ("layer", "entropy", "gini", "cv", "max_over_mean", "dead_experts")
        assert numbers(row, names) == [getattr(one, name) for name in names]
    for row, one in zip(seen.table("specifications"), in_order(traced), strict=True):
        assert numbers(row, ("cohens_d", "auc", "p_value")) == [one.cohens_d, one.auc, one.p_value]
        assert [row[name] for name in ("measure", "layers", "phase", "left_out")] == [
            *(one.measure, one.layers, one.phase, one.left_out)
        ]
    identity = analysis.controls.token_identity
    for place, row in enumerate(seen.table("token-identity")):
        gain, d = identity.same_token.by_layer[place], identity.layers[place]
        values = [gain.layer, gain.gain, *gain.null_ci, gain.p_value, gain.p_value_corrected]
        values += [identity.share.by_layer[place], identity.share.high_by_layer[place]]
        assert numbers(row, list(row)) == [*values, d.observed, d.expected, d.residual]
    segments = segment_selections(traced.signatures)
    found = [
        (row["category"], row["segment"], int(row["tokens"]), int(row["selections"])) for row in seen.table("segments")
    ]
    assert found == [
        (category, segment, segments.tokens[c, s], segments.selections[c, s])
        for c, category in enumerate(segments.categories)
        for s, segment in enumerate(segments.segments)
    ]
    for row in seen.table("segments", 1):
        layer = traced.signatures.layers.tolist().index(int(row["layer"]))
        of_layer = segments.loads[segments.segments.index(row["segment"]), layer]
        assert int(row["selections"]) == of_layer[int(row["expert"])]
        assert float(row["share"]) == pytest.approx(of_layer[int(row["expert"])] / of_layer.sum())


@pytest.mark.parametrize("section", ["controls", "phases"])
def test_estimates_are_walked_through_and_saved_as_the_analysis_has_them(
    see: Any, plain: Opened, traced: Opened, section: str
) -> None:
    """Words and length are controls of the one analysis, token identity of the other."""
    one = plain if section == "controls" else traced
    forests = (control_forests if section == "controls" else phase_forests)(one.analysis)
    rows = [(forest, row) for forest in forests for row in forest.rows]
    seen = see(one, **STILL)
    for found, (forest, row) in zip(seen.table(section), rows, strict=True):
        assert (found["key"], found["what"], found["of"]) == (row.key, forest.title, row.name)
        assert numbers(found, ("value", "low", "high", "p_value", "reference")) == [
            *(row.value, *(row.ci or (None, None)), row.p_value, forest.reference)
        ]
    seen.press(f"#{section} svg[role=slider]", "Home")
    for forest, row in rows:
        assert seen.says(section) == said(forest, row)
        seen.page.keyboard.press("ArrowDown")
    chart = seen.page.locator(f"#{section} svg[role=slider]")
    chart.click(position={"x": 20, "y": 5})
    assert seen.says(section) == said(*rows[0])


def said(forest: Forest, row: Any) -> str:
    write: Any = {
        "share": percent,
        "points": lambda value: f"{100 * value:+.1f}",
        "effect": number,
        "similarity": lambda value: number(value, 4),
    }[forest.unit]
    p = "" if row.p_value is None else f", {p_text(row.p_value)}"
    chance = f"; chance {write(forest.reference)}" if forest.reference_name == "chance" else ""
    return f"{forest.title}. {row.name}: {estimate(row.value, row.ci, write=write)}{p}{chance}."


def test_a_cell_of_the_load_sets_layer_and_expert(see: Any, traced: Opened) -> None:
    seen, loads = see(traced, **STILL), traced.analysis.loads
    seen.press("#load .stack", "PageUp", "Home", "ArrowDown", "ArrowRight", "ArrowRight")
    one = loads[1]
    times = one.selections[2] * len(one.selections) / sum(one.selections)
    dead = count(one.dead_experts, "expert") + " never selected" if one.dead_experts else "every expert is selected"
    assert seen.says("load") == (
        f"Layer {one.layer}: its busiest expert has {number(one.max_over_mean)} times the mean; {dead}; "
        f"Gini {number(one.gini, 3)}, entropy {number(one.entropy, 3)} of its maximum. "
        f"Expert 2: {one.selections[2]} selections, {number(times)} times balance."
    )
    seen.wait_for(f"layer={one.layer}&expert=2&")
    canvas = seen.page.locator("#load .stack canvas")
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] - 2, "y": box["height"] - 3})
    assert seen.says("load").startswith(f"Layer {loads[-1].layer}:")
    seen.wait_for(f"layer={loads[-1].layer}&expert={len(loads[-1].selections) - 1}&")
    seen.press("#load svg[role=slider]", "Home", "ArrowRight")
    seen.wait_for("expert=1&")
    bars = seen.page.locator("#load svg[role=slider]")
    bars.click(position={"x": bars.bounding_box()["width"] - 8, "y": 60})
    assert seen.says("load").split(" Expert ")[1].startswith(f"{len(loads[-1].selections) - 1}: ")
    assert bars.locator(".crosses").get_attribute("d").count("M") == loads[-1].selections.count(0)


def test_every_specification_says_what_was_chosen_and_found(see: Any, traced: Opened) -> None:
    seen, known, test = see(traced, **STILL), in_order(traced), traced.analysis.specifications_p
    assert seen.says("specifications").endswith(" This is the headline.")
    d = f": d = {number(traced.analysis.similarity.cohens_d)}, "
    assert f"similarity: shares; layers: concatenated; tokens: all; left out: none{d}" in seen.says("specifications")
    seen.press("#specifications svg[role=slider]", "Home")
    for place, one in enumerate(known[:4]):
        chosen = "; ".join(
            choice_text(choice, getattr(one, choice)) for choice in ("measure", "layers", "phase", "left_out")
        )
        assert seen.says("specifications") == (
            f"{place + 1} of {len(known)} specifications. {chosen}: d = {number(one.cohens_d)}, "
            f"AUC = {number(one.auc, 3)}, {p_text(one.p_value)}, not adjusted."
        )
        seen.page.keyboard.press("ArrowRight")
    together = f"All together: {p_text(test.p_value)}, {test.permutations} permutations of the labels"
    assert together in seen.page.locator("#specifications").inner_text()
    chart = seen.page.locator("#specifications svg[role=slider]")
    assert chart.locator("circle.k1").count() == sum(one.p_value < 0.05 for one in known)
    assert "centred shares" in "".join(ElementTree.fromstring(seen.picture("specifications")).itertext())
    chart.click(position={"x": chart.bounding_box()["width"] - 12, "y": 60})
    assert seen.says("specifications").startswith(f"{len(known)} of {len(known)} ")


def test_bins_of_pairs_are_walked_through_and_saved(see: Any, traced: Opened) -> None:
    seen, similarity, balance = see(traced, **STILL), traced.analysis.similarity, traced.analysis.balance
    found = {
        "within categories": (similarity.histogram.within, similarity.within.mean),
        "across categories": (similarity.histogram.across, similarity.across.mean),
        "same load, at random": (balance.load_matched.histogram, balance.load_matched.mean),
        "balanced routing": (balance.uniform.histogram, balance.uniform.mean),
    }
    rows = seen.table("distributions")
    for name, (pairs, mean) in found.items():
        of = [row for row in rows if row["of"] == name]
        assert [int(row["pairs"]) for row in of] == list(pairs.pairs)
        assert {float(row["mean"]) for row in of} == {mean}
        ends = [pairs.start + i * pairs.width for i in range(len(of) + 1)]
        assert [float(row["low"]) for row in of] == pytest.approx(ends[:-1])
        assert [float(row["high"]) for row in of] == pytest.approx(ends[1:])
    seen.press("#distributions svg[role=slider]", "End")
    seen.page.keyboard.press("ArrowLeft")
    last = seen.says("distributions")
    step = min(pairs.width for pairs, _ in found.values())
    high = max(pairs.start + len(pairs.pairs) * pairs.width for pairs, _ in found.values())
    assert float(last.split()[1].rstrip(":")) == pytest.approx(high - 1.5 * step)
    for name, (pairs, _) in found.items():
        place = int((high - 1.5 * step - pairs.start) // pairs.width)
        held = pairs.pairs[place] if place < len(pairs.pairs) else 0
        assert f"{name} {held:,} of {sum(pairs.pairs):,} pairs" in last
    chart = seen.page.locator("#distributions svg[role=slider]")
    chart.click(position={"x": 152, "y": 60})
    assert seen.says("distributions") != last
    seen.page.keyboard.press("Home")
    assert "within categories 0 of" in seen.says("distributions")


def test_token_identity_and_segments_share_the_selection(see: Any, traced: Opened) -> None:
    seen, identity = see(traced, "#layer=2&expert=1", **STILL), traced.analysis.controls.token_identity
    gain = identity.same_token.by_layer[1]
    low, high = sorted((identity.share.by_layer[1], identity.share.high_by_layer[1]))
    assert seen.says("token-identity") == (
        f"Layer 2: {number(gain.gain, 4)} more of the experts in common within categories; permuted labels give "
        f"{number(gain.null_ci[0], 4)} to {number(gain.null_ci[1], 4)}, {p_text(gain.p_value_corrected)} adjusted for "
        f"3 layers; token identity is {percent(low)} to {percent(high)} of the separation."
    )
    assert "dashed: all layers" in "".join(ElementTree.fromstring(seen.picture("token-identity")).itertext())
    seen.press("#token-identity svg[role=slider]", "End")
    assert seen.says("layers").startswith("Layer 4:")
    chart = seen.page.locator("#token-identity svg[role=slider]")
    chart.click(position={"x": 62, "y": 60})
    seen.wait_for("layer=1&")
    segments = segment_selections(traced.signatures)
    seen.press("#segments svg[role=slider]", "Home", "ArrowDown")
    seen.wait_for("category=kind+1&")
    seen.page.locator("#segments svg[role=slider]").click(position={"x": 60, "y": 20})
    seen.wait_for("category=kind+0&")
    seen.page.get_by_role("button", name="Selections").click()
    shown = ", ".join(
        f"{name} {value} ({percent(value / segments.selections[0].sum())})"
        for name, value in zip(segments.segments, segments.selections[0], strict=True)
    )
    assert seen.says("segments") == f"kind 0: {shown} selections."
    seen.press("#segments .stack", "End", "PageDown")
    seen.wait_for("expert=7&")
    cells = seen.page.locator("#segments .stack canvas")
    cells.click(position={"x": 3, "y": 3})
    shares = segments.loads[:, 0, 0] / segments.loads[:, 0].sum(axis=1)
    last = seen.page.locator("#segments .says").nth(1).inner_text()
    assert last.startswith(f"Expert 0 of layer 1: {100 * shares[0]:.2f} % of the selections of prompt/text")


def test_links_at_the_top_go_to_every_section_and_keep_the_selection(see: Any, traced: Opened) -> None:
    from playwright.sync_api import expect

    seen = see(traced, "#prompt=p3&layer=2&expert=1", **STILL)
    before = seen.page.url
    links = seen.page.locator("nav.contents a")
    targets = [link.get_attribute("href") for link in links.all()]
    headings = seen.page.locator("main > section h2[id]").all()
    assert len(targets) >= 12
    assert {target.removeprefix("#") for target in targets} >= {
        heading.get_attribute("id").removesuffix("-title") for heading in headings if heading.is_visible()
    } - {"room"}
    links.filter(has_text="Token identity").focus()
    seen.page.keyboard.press("Enter")
    expect(seen.page.locator("#token-identity-title")).to_be_in_viewport()
    assert seen.says("layers").startswith("Layer 2:")
    seen.wait_for(before.partition("#")[2])
    seen.page.emulate_media(media="print")
    assert not seen.page.locator("nav.contents").is_visible()


def test_scripts_off_the_tables_and_links_are_there(see: Any, traced: Opened) -> None:
    seen = see(traced, java_script_enabled=False)
    for section in ("load", "token-identity", "specifications"):
        assert seen.page.locator(f"#{section} .drawing").is_visible()
    for section in ("controls", "segments"):
        assert seen.page.locator(f"#{section} table").first.is_visible()
    cells = seen.page.locator("#controls table td").all_inner_texts()
    assert percent(traced.analysis.classifier.accuracy.mean) in cells
    assert seen.page.locator("nav.contents a").first.is_visible()


def test_what_was_selected_nowhere_in_a_layer_is_missing_and_not_zero(see: Any) -> None:
    counts = made.signatures(8, drops=True).counts.copy()
    counts[:, :, 1] = 0  # nothing in the second layer, and of one prompt nothing in the first
    counts[3, :, 0] = 0
    seen = see(opened(made.signatures(counts=counts, tokens=20, drops=True)), "#layer=2&prompt=p1&other=p2", **STILL)
    assert [row["share"] for row in seen.table("categories") if row["layer"] == "2"] == [""] * 16
    assert seen.page.locator("#categories svg.chart line.here").count() == 0
    for section in ("categories", "segments"):
        assert "blank: nothing selected" in " ".join(seen.page.locator(f"#{section} .scale").all_inner_texts())
    assert "blank: a layer without a selection" in seen.page.locator("#prompt .scale").first.inner_text()
    # Shares of one prompt are not known: the other is drawn all the same, and the axis is one of numbers.
    seen.page.evaluate("() => { location.hash = '#layer=1&prompt=p3&other=p2' }")
    seen.says("prompt")
    chart = seen.page.locator("#prompt svg[aria-label^='Expert, with its shares']")
    heights = chart.locator("rect.k2").evaluate_all("all => all.map((one) => Number(one.getAttribute('height')))")
    assert max(heights) > 50
    seen.page.locator("#similarity button:has-text('Layer 1')").click()
    assert "blank: a prompt selected nothing there" in seen.page.locator("#similarity .scale").inner_text()
