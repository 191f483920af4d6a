"""Exploring in a browser: a view in the whole window, two prompts beside each other, tokens searched and saved."""

import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray

from moexray.formats import number
from moexray.views.report.report import Report

from .conftest import Opened

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SVG = "{http://www.w3.org/2000/svg}"
# What a key can reach outside of a section and the bar of the selection.
OUTSIDE = """(name) => [...document.querySelectorAll("a, button, select, input, summary, [tabindex='0']")]
  .filter((one) => one.checkVisibility() && !one.closest(`#${name}, #choice`)).length"""
WHERE = "() => [document.activeElement.closest('section')?.id, document.activeElement.textContent.trim(), scrollY]"


def tokens_of(opened: Opened, prompt: int) -> tuple[NDArray[Any], list[str]]:
    """Return the experts ``(tokens, layers, k)`` and the texts of the tokens of a prompt."""
    start = int(opened.signatures.lengths()[:prompt].sum())
    some = slice(start, start + int(opened.signatures.lengths()[prompt]))
    texts = opened.values("token-texts")
    return opened.array("token-experts")[some], [texts[i] for i in opened.array("token-text")[some].tolist()]


def leading(*firsts: NDArray[Any]) -> list[int]:
    """Return the seven experts that are most often first, ties by number."""
    experts, tokens = np.unique(np.concatenate(firsts), return_counts=True)
    found: list[int] = experts[np.argsort(-tokens, kind="stable")][:7].tolist()
    return found


def test_a_view_fills_the_window_and_leaves_it_where_it_was(see: Any, traced: Opened) -> None:
    seen = see(traced)
    page = seen.page
    before = page.locator("#similarity .stack canvas").bounding_box()
    button = page.locator("#similarity .enlarge button")
    assert button.inner_text() == "Full window"
    button.scroll_into_view_if_needed()
    at = page.evaluate("() => scrollY")
    assert page.evaluate(OUTSIDE, "similarity") > 0
    seen.press("#similarity .enlarge button", "Enter")
    page.locator("html.one").wait_for()
    box = page.locator("#similarity").bounding_box()
    assert box["width"] > 0.9 * 1280
    assert page.evaluate(OUTSIDE, "similarity") == 0
    assert not page.locator("#layers").is_visible()
    page.set_viewport_size({"width": 1500, "height": 1250})
    page.locator(f"#similarity .stack canvas[style*='width: {1250 - 360}px']").wait_for()
    page.set_viewport_size({"width": 1280, "height": 900})
    page.keyboard.press("Escape")
    page.locator("html:not(.one)").wait_for()
    assert page.evaluate(WHERE) == ["similarity", "Full window", at]
    assert page.locator("#similarity .stack canvas").bounding_box()["width"] == before["width"]
    page.keyboard.press("Enter")
    page.locator("html.one").wait_for()
    page.keyboard.press("Enter")  # the same button
    page.locator("html:not(.one)").wait_for()


def test_escape_ends_the_playback_before_the_full_window(see: Any, traced: Opened) -> None:
    seen = see(traced, "#prompt=p3", reduced_motion="reduce")
    page = seen.page
    page.locator("#prompt .enlarge button").click()
    seen.press("#prompt .tokens", " ")
    page.locator("#prompt .token.later").first.wait_for()
    assert page.get_by_role("button", name="Stop").is_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Play the generation").wait_for()
    assert page.locator("html.one").count() == 1
    page.keyboard.press("Escape")
    page.locator("html:not(.one)").wait_for()


def test_two_prompts_stand_beside_each_other_in_the_same_colours(see: Any, traced: Opened) -> None:
    seen = see(traced, "#prompt=p3&other=p7&layer=2")
    page = seen.page
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        first, second = (one.bounding_box() for one in page.locator("#prompt .pair article").all())
        assert (second["y"] >= first["y"] + first["height"]) == (width == 390)
        assert (second["x"] >= first["x"] + first["width"]) == (width == 1280)
    firsts = [tokens_of(traced, prompt)[0][:, 1, 0] for prompt in (3, 7)]
    chips = page.locator("#prompt .legend").first.locator("li").all_inner_texts()
    order = leading(*firsts)
    said = [[int(one) for one in re.findall(r"\d+", text)] for text in chips[: len(order)]]
    assert said == [[expert, *((first == expert).sum() for first in firsts)] for expert in order]
    for article, first in zip(page.locator("#prompt .pair article").all(), firsts, strict=True):
        tints = [re.search(r"\bt(\d)\b", one.get_attribute("class") or "") for one in article.locator(".token").all()]
        assert [int(one[1]) for one in tints if one] == [
            order.index(expert) + 1 if expert in order else 0 for expert in first.tolist()
        ]


