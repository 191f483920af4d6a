"""A page in a real browser, and everything that it should not do."""

import csv
import io
import os
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
REQUIRED = os.environ.get("MOEXRAY_BROWSER") == "required"
AXE = Path(os.environ.get("MOEXRAY_AXE", Path(__file__).parents[3] / "frontend/node_modules/axe-core/axe.min.js"))
# Collects what a policy stopped; it runs before any script of the page.
WATCH = "window.stopped = []; addEventListener('securitypolicyviolation', (e) => stopped.push(e.violatedDirective))"

SERIOUS = """async () => (await axe.run()).violations
  .filter((one) => ["serious", "critical"].includes(one.impact))
  .map((one) => [one.id, one.nodes.length, one.nodes[0].html.slice(0, 200), one.nodes[0].failureSummary])"""


def missing(reason: str) -> None:
    """Skip, or fail where a run is to have everything."""
    if REQUIRED:
        pytest.fail(reason)
    pytest.skip(reason)


class Seen:
    """A page in the browser, and everything that it should not do."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        if options.get("java_script_enabled", True):
            self.page.add_init_script(WATCH)
        self.page.goto(address)
        if options.get("java_script_enabled", True):
            self.page.locator("html.alive").wait_for(timeout=30_000)

    def says(self, section: str) -> str:
        # What was done may not be drawn yet.
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        text: str = self.page.locator(f"#{section} .says").first.inner_text()
        return text

    def wait_for(self, chosen: str) -> None:
        """Wait until the address holds a choice: the browser tells of a new one later than the page writes it."""
        self.page.wait_for_url(lambda address: chosen in f"{address}&", timeout=30_000)

    def press(self, selector: str, *keys: str) -> None:
        self.page.locator(selector).first.focus()
        for key in keys:
            self.page.keyboard.press(key)

    def table(self, section: str, place: int = 0) -> list[dict[str, str]]:
        """Return the rows that `Save CSV` saves."""
        text = self.saved(f"#{section} button:has-text('Save CSV')", place).decode()
        return list(csv.DictReader(io.StringIO(text)))

    def picture(self, section: str) -> str:
        """Return what `Save SVG` saves."""
        return self.saved(f"#{section} button:has-text('Save SVG')").decode()

    def saved(self, selector: str, place: int = 0) -> bytes:
        """Return the file that a button saves."""
        with self.page.expect_download() as download:
            self.page.locator(selector).nth(place).click()
        return Path(download.value.path()).read_bytes()

    def check(self) -> None:
        """Nothing was said, asked for or stopped."""
        assert self.said == []
        assert [one for one in self.asked if not one.startswith(("file:", "blob:", "data:"))] == []
        assert self.page.evaluate("() => window.stopped") == []
