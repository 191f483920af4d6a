"""One statistic a file: plain functions over arrays that return frozen dataclasses, or numbers.

This is the list of them. ``from moexray.stats import permutation_test`` imports the file of that one, and of the
others only what it needs itself. A new statistic is a new file, and its name here.
"""

import ast
import linecache
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

# Type checkers and editors follow these imports ("as" says that a name is for others); Python reads them as a table.
if TYPE_CHECKING:
    from moexray.stats.auc import Auc as Auc
    from moexray.stats.auc import exact_auc as exact_auc
    from moexray.stats.balance import Baseline as Baseline
    from moexray.stats.balance import load_matched_baseline as load_matched_baseline
    from moexray.stats.balance import uniform_baseline as uniform_baseline
    from moexray.stats.classifier import Classification as Classification
    from moexray.stats.classifier import classifier_p_value as classifier_p_value
    from moexray.stats.classifier import classify as classify
    from moexray.stats.classifier import classify_words as classify_words
    from moexray.stats.clusters import CategorySilhouettes as CategorySilhouettes
    from moexray.stats.clusters import CentroidDistance as CentroidDistance
    from moexray.stats.clusters import category_silhouettes as category_silhouettes
    from moexray.stats.clusters import centroid_distance as centroid_distance
    from moexray.stats.controls import PairedDifference as PairedDifference
    from moexray.stats.controls import paired_difference as paired_difference
    from moexray.stats.controls import surface_likenesses as surface_likenesses
    from moexray.stats.depth import DepthTrend as DepthTrend
    from moexray.stats.depth import depth_trend as depth_trend
    from moexray.stats.jackknife import jackknife_interval as jackknife_interval
    from moexray.stats.jackknife import logit_interval as logit_interval
    from moexray.stats.jackknife import mean_interval as mean_interval
    from moexray.stats.layers import LayerPValues as LayerPValues
    from moexray.stats.layers import LayerStatistics as LayerStatistics
    from moexray.stats.layers import layer_accuracies as layer_accuracies
    from moexray.stats.layers import layer_p_values as layer_p_values
    from moexray.stats.layers import layer_statistics as layer_statistics
    from moexray.stats.load import LayerLoad as LayerLoad
    from moexray.stats.load import layer_loads as layer_loads
    from moexray.stats.pairs import PairSummary as PairSummary
    from moexray.stats.pairs import cohens_d as cohens_d
    from moexray.stats.partial import PartialEffect as PartialEffect
    from moexray.stats.partial import partial_effect as partial_effect
    from moexray.stats.pca import PrincipalComponents as PrincipalComponents
    from moexray.stats.pca import principal_components as principal_components
    from moexray.stats.peak import peak_layer_interval as peak_layer_interval
    from moexray.stats.permutation import PermutationTest as PermutationTest
    from moexray.stats.permutation import p_value as p_value
    from moexray.stats.permutation import permutation_test as permutation_test
    from moexray.stats.phases import PhaseComparison as PhaseComparison
    from moexray.stats.phases import PhaseEffect as PhaseEffect
    from moexray.stats.phases import compare_phases as compare_phases
    from moexray.stats.similarity import CategoryEffect as CategoryEffect
    from moexray.stats.similarity import Similarity as Similarity
    from moexray.stats.similarity import category_effect as category_effect
    from moexray.stats.similarity import similarity as similarity
    from moexray.stats.similarity import unit_rows as unit_rows
    from moexray.stats.specifications import Specification as Specification
    from moexray.stats.specifications import jensen_shannon as jensen_shannon
    from moexray.stats.specifications import specifications as specifications
    from moexray.stats.words import near_duplicates as near_duplicates
    from moexray.stats.words import word_similarities as word_similarities


def _table() -> dict[str, str]:
    """Return the file of each name that is imported above."""
    source = ast.parse("".join(linecache.getlines(__file__)))
    imports = [node for node in ast.walk(source) if isinstance(node, ast.ImportFrom)]
    files = [(node.module or "", alias.name) for node in imports for alias in node.names]
    return {name: file for file, name in files if file.startswith(f"{__name__}.")}


_FILES = _table()
__all__ = sorted(_FILES)  # noqa: PLE0605  # names are listed once, above


def __dir__() -> list[str]:
    return __all__


if not TYPE_CHECKING:  # it would tell checkers that there is every name

    def __getattr__(name: str) -> object:
        if name not in _FILES:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        return getattr(import_module(_FILES[name]), name)


class _Statistics(ModuleType):
    """A package whose files do not hide a statistic of the same name, as similarity.py would once it is imported."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _FILES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Statistics
