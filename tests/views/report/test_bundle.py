"""The committed script: what a page may hold of it, and whose work is in it."""

from pathlib import Path

import moexray

STATIC = Path(moexray.__file__).parent / "views" / "report" / "static"


def test_the_script_ends_no_element_and_evaluates_no_text() -> None:
    script = (STATIC / "report.js").read_text(encoding="utf-8")
    assert 50_000 < len(script) < 200_000
    for never in ("</script", "<script", "<!--", "eval(", "new Function", "XMLHttpRequest", "fetch(", "localStorage"):
        assert never not in script, never


def test_the_licence_of_every_package_in_the_script_is_there() -> None:
    licences = (STATIC / "THIRD-PARTY.txt").read_text(encoding="utf-8")
    for name in ("preact", "@preact/signals", "htm", "d3-scale", "d3-shape", "d3-array"):
        assert f"\n{name} " in licences, name
    assert licences.count("Permission") + licences.count("Apache License") >= 10
