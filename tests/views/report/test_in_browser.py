"""A report in a real browser: what it shows, by mouse and by keyboard, and what it never does."""

import io
import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from moexray.formats import estimate, number, p_text, percent, visible
from moexray.studies.category_selections import category_selections
from moexray.studies.similarity_matrix import similarity_matrix

from .browsing import AXE, SERIOUS, missing
from .conftest import HOSTILE, Opened

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# The lightest pixel of every matrix whose colours are those of the page.
LIGHTEST = """() => [...document.querySelectorAll("#prompt .stack canvas, #categories .stack canvas")].map((one) => {
  const { data } = one.getContext("2d").getImageData(0, 0, one.width, one.height);
  let most = 0;
  for (let i = 0; i < data.length; i += 4) most = Math.max(most, Math.min(data[i], data[i + 1], data[i + 2]));
  return most;
})"""


def test_every_layer_says_its_numbers_whichever_way_it_is_chosen(see: Any, plain: Opened) -> None:
    seen = see(plain)
    seen.press("#layers svg[role=slider]", "Home")
    chance = percent(plain.analysis.classifier.chance)
    for one in plain.analysis.layers:
        d = estimate(one.cohens_d, one.cohens_d_ci)
        accuracy = estimate(one.accuracy, one.accuracy_ci, write=percent)
        assert seen.says("layers") == (
            f"Layer {one.layer}: d = {d}, {p_text(one.p_value_corrected)} adjusted for 4 layers; "
            f"accuracy {accuracy}, chance {chance}."
        )
        seen.page.keyboard.press("ArrowRight")
    assert "layer=9" in seen.page.url
    seen.page.locator("#choice-layer").fill("0")
    assert seen.says("layers").startswith("Layer 1:")
    chart = seen.page.locator("#layers svg[role=slider]")
    chart.click(position={"x": chart.bounding_box()["width"] - 20, "y": 60})
    assert seen.says("layers").startswith("Layer 9:")


def test_tables_of_the_views_are_the_results_cell_by_cell(see: Any, plain: Opened) -> None:
    seen = see(plain)
    analysis, signatures = plain.analysis, plain.signatures
    for row, one in zip(seen.table("layers"), analysis.layers, strict=True):
        for name in ("layer", "within", "across", "cohens_d", "accuracy", "p_value", "p_value_corrected"):
            assert float(row[name]) == getattr(one, name)
        assert (float(row["cohens_d_low"]), float(row["cohens_d_high"])) == one.cohens_d_ci
    matrix, place = similarity_matrix(signatures).matrix, signatures.prompts.place_of()
    pairs = seen.table("similarity")
    assert len(pairs) == 30 * 29 / 2
    for row in pairs:
        expected = matrix[place[row["prompt"]], place[row["other"]]]
        assert float(row["similarity"]) == pytest.approx(expected, abs=1e-12)
    for row, point in zip(seen.table("map"), analysis.pca.coordinates, strict=True):
        assert (float(row["component_1"]), float(row["component_2"])) == point
    found = category_selections(signatures)
    layers = signatures.layers.tolist()
    rows = seen.table("categories")
    assert len(rows) == 3 * int(signatures.experts.sum())
    for row in rows:
        of_layer = found.selections[found.categories.index(row["category"]), layers.index(int(row["layer"]))]
        assert int(row["selections"]) == of_layer[int(row["expert"])]
        assert float(row["share"]) == pytest.approx(of_layer[int(row["expert"])] / of_layer.sum())
    chosen = seen.table("prompt")
    assert [int(row["selections"]) for row in chosen] == [
        int(count)
        for layer, size in zip(signatures.loads()[0], signatures.experts, strict=True)
        for count in layer[:size]
    ]
    coverage = seen.table("prompt", 1)
    assert [int(row["reached"]) for row in coverage] == (signatures.loads()[0] > 0).sum(axis=1).tolist()


def test_arrows_walk_through_the_matrix_and_the_pair_is_shown_with_its_texts(see: Any, plain: Opened) -> None:
    seen = see(plain)
    order = np.argsort(np.array(plain.signatures.prompts.categories, dtype=object), kind="stable")
    matrix, ids = similarity_matrix(plain.signatures).matrix, plain.signatures.prompts.ids
    seen.press("#similarity .stack", "Home", "PageUp", "ArrowDown", "ArrowRight", "ArrowRight")
    first, second = order[1], order[2]
    assert seen.says("similarity") == (
        f"{ids[first]} and {ids[second]}: cosine similarity {number(matrix[first, second], 4)} (all layers)."
    )
    texts = seen.page.locator("#similarity .pair .text:not(.written)").all_inner_texts()
    assert texts == [plain.signatures.prompts.texts[first], plain.signatures.prompts.texts[second]]
    seen.page.get_by_role("button", name=re.compile("^Layer ")).click()
    layer = int(re.search(r"layer=(\d+)", seen.page.url)[1])
    alone = plain.signatures.loads()[:, plain.signatures.layers.tolist().index(layer)].astype(float)
    units = alone / np.linalg.norm(alone, axis=1, keepdims=True)
    assert f"{number(float(units[first] @ units[second]), 4)} (layer {layer})" in seen.says("similarity")
    canvas = seen.page.locator("#similarity .stack canvas")
    canvas.click(position={"x": canvas.bounding_box()["width"] - 2, "y": 2}, force=True)
    corner = re.compile(rf"^{ids[order[0]]} and {ids[order[-1]]}:")
    seen.page.locator("#similarity .says").filter(has_text=corner).first.wait_for()


