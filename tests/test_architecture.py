"""Imports point one way, and heavy packages are imported only where they are used."""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path
from types import ModuleType

import moexray

PACKAGE = Path(moexray.__file__).parent
# Each part may import those that stand after it.
ORDER = (
    *("__main__", "cli", "views", "claims", "interventions", "callbacks", "replays", "checks", "studies", "stats"),
    *("importing", "recording", "engines"),
    *("examples", "merging", "trace_sequences", "trace", "trace_rows", "signatures"),
    *("frames", "conservation", "trace_weights", "trace_file", "coselection_file", "signatures_file"),
    *("counts", "stored_members"),
    *("corpus_counts", "counts_rows", "prompt_table"),
    *(
        "prompts",
        "routed_tokens",
        "routing",
        "router_scores",
        "generation",
        "recorded_images",
        "segments",
        "formats",
        "parquet_file",
        "csv_file",
        "shards",
        "files",
        "strict_json",
        "extras",
        "model_fingerprint",
        "errors",
        "version",
    ),
)
# Parts that know nothing of others, though the order would let them.
APART = {
    "views": {"interventions", "callbacks", "replays", "recording", "engines", "prompts"},
    "claims": {"interventions", "callbacks", "replays", "recording", "engines", "prompts"},
    "callbacks": {"studies"},
    "checks": {"recording", "engines", "prompts"},
    "studies": {"recording", "engines", "prompts"},
    "importing": {"interventions", "callbacks", "studies", "stats", "engines"},
    "recording": {"studies", "stats", "importing"},
    "stats": set(ORDER) - {"stats", "errors"},
    "engines": {"merging", "trace", "trace_rows", "routed_tokens", "signatures", "corpus_counts"},
}
MODULES = {
    ".".join(("moexray", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


@cache
def imported(path: Path) -> tuple[str, ...]:
    """Every name that a file imports: at once, inside of a function, or for types alone."""
    return tuple(_imported(path))


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def module_of(name: str) -> str:
    return name if name in MODULES else name.rpartition(".")[0]


@cache
def graph() -> dict[str, set[str]]:
    """Return the modules of the package that each of them imports; read when a test asks, by one process."""
    return {
        module: {module_of(name) for name in imported(path) if name.startswith("moexray")}
        for module, path in MODULES.items()
    }


def part(module: str) -> str:
    return module.split(".")[1] if "." in module else "moexray"


def test_imports_point_one_way() -> None:
    edges = [(part(one), part(other), one) for one, others in graph().items() for other in others]
    between = [edge for edge in edges if edge[0] != edge[1] and "moexray" not in edge[:2]]
    assert [edge for edge in between if ORDER.index(edge[0]) > ORDER.index(edge[1])] == []
    assert [edge for edge in between if edge[1] in APART.get(edge[0], ())] == []


def test_no_module_imports_itself_through_others() -> None:
    TopologicalSorter(graph()).prepare()  # raises CycleError, which names the modules


def test_the_package_itself_imports_nothing_before_it_is_used() -> None:
    tree = ast.parse(MODULES["moexray"].read_text(encoding="utf-8"))
    at_once = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [name for name in at_once if "moexray" in name] == ["from moexray.version import __version__"]


def test_no_module_hides_behind_another_thing_of_its_name() -> None:
    packages = {module.rpartition(".")[0] for module in MODULES} - {""}
    for module in MODULES.keys() - packages:
        package, _, name = module.rpartition(".")
        assert isinstance(getattr(import_module(package), name, moexray), ModuleType), module


def test_only_engines_know_torch_and_transformers() -> None:
    for module, path in MODULES.items():
        if part(module) != "engines":
            assert {"torch", "transformers"}.isdisjoint(name.split(".")[0] for name in imported(path)), module


def test_recording_names_no_engine() -> None:
    engines = ("moexray.engines.engine", "moexray.engines.rules", "moexray.engines")
    for module, others in graph().items():
        if part(module) == "recording":
            assert [name for name in others if part(name) == "engines" and name not in engines] == [], module


def test_statistics_know_no_file_no_model_and_no_figure() -> None:
    for module, path in MODULES.items():
        if part(module) == "stats":
            found = {name.split(".")[0] for name in imported(path)}
            assert {"pathlib", "json", "matplotlib", "rich", "typer"}.isdisjoint(found), module
