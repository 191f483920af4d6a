"""How fast a report answers in Chromium: until it is usable, and each kind of interaction until its frame is drawn."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHROMIUM = "/usr/bin/chromium"
# Does one thing to one control, and returns the milliseconds until the next frame is drawn; null where there is no such
# control.
_DO = """async ([control, value]) => {
  const one = document.querySelector(control);
  if (!one) return null;
  const begun = performance.now();
  if (value === "click") one.click();
  else if (one.matches("input, select")) {
    one.value = value;
    one.dispatchEvent(new Event(one.matches("select") ? "change" : "input", { bubbles: true }));
  } else one.dispatchEvent(new KeyboardEvent("keydown", { key: value, bubbles: true, cancelable: true }));
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - begun;
}"""
_FEW = [str(place) for place in range(8)]
# What is done, to which control, and with which values or keys, one after the other.
_INTERACTIONS: Mapping[str, tuple[str, Sequence[str]]] = {
    "tokens to search": ("#choice-search-in", ["tokens"]),
    "a letter of the search": ("#choice-search", ["o", "or"]),
    "the next match": ("[aria-label='Next match']", ["click"] * 4),
    "a token": ("#prompt .tokens", ["ArrowRight"] * 8),
    "a layer": ("#choice-layer", _FEW),
    "an expert": ("#choice-expert", _FEW),
    "a category": ("#choice-category", ["0", "1", "0", "1"]),
    "a prompt": ("#choice-prompt", _FEW),
    "a pair of prompts": ("#similarity .stack", ["ArrowRight"] * 6),
    "a layer of the pair": ("#choice-layer", _FEW),
    "a full window": ("#similarity .enlarge button", ["click"] * 2),
}


@dataclass(frozen=True)
class Answers:
    """Milliseconds by the clock and of the processor time of the page's thread.

    Attributes
    ----------
    usable
        Median of the turns.
    frames
        The slowest of each interaction.
    """

    usable: tuple[float, float]
    frames: dict[str, tuple[float, float]]

    @property
    def slowest(self) -> tuple[str, tuple[float, float]]:
        """The interaction with the slowest frame by the clock."""
        return max(self.frames.items(), key=lambda one: one[1][0])


def opened(path: Path, turns: int) -> Answers:
    """Open a report as often as asked, each time in a page of its own, and do everything in it."""
    from playwright.sync_api import sync_playwright

    usable: list[tuple[float, float]] = []
    frames: dict[str, list[tuple[float, float]]] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(turns):
            page = browser.new_page()
            page.set_default_timeout(120_000)
            session = page.context.new_cdp_session(page)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
            page.goto(path.as_uri())
            page.locator("html.alive").wait_for()
            begun = page.evaluate("() => performance.getEntriesByName('alive')[0].startTime")
            usable.append((begun, _worked(session)))
            page.wait_for_timeout(500)  # what is drawn later is drawn
            for name, (control, values) in _INTERACTIONS.items():
                frames.setdefault(name, []).extend(_done(page, session, control, values))
            page.close()
        browser.close()
    return Answers(
        (statistics.median(one for one, _ in usable), statistics.median(one for _, one in usable)),
        {name: max(found) for name, found in frames.items() if found},
    )


def _done(page: Any, session: Any, control: str, values: Sequence[str]) -> list[tuple[float, float]]:
    found = []
    for value in values:
        before = _worked(session)
        clock = page.evaluate(_DO, [control, value])
        if clock is not None:
            found.append((clock, _worked(session) - before))
    return found


def _worked(session: Any) -> float:
    """Return the milliseconds that the thread of a page has worked."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return float(next(1000 * one["value"] for one in metrics if one["name"] == "TaskDuration"))