def test_a_browser_that_refuses_to_change_the_address_often_gets_it_later(see: Any, plain: Opened) -> None:
    """Firefox and Safari raise an error after some hundred changes within seconds, as a slider makes."""
    seen = see(plain, "#layer=5")
    seen.page.evaluate("""() => {
      const real = history.replaceState.bind(history);
      let refused = 0;
      history.replaceState = (...given) => {
        if (refused++ < 1) throw new DOMException("", "SecurityError");
        real(...given);
      };
    }""")
    seen.page.locator("#choice-layer").fill("0")
    assert seen.says("layers").startswith("Layer 1:")
    assert "layer=5" in seen.page.url
    seen.page.wait_for_url(re.compile("layer=1(&|$)"), timeout=30_000)
    assert seen.said == []


def test_the_selection_is_shared_and_comes_back_with_the_address(see: Any, plain: Opened) -> None:
    seen = see(plain, "#prompt=p7&layer=5&expert=3&category=math&other=p2")
    for _ in range(2):
        assert seen.says("layers").startswith("Layer 5:")
        assert seen.says("similarity").startswith("p7 and p2:")
        assert seen.says("map").startswith("p7, code:")
        assert seen.says("categories").startswith("math, expert 3 of layer 5:")
        assert "p7" in seen.page.locator("#prompt h3").first.inner_text()
        seen.page.reload()
        seen.page.locator("html.alive").wait_for()
    seen.page.get_by_role("button", name="Next prompt").click()
    assert "prompt=p8" in seen.page.url
    assert seen.says("map").startswith("p8, ")
    seen.press("#map svg[role=application]", "Home")
    assert "prompt=p0&" in seen.page.url
    seen.press("#categories .stack", "ArrowLeft", "ArrowUp")
    assert seen.says("categories").startswith("code, expert 2 of layer 5:")
    seen.page.locator("#choice-expert").fill("99")  # there is none: nothing changes
    assert "expert=2" in seen.page.url


def test_prompts_are_found_by_their_texts(see: Any, plain: Opened) -> None:
    seen = see(plain)
    seen.page.locator("#choice-search").fill("NUMBER 1")
    seen.page.keyboard.press("Enter")
    seen.wait_for("prompt=p1&")
    assert seen.page.locator("#choice [role=status]").inner_text() == "1 of 11"
    seen.page.keyboard.press("Enter")
    seen.wait_for("prompt=p10&")
    seen.page.keyboard.press("Shift+Enter")
    seen.wait_for("prompt=p1&")


def test_keys_are_listed(see: Any, plain: Opened) -> None:
    seen = see(plain)
    seen.page.keyboard.press("?")
    assert seen.page.locator("dialog").is_visible()
    seen.page.keyboard.press("Escape")
    assert not seen.page.locator("dialog").is_visible()


def test_tokens_are_those_of_the_trace_and_the_generation_is_played(see: Any, traced: Opened) -> None:
    seen = see(traced, "#prompt=p3&layer=2")  # a prompt without an image
    signatures = traced.signatures
    texts = traced.values("token-texts")
    start = int(signatures.lengths()[:3].sum())
    length = int(signatures.lengths()[3])
    expected = [texts[i] for i in traced.array("token-text")[start : start + length].tolist()]
    assert seen.page.locator("#prompt .token").all_inner_texts() == expected
    experts = traced.array("token-experts")[start : start + length, 1]
    seen.press("#prompt .tokens", "Home", "ArrowRight")
    assert f"Token 2 of {length}, “{expected[1]}”, prompt. Layer 2: experts " in seen.says("prompt")
    listed = ", ".join(f"{one} (0.50)" for one in experts[1])
    assert listed in seen.says("prompt")
    leading, tokens = np.unique(experts[:, 0], return_counts=True)
    chips = seen.page.locator("#prompt .legend li").all_inner_texts()
    best = leading[np.argsort(-tokens, kind="stable")]
    assert [int(text.split()[0]) for text in chips[: len(best[:7])]] == [*best[:7]]
    seen.page.get_by_role("button", name="One expert").click()
    seen.page.locator("#choice-expert").fill(str(experts[1, 0]))
    assert seen.page.locator("#prompt .token.w4").count() == (experts == experts[1, 0]).any(axis=1).sum()
    seen.page.get_by_role("button", name="Categories").click()
    assert "Affinity:" in seen.says("prompt")
    seen.page.get_by_label("Speed").select_option("80")
    seen.press("#prompt .tokens", " ")
    seen.page.locator("#prompt .token.later").first.wait_for()
    seen.page.locator(f"#prompt .token.at[data-at='{length - 1}']").wait_for(timeout=30_000)
    assert seen.page.locator("#prompt .token.later").count() == 0


