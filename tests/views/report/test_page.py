"""A report is one file that asks for nothing, holds the results' numbers, and takes no text for markup."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import moexray
from moexray.errors import MoexrayError
from moexray.formats import visible
from moexray.studies.category_selections import category_selections
from moexray.studies.similarity_matrix import similarity_matrix
from moexray.views.report import prompts
from moexray.views.report.drawings import drawing
from moexray.views.report.page import Contents, _command
from moexray.views.report.report import report
from moexray.views.report.sections import SECTIONS
from moexray.views.sentences import summarize
from moexray.views.tables.headline import headline

from ... import made
from .conftest import HOSTILE, Opened

PACKAGE = Path(moexray.__file__).parent / "views" / "report"


class Parsed(HTMLParser):
    """The elements of a page, with their attributes and the text of each script and style."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem:
            self.raw[self.cdata_elem].append(data)
        else:
            self.text.append(data)


def digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@pytest.fixture(params=["plain", "hostile"])
def page(request: pytest.FixtureRequest) -> Opened:
    found: Opened = request.getfixturevalue(request.param)
    return found


def test_the_policy_allows_the_pages_own_script_and_style_and_nothing_else(page: Opened) -> None:
    parsed = Parsed(page.html)
    (policy,) = [
        attributes["content"] for tag, attributes in parsed.elements if "Content-Security-Policy" in attributes.values()
    ]
    elements = [attributes for tag, attributes in parsed.elements if tag == "script"]
    texts = zip(parsed.raw["script"], elements, strict=True)
    scripts = [text for text, attributes in texts if "type" not in attributes]
    assert [len(scripts), len(parsed.raw["style"])] == [1, 1]
    assert policy.split("; ") == [
        "default-src 'none'",
        f"script-src 'sha256-{digest(scripts[0])}'",
        f"style-src 'sha256-{digest(parsed.raw['style'][0])}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
    before = page.html[: page.html.index("Content-Security-Policy")]
    assert re.findall(r"<\w+", before) == ["<html", "<head", "<meta", "<meta"]


def test_nothing_of_a_page_is_elsewhere_or_needs_what_the_policy_forbids(page: Opened) -> None:
    for tag, attributes in Parsed(page.html).elements:
        assert not {"style", "srcset"} & attributes.keys(), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        assert tag not in {"link", "iframe", "object", "embed", "base", "form", "img"}, tag
        for name in ("src", "href", "xlink:href"):
            target = attributes.get(name)
            assert target is None or target.startswith(("#", "data:image/png;base64,")), (tag, target)


def test_data_blocks_hold_no_letter_that_could_end_them(page: Opened) -> None:
    blocks = re.findall(r'<script type="application/octet-stream" id="([^"]+)">(.*?)</script>', page.html)
    assert {name.removeprefix("block-") for name, _ in blocks} == page.facts["blocks"].keys()
    assert all(re.fullmatch(r"[A-Za-z0-9+/=]+", text) for _, text in blocks)
    (facts,) = re.findall(r'<script type="application/json" id="facts">(.*?)</script>', page.html, re.DOTALL)
    assert not set("<>&'") & set(facts)


def test_commands_are_of_the_tokens_and_the_weighting_of_the_analysis(plain: Opened) -> None:
    about = replace(plain.analysis.signatures, phase="prompt", by="mass")
    contents = Contents(
        replace(plain.analysis, signatures=about),
        plain.signatures,
        category_selections(plain.signatures),
        "my file.npz",
        figures={},
        made="",
    )
    commands = [_command(section, contents) for section in SECTIONS]
    assert commands[0] == "moexray plot 'my file.npz' --layerwise --tokens prompt --by mass"
    assert commands[-1] == "moexray experts 'my file.npz' --tokens prompt"


def test_a_drawing_keeps_letters_that_matplotlib_has_no_font_for(recwarn: pytest.WarningsRecorder) -> None:
    axes = Figure(figsize=(1, 1)).add_subplot(title="日本語")
    assert "日本語" in drawing(axes, "name", "label")
    assert not recwarn.list


def test_hostile_texts_add_no_element(plain: Opened, hostile: Opened) -> None:
    """Script, style, image, …: what the texts ask for is in no page, and what is in a page is in the template."""
    kinds = [{tag for tag, _ in Parsed(one.html).elements} for one in (plain, hostile)]
    assert kinds[1] <= kinds[0] | {"svg", "g"}
    shown = "".join(Parsed(hostile.html).text)
    assert visible(HOSTILE[0]) in shown
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", hostile.html)


def test_verdict_and_headline_stand_in_the_page_before_any_script(page: Opened) -> None:
    still = page.html[: page.html.index("<script")]
    text = " ".join("".join(Parsed(still).text).split())
    for sentence in summarize(page.analysis):
        assert " ".join(sentence.split()) in text
    for name, value in headline(page.analysis).rows:
        assert " ".join(f"{name}{value}".split()) in text or value in text, name
    assert still.count("<svg ") >= 4


def test_every_section_says_how_it_is_read_what_it_cannot_show_and_its_command(plain: Opened) -> None:
    text = "".join(Parsed(plain.html).text)
    there = [one for one in SECTIONS if f'id="{one.name}"' in plain.html]
    assert {one.name for one in SECTIONS} - {one.name for one in there} == {"token-identity", "specifications"}
    for section in there:
        assert section.reading in text
        assert section.limits in text
        assert f"moexray {section.command.format(file='signatures.npz')}" in text


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes(hostile: Opened) -> None:
    again = report(hostile.analysis, hostile.signatures, made="Analysis of signatures.npz")
    assert again.html == hostile.html


def test_the_numbers_in_the_data_are_those_of_the_results(plain: Opened) -> None:
    analysis, signatures, facts = plain.analysis, plain.signatures, plain.facts
    assert facts["effects"] == [
        {name: list(v) if isinstance(v := getattr(one, name), tuple) else v for name in one.__dataclass_fields__}
        for one in analysis.layers
    ]
    assert plain.array("plane").tolist() == [list(point) for point in analysis.pca.coordinates]
    np.testing.assert_array_equal(plain.array("counts"), signatures.loads())
    labels = np.array(signatures.prompts.categories)
    for place, name in enumerate(facts["categories"]["names"]):
        np.testing.assert_array_equal(plain.array("selections")[place], signatures.loads()[labels == name].sum(axis=0))
    assert plain.values("prompts")["texts"] == list(signatures.prompts.texts)
    reached = (signatures.loads() > 0).sum(axis=2)
    np.testing.assert_array_equal(plain.array("reached"), reached)


def test_an_analysis_of_other_signatures_is_refused(plain: Opened) -> None:
    with pytest.raises(MoexrayError, match="belongs to other signatures"):
        report(plain.analysis, made.signatures(12))


@pytest.mark.slow
def test_a_report_that_is_too_large_shows_leading_experts_then_fewer_prompts(
    plain: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompts of the matrix keep all experts; of others the leading ones fit, and then only some of them."""
    monkeypatch.setattr(prompts, "MOST_IN_MATRIX", 6)
    monkeypatch.setattr("moexray.views.report.report.still_sections", lambda _: [])  # they take the same room each time
    rng = np.random.default_rng(0)
    signatures = made.signatures(
        32, layers=(0, 1), experts=128, top_k=8, texts=[rng.bytes(100).hex() for _ in range(32)], length=(60, 90)
    )
    about = replace(plain.analysis.signatures, prompts=32, fingerprint=signatures.fingerprint)
    analysis = replace(plain.analysis, signatures=about)  # of other prompts: only sizes matter here
    whole = Opened(report(analysis, signatures), analysis, signatures)
    assert whole.report.remarks == ("The similarity matrix is of 6 of 32 prompts, drawn at random.",)
    size = len(whole.html)
    sizes = []
    for most in (size - 1500, size - 5500, size - 7500):
        found = Opened(report(analysis, signatures, most_bytes=most), analysis, signatures)
        assert len(found.html.encode()) <= most
        assert len(found.report.remarks) >= 2
        assert all(remark in found.html for remark in found.report.remarks)
        rows = found.array("rows")
        sizes.append(len(rows))
        assert set(np.array(signatures.prompts.categories)[rows]) == {"a", "b"}
        others = np.delete(rows, found.array("whole"))
        assert found.array("matrix").tolist() == found.array("whole").tolist()
        for row, ids, held in zip(others, found.array("leading"), found.array("leading-counts"), strict=True):
            loads = signatures.loads()[row]
            np.testing.assert_array_equal(held, np.take_along_axis(loads, ids.astype(int), axis=1))
            np.testing.assert_array_equal(held, -np.sort(-loads, axis=1)[:, :16])
    assert sizes[0] == 32
    assert sizes[0] > sizes[1] > sizes[2]
    with pytest.raises(MoexrayError, match="MB are figures and tables: give --max-size more"):
        report(analysis, signatures, most_bytes=100_000)


def test_a_matrix_is_that_of_the_counts(plain: Opened) -> None:
    """What the page computes cosines from gives the similarity matrix of the study."""
    counts = plain.array("counts").astype(float)
    shares = (counts / counts.sum(axis=2, keepdims=True)).reshape(len(counts), -1)
    units = shares / np.linalg.norm(shares, axis=1, keepdims=True)
    np.testing.assert_allclose(units @ units.T, similarity_matrix(plain.signatures).matrix, atol=1e-12)


def test_the_templates_trust_no_text_but_the_pages_own() -> None:
    """Only the script, the style and drawings are markup: no template says `safe`, one function makes markup."""
    for path in PACKAGE.rglob("*.html"):
        assert "safe" not in re.findall(r"\|\s*(\w+)", path.read_text(encoding="utf-8")), path
    uses = {path.name: path.read_text(encoding="utf-8").count("Markup(") for path in PACKAGE.glob("*.py")}
    assert {name: number for name, number in uses.items() if number} == {"rendering.py": 1}
