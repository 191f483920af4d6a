"""Imports point one way, and heavy packages are imported only where they are used."""

import ast
from pathlib import Path

import pytest

import moexray

PACKAGE = Path(moexray.__file__).parent
# Each part may import those to its right, and itself.
ORDER = (
    *("__main__", "cli", "views", "claims", "studies", "recording", "engines", "stats"),
    *("pair_names", "corpus_counts", "trace", "stored", "signatures_file", "signatures", "signatures_checks"),
    *("routing", "prompts", "formats", "files", "extras", "errors"),
)
MODULES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    own = part(path)
    parts = {name.split(".")[1] for name in imports(path) if name.startswith("moexray.")}
    if own == "signatures":
        parts.discard("signatures_file")  # imported when a file is read or written
    if own == "signatures_checks":
        parts.discard("signatures")  # the type of what it checks
    if own != "__init__":
        assert [other for other in parts if ORDER.index(other) < ORDER.index(own)] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_engines_know_torch_and_transformers(path: Path) -> None:
    heavy = {"torch", "transformers"} & {name.split(".")[0] for name in imports(path)}
    assert not heavy or part(path) == "engines"


def test_statistics_know_no_file_no_model_and_no_figure() -> None:
    for path in (PACKAGE / "stats").rglob("*.py"):
        assert {"pathlib", "json", "matplotlib", "rich", "typer"}.isdisjoint(imports(path)), path
