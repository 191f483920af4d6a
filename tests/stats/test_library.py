"""Each statistic can be imported by itself, says what it does, and knows arrays and numbers only."""

import dataclasses
import inspect
import subprocess
import sys
import typing
from collections.abc import Iterator
from importlib import import_module

import numpy as np
import pytest

from moexray import stats

LISTED = {name: getattr(stats, name) for name in stats.__all__}
FUNCTIONS = sorted(name for name, listed in LISTED.items() if inspect.isfunction(listed))
RESULTS = sorted(name for name, listed in LISTED.items() if inspect.isclass(listed))
# What may hold what: Optional, Sequence[str], tuple[float, float] and the like.
PLAIN = {int, float, str, type(None), type(Ellipsis), np.ndarray, np.random.Generator}


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


@pytest.mark.parametrize("name", LISTED)
def test_every_statistic_says_what_it_does(name: str) -> None:
    summary = (LISTED[name].__doc__ or "").split("\n\n", maxsplit=1)[0].strip()
    assert summary.endswith((".", ":"))
    assert not summary.startswith(f"{name}(")  # what a dataclass says that has nothing to say


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_statistic_takes_arrays_and_returns_frozen_results_or_numbers(name: str) -> None:
    hints = typing.get_type_hints(LISTED[name], vars(import_module(LISTED[name].__module__)) | LISTED)
    for part in (leaf for hint in hints.values() for leaf in leaves(hint)):
        if dataclasses.is_dataclass(part):
            assert part.__dataclass_params__.frozen  # type: ignore[union-attr]
            assert part.__module__.startswith("moexray.stats.")
        else:
            assert part in PLAIN


@pytest.mark.parametrize("name", RESULTS)
def test_every_result_is_frozen(name: str) -> None:
    assert LISTED[name].__dataclass_params__.frozen


def test_all_of_them_together_load_neither_scipy_nor_scikit_learn() -> None:
    loaded = loaded_by("import moexray.stats")
    assert "numpy" in loaded
    assert not {"scipy", "sklearn"} & loaded


@pytest.mark.parametrize(
    "first", ["import moexray.stats.pairs.similarity", "import moexray.stats.inference.permutation", ""]
)
def test_a_statistic_is_not_hidden_by_the_file_that_is_named_after_it(first: str) -> None:
    told = (
        f"{first}\nfrom moexray.stats import similarity, specifications\nsimilarity.__call__, specifications.__call__"
    )
    subprocess.run([sys.executable, "-c", told], check=True)