def test_what_two_prompts_have_in_common_is_computed_from_their_selections(see: Any, traced: Opened) -> None:
    seen = see(traced, "#prompt=p3&other=p7&layer=2")
    page = seen.page
    loads = traced.signatures.loads()[[3, 7]].astype(float)
    shares = loads / loads.sum(axis=2, keepdims=True)
    one, other = shares
    cosines = (one * other).sum(axis=1) / (np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1))
    rows = seen.table("prompt", 4)
    assert [int(row["layer"]) for row in rows] == traced.signatures.layers.tolist()
    np.testing.assert_allclose([float(row["cosine"]) for row in rows], cosines, rtol=1e-12)
    np.testing.assert_allclose([float(row["in_common"]) for row in rows], np.minimum(one, other).sum(axis=1))
    assert [int(row["experts_of_both"]) for row in rows] == ((one > 0) & (other > 0)).sum(axis=1).tolist()
    assert [int(row["experts_of_either"]) for row in rows] == ((one > 0) | (other > 0)).sum(axis=1).tolist()
    assert [float(row["mean_within"]) for row in rows] == [layer.within for layer in traced.analysis.layers]
    experts = seen.table("prompt", 5)
    assert [float(row["share"]) for row in experts] == one[1].tolist()
    assert [float(row["share_of_other"]) for row in experts] == other[1].tolist()
    whole = float((one * other).sum() / (np.linalg.norm(one) * np.linalg.norm(other)))
    text = page.locator("#prompt .columns .says").first.inner_text()
    assert f"cosine similarity {number(whole, 4)} of all layers, {number(cosines[1], 4)} in layer 2" in text
    seen.press("#prompt svg[aria-label^='Expert, with']", "Home", "ArrowRight")
    assert f"{100 * one[1, 1]:.2f} % of the selections of p3" in page.locator("#prompt .says").last.inner_text()
    seen.press("#prompt .pair article:last-child .tokens", "ArrowRight", "ArrowRight")
    assert "Token 3 of" in page.locator("#prompt .pair article:last-child .says").first.inner_text()
    page.get_by_role("button", name="Swap").click()
    page.wait_for_url(re.compile("prompt=p7&.*other=p3"))
    page.locator("#prompt-other").select_option("")
    page.get_by_role("button", name="Play the generation").wait_for()
    assert "other" not in page.url


def test_tokens_are_searched_in_all_of_the_data(see: Any, traced: Opened) -> None:
    """And the label says of how many prompts the page holds them."""
    more = traced.html.replace('"prompts": 12, "layers"', '"prompts": 24, "layers"')
    seen = see(replace(traced, report=Report(more, ())))
    page = seen.page
    page.locator("#choice-search-in").select_option("tokens")
    assert page.locator("label[for='choice-search']").inner_text() == "Search tokens of 12 of 24 prompts"
    places = []
    for prompt in range(12):
        texts = [text.lower() for text in tokens_of(traced, prompt)[1]]
        starts = np.cumsum([0, *map(len, texts)])
        found = [match.start() for match in re.finditer("word1", "".join(texts))]
        places += [(prompt, int(token) - 1) for token in np.searchsorted(starts, found, side="right")]
    assert len({prompt for prompt, _ in places}) > 2
    page.locator("#choice-search").fill("WORD1")
    status = page.locator("#choice [role=status]")
    after = [place for place in places if place > (0, 0)]
    for prompt, token in after[:4]:
        page.keyboard.press("Enter")
        assert status.inner_text() == f"{places.index((prompt, token)) + 1} of {len(places)}"
        assert re.search(rf"prompt=p{prompt}&", page.url)
        assert seen.says("prompt").startswith(f"Token {token + 1} of ")
    framed = page.locator("#prompt .token.hit")
    assert framed.count() >= sum(prompt == after[3][0] for prompt, _ in places)
    page.keyboard.press("Shift+Enter")
    assert status.inner_text() == f"{places.index(after[2]) + 1} of {len(places)}"
    page.get_by_role("button", name="Next found token").click()  # beside the tokens
    assert status.inner_text() == f"{places.index(after[3]) + 1} of {len(places)}"
    page.locator("#choice-search").fill("no such token")
    assert status.inner_text() == "none"
    assert page.get_by_role("button", name="Next match").is_disabled()


