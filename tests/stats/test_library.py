"""Every statistic is documented, takes arrays and returns numbers or frozen results; folders import one way."""

import ast
import dataclasses
import inspect
import subprocess
import sys
import typing
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np

from moexray import stats

LISTED = {name: getattr(stats, name) for name in stats.__all__}
FUNCTIONS = sorted(name for name, listed in LISTED.items() if inspect.isfunction(listed))
RESULTS = sorted(name for name, listed in LISTED.items() if inspect.isclass(listed))
# Each folder may import from those to its right, and from itself.
ORDER = ("workloads", "kinds", "tokens", "experts", "layers", "categories", "pairs", "inference")
# What may hold what: Optional, Sequence[str], tuple[float, float] and the like.
PLAIN = {int, float, str, type(None), Ellipsis, np.ndarray, np.random.Generator}


def leaves(hint: object) -> Iterator[object]:
    """Yield the types that an annotation is made of; an array is one, of whatever numbers."""
    origin = typing.get_origin(hint)
    if origin is np.ndarray:
        yield np.ndarray
    elif origin is None:
        yield hint
    else:
        for part in typing.get_args(hint):
            yield from leaves(part)


def loaded_by(program: str) -> set[str]:
    """Return the modules of moexray.stats, and the packages beside moexray, that a program leaves loaded."""
    told = f"{program}\nimport sys; print(*(m for m in sys.modules if 'moexray.stats.' in m or '.' not in m))"
    finished = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    return set(finished.stdout.split())


def test_the_list_is_of_functions_and_of_what_they_return() -> None:
    assert sorted([*FUNCTIONS, *RESULTS]) == sorted(stats.__all__)
    assert {"similarity", "permutation_test", "classify", "layer_loads"} <= set(FUNCTIONS)
    assert {"Similarity", "PermutationTest", "Classification", "LayerLoad"} <= set(RESULTS)


def test_every_statistic_has_a_summary_and_every_result_is_frozen() -> None:
    for name, listed in LISTED.items():
        summary = (listed.__doc__ or "").split("\n\n", maxsplit=1)[0].strip()
        assert summary.endswith((".", ":")), name
        assert not summary.startswith(f"{name}("), name  # the docstring that dataclass() writes by itself
    for name in RESULTS:
        assert LISTED[name].__dataclass_params__.frozen, name


def test_every_statistic_takes_arrays_and_returns_frozen_results_or_numbers() -> None:
    for name in FUNCTIONS:
        hints = typing.get_type_hints(LISTED[name], vars(import_module(LISTED[name].__module__)) | LISTED)
        for part in (leaf for hint in hints.values() for leaf in leaves(hint)):
            if dataclasses.is_dataclass(part):
                assert part.__dataclass_params__.frozen, name  # type: ignore[union-attr]
                assert part.__module__.startswith("moexray.stats."), name
            else:
                assert part in PLAIN, name


def test_folders_import_one_way() -> None:
    """Inference knows nothing of pairs, and pairs nothing of categories, layers, experts and tokens."""
    root = Path(stats.__file__).parent
    for path in root.rglob("*/*.py"):
        own = ORDER.index(path.parent.name)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        folders = [module.split(".")[2] for module in modules if module.startswith("moexray.stats.")]
        assert [folder for folder in folders if ORDER.index(folder) < own] == [], path


def test_all_of_them_together_load_neither_scipy_nor_scikit_learn() -> None:
    loaded = loaded_by("import moexray.stats")
    assert "numpy" in loaded
    assert not {"scipy", "sklearn"} & loaded


def test_no_module_hides_a_statistic_of_the_same_name() -> None:
    """A sub-module is an attribute of its package once imported, and would replace a function of that name."""
    program = "import moexray.stats.pairs.similarity, moexray.stats.experts.coactivation\nfrom moexray import stats\n"
    program += f"assert all(callable(getattr(stats, name)) for name in {FUNCTIONS})"
    subprocess.run([sys.executable, "-c", program], check=True)