def test_hostile_texts_are_shown_as_texts(see: Any, hostile: Opened) -> None:
    seen = see(hostile)
    ids = hostile.signatures.prompts.ids
    for place in range(len(HOSTILE)):
        seen.page.locator("#choice-prompt").select_option(str(place))
        assert visible(ids[place]) in seen.page.locator("#prompt h3").first.inner_text()
        shown = seen.page.locator("#prompt .text").first.inner_text()
        assert shown == visible(hostile.signatures.prompts.texts[place])
    seen.press("#similarity .stack", "ArrowDown")
    assert seen.page.title() == f"{visible(HOSTILE[0])}: routing report"
    assert seen.page.locator("img, iframe, body script:not([type]) ~ script:not([type])").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_and_has_no_serious_fault_of_access(see: Any, traced: Opened, width: int, scheme: str) -> None:
    if not AXE.is_file():
        missing(f"there is no {AXE}: npm ci in frontend/ installs it")
    pair = "#prompt=p3&other=p7" if scheme == "dark" else ""
    seen = see(traced, pair, viewport={"width": width, "height": 844}, color_scheme=scheme)
    assert seen.page.evaluate("() => document.documentElement.scrollWidth") == width
    seen.page.evaluate(AXE.read_text(encoding="utf-8"))
    found = seen.page.evaluate(SERIOUS)
    assert found == []


def test_scripts_off_the_findings_and_figures_are_there(see: Any, plain: Opened) -> None:
    seen = see(plain, java_script_enabled=False)
    assert seen.page.locator("table.headline").is_visible()
    assert seen.page.locator("#layers .drawing").is_visible()
    assert seen.page.locator("#map .drawing").is_visible()
    assert "Scripts are off" in seen.page.locator("body").inner_text()


def test_paper_and_forced_colours_show_the_views(see: Any, plain: Opened) -> None:
    seen = see(plain, color_scheme="dark", forced_colors="active")
    assert seen.page.locator("#layers svg[role=slider]").is_visible()
    for section in ("similarity", "categories", "prompt"):
        picture = seen.page.locator(f"#{section} .stack").first.screenshot()
        pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).reshape(-1, 3).astype(int)
        assert len(np.unique(pixels[np.ptp(pixels, axis=1) > 40], axis=0)) > 8, section  # neither black nor white
    seen.page.emulate_media(media="print", forced_colors="none")
    page_colour = "() => getComputedStyle(document.documentElement).backgroundColor"
    assert seen.page.evaluate(page_colour) == "rgb(255, 255, 255)"
    # Canvases are drawn anew: no share, or a uniform one, is #f3efe6; no colour of a dark page is as light.
    assert set(seen.page.evaluate(LIGHTEST)) == {0xE6}
    assert not seen.page.locator(".choice").is_visible()
    assert seen.page.locator("#layers svg[role=slider]").is_visible()


def test_views_are_saved_as_pictures_that_stand_alone(see: Any, plain: Opened) -> None:
    """From a dark page, too: light on white, with the legend or the scale beside the chart."""
    seen = see(plain, color_scheme="dark")
    for section, beside in (
        ("layers", ""),
        ("similarity", "cosine similarity"),
        ("map", "story"),
        ("categories", "1/4"),
        ("load", "load relative to balance"),
        ("controls", "chance"),
        ("phases", "generated minus prompt"),
        ("segments", "From above in each category:"),
        ("distributions", "balanced routing"),
    ):
        text = seen.picture(section)
        root = ElementTree.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert root[0].attrib["fill"] == "#ffffff"
        assert not re.search(r"var\(|class=|style=|light-dark|color\(", text), section
        words = [one.text or "" for one in root.iter("{http://www.w3.org/2000/svg}text")]
        assert any(beside in one for one in words), section
    saved = Image.open(io.BytesIO(seen.saved("#categories button:has-text('Save PNG')")))
    assert saved.convert("RGB").getpixel((1, 1)) == (255, 255, 255)
    assert seen.page.evaluate("() => getComputedStyle(document.body).color") == "rgb(235, 232, 225)"  # dark again


def test_a_link_to_what_the_page_does_not_hold_says_so(see: Any, plain: Opened) -> None:
    seen = see(plain, "#prompt=p%3Cb%3E&layer=3&category=none&other=p2", reduced_motion="reduce")
    notice = seen.page.locator(".choice .notice")
    assert notice.inner_text() == "The link asks for what this page does not hold: prompt p<b>, layer 3, category none."
    seen.page.locator("#choice-expert").fill("1")
    notice.wait_for(state="detached")