def test_tokens_are_saved_as_the_trace_has_them(see: Any, traced: Opened) -> None:
    seen = see(traced, "#prompt=p4&layer=2", color_scheme="dark")  # with an image
    experts, texts = tokens_of(traced, 4)
    rows = seen.table("prompt")
    assert [row["token"] for row in rows] == texts
    assert [[int(row["expert_1"]), int(row["expert_2"])] for row in rows] == experts[:, 1].tolist()
    np.testing.assert_allclose([float(row["gate_weight_1"]) for row in rows], 0.5, atol=1 / 510)
    assert [int(row["position"]) for row in rows] == list(range(len(texts)))
    names = [(one.phase, one.kind) for one in traced.signatures.segments]
    start = int(traced.signatures.lengths()[:4].sum())
    segments = traced.array("token-segments")[start : start + len(texts)]
    assert [(row["phase"], row["kind"]) for row in rows] == [names[one] for one in segments.tolist()]
    text = seen.picture("prompt")
    root = ElementTree.fromstring(text)
    for never in ("var(", "class=", "style=", "color(", "light-dark"):
        assert never not in text
    assert root[0].attrib["fill"] == "#ffffff"
    lines = "".join(one.text or "" for one in root.iter(f"{SVG}text"))
    shown = "".join("▦" if one == 1 else word for word, one in zip(texts, segments.tolist(), strict=True))
    assert lines.endswith(shown)
    fills = [one.attrib["fill"] for one in root.iter(f"{SVG}rect")]
    for expert in leading(experts[:, 1, 0]):
        # A chip of the legend, and each of its tokens, in a tint that is light though the page is dark.
        chip = fills[1 + leading(experts[:, 1, 0]).index(expert)]
        assert fills.count(chip) >= 1 + (experts[:, 1, 0] == expert).sum()
        assert min(int(one) for one in re.findall(r"\d+", chip)) > 100


def test_fingers_reach_what_a_mouse_does(see: Any, traced: Opened) -> None:
    seen = see(traced, "#prompt=p3&layer=2", viewport={"width": 390, "height": 844}, has_touch=True)
    page = seen.page
    page.locator("#prompt .token[data-at='4']").tap()
    assert seen.says("prompt").startswith("Token 5 of ")
    assert "token=4" in page.url
    page.locator("#prompt .stack").first.tap(position={"x": 60, "y": 8})
    assert re.search(r"layer=1&expert=\d", page.url)
    page.get_by_role("button", name="Play the generation").tap()
    page.locator("#prompt .token.later").first.wait_for()
    page.get_by_role("button", name="Stop").tap()
    page.get_by_role("button", name="Next →").tap()
    assert "prompt=p4" in page.url
    assert "token" not in page.url
    marks = page.locator("#map path.mark:not(.on)")
    box, chart = marks.nth(5).bounding_box(), page.locator("#map svg[role=application]")
    frame = chart.bounding_box()
    # Beside the mark: a finger is wider.
    chart.tap(position={"x": box["x"] - frame["x"] + 1, "y": box["y"] - frame["y"] - 3})
    assert "prompt=p4" not in page.url
    page.locator("#layers .enlarge button").tap()
    page.locator("html.one").wait_for()
    assert page.evaluate("() => document.documentElement.scrollWidth") == 390


def test_paper_is_light_and_unfolded_and_the_screen_comes_back(see: Any, traced: Opened) -> None:
    seen = see(traced, "#prompt=p3", color_scheme="dark")
    page = seen.page
    state = """() => [document.documentElement.getAttribute("data-theme"),
      document.querySelectorAll("details[open]").length,
      document.querySelector("#prompt .stack canvas").style.width]"""
    before = page.evaluate(state)
    page.emulate_media(media="print")
    seen.says("layers")
    theme, unfolded, wide = page.evaluate(state)
    assert (theme, unfolded) == ("light", page.locator("details").count())
    assert wide == f"{640 - 44}px" != before[2]
    for control in (".choice", ".controls", ".saving", ".enlarge", ".contents"):
        assert not page.locator(control).first.is_visible(), control
    page.emulate_media(media="screen")
    seen.says("layers")  # two frames later
    assert page.evaluate(state) == before
    pages = page.pdf(format="A4").count(b"/Type /Page\n")
    assert pages >= 8
    assert page.evaluate(state) == before
