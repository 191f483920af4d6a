"""Reports of small data, among them texts that would do harm if they were taken for markup."""

import base64
import gzip
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from moexray.signatures import Signatures
from moexray.studies.analysis import Analysis, analyze
from moexray.trace import Trace
from moexray.views.report.report import Report, report
from moexray.views.report.studies import Given

from ... import made
from .browsing import CHROMIUM, Seen, missing

HOSTILE = (
    "</script><img src=x onerror=\"document.title='owned'\">",
    "<script>document.title = 'owned'</script>",
    "left\u202eright\u2066",
    "\x1b[31mred\x1b]0;owned\x07",
    "<!-- ' \" ` ${1+1} {{ 7*7 }} {% raw %} &lt;b&gt;",
    "no character: \uffff\ufffe\U0001ffff",
)


@dataclass(frozen=True)
class Opened:
    """A report, what it is of, and its data as a page reads them."""

    report: Report
    analysis: Analysis
    signatures: Signatures

    @property
    def html(self) -> str:
        return self.report.html

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = json.loads(self._script('id="facts"'))
        return found

    def array(self, name: str) -> NDArray[Any]:
        form = self.facts["blocks"][name]
        return np.frombuffer(self._bytes(name), dtype=form["type"]).reshape(form["shape"])

    def values(self, name: str) -> Any:
        return json.loads(self._bytes(name))

    def _bytes(self, name: str) -> bytes:
        return gzip.decompress(base64.b64decode(self._script(f'id="block-{name}"')))

    def _script(self, mark: str) -> str:
        found = re.search(rf"<script[^>]*{mark}>(.*?)</script>", self.html, re.DOTALL)
        assert found is not None, mark
        return found[1]


@pytest.fixture(scope="session")
def hostile() -> Opened:
    """Prompts whose ids, categories, texts, outputs and model do harm where they are not taken as texts."""
    signatures = made.signatures(
        20,
        ids=[f"{HOSTILE[i % len(HOSTILE)]} {i}" for i in range(20)],
        categories=(HOSTILE[0], HOSTILE[1] + HOSTILE[5]),
        texts=[f"{HOSTILE[i % len(HOSTILE)]} text {i}" for i in range(20)],
        outputs=[f"{HOSTILE[(i + 1) % len(HOSTILE)]} output {i}" for i in range(20)],
        meta={"model": HOSTILE[0]},
    )
    return opened(signatures)


@pytest.fixture(scope="session")
def plain() -> Opened:
    """Thirty prompts of three categories, in layers of different width."""
    signatures = made.signatures(
        30,
        layers=(1, 2, 5, 9),
        experts=(8, 12, 12, 8),
        categories=("story", "code", "math"),
        texts=[f"a prompt of number {i}" for i in range(30)],
        outputs=["written"] * 30,
    )
    return opened(signatures)


def opened(signatures: Signatures, **options: Any) -> Opened:
    analysis = analyze(signatures, permutations=19)
    return Opened(report(analysis, signatures, made="Analysis of signatures.npz", **options), analysis, signatures)


@pytest.fixture(scope="session")
def given(tmp_path_factory: pytest.TempPathFactory, hostile: Opened) -> list[Given]:
    """Return a result of every command."""
    from .study_results import every_result, signatures_with_trace

    signatures, trace = signatures_with_trace(tmp_path_factory.mktemp("studies"))
    found = every_result(signatures, trace, hostile)
    return [Given(command, result, Path(f"{command}.json")) for command, result in found]


@pytest.fixture
def written(tmp_path: Path) -> Any:
    """Return a function that writes a report to a file and returns its address."""

    def write(one: Opened) -> str:
        path = tmp_path / "report.html"
        path.write_text(one.html, encoding="utf-8", newline="\n")
        return path.as_uri()

    return write


# Not of the session: while it is open, an event loop runs, and no other test could start one.
@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        missing(f"there is no {CHROMIUM}")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed: pip install 'moexray[browser]'")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=str(CHROMIUM), args=quiet)
        yield found
        found.close()


@pytest.fixture
def see(browser: Any, written: Any) -> Iterator[Any]:
    """Return a function that opens a report; at the end each that was opened is checked and closed."""
    opened: list[Seen] = []

    def open_(one: Opened, fragment: str = "", **options: Any) -> Seen:
        seen = Seen(browser, written(one) + fragment, **options)
        opened.append(seen)
        return seen

    yield open_
    for seen in opened:
        if seen.page.evaluate("() => 'stopped' in window"):
            seen.check()
        seen.context.close()


@pytest.fixture(scope="session")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """Twelve prompts with their tokens, some of an image, and every part of an analysis."""
    folder = tmp_path_factory.mktemp("traced")
    signatures = made.trace(folder / "trace.parquet", prompts=12, images=True)
    trace = Trace.open(folder / "trace.parquet", signatures)
    analysis = analyze(signatures, permutations=19, trace=trace, specifications=True)
    return Opened(report(analysis, signatures, trace=trace), analysis, signatures)
