"""Results as a file holds them, computed once, of a seed, folds and weighting that are not the defaults."""

from pathlib import Path

import pytest

from moexray.studies.analysis import Analysis, analyze
from moexray.studies.category_shares import CategoryShares, category_shares
from moexray.studies.layer_coactivation import LayerCoactivation, layer_coactivation
from moexray.studies.similarity_matrix import SimilarityMatrix, similarity_matrix
from moexray.trace import Trace

from .. import made


@pytest.fixture(scope="session")
def analysis(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """By gate mass, with specifications; saved and read again."""
    signatures = made.signatures(36, categories=("a", "b", "c"), mass=True, meta={"model": "some/model"})
    found = analyze(signatures, weighting="mass", permutations=49, seed=3, folds=4, specifications=True)
    found.save(file := tmp_path_factory.mktemp("analysis") / "analysis.json")
    return Analysis.load(file)


@pytest.fixture(scope="session")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """Of generated tokens and their trace; saved and read again."""
    folder: Path = tmp_path_factory.mktemp("traced")
    signatures = made.trace(folder / "trace.parquet", prompts=40)
    trace = Trace.open(folder / "trace.parquet", signatures)
    analyze(signatures, permutations=49, seed=5, folds=3, trace=trace).save(folder / "analysis.json")
    return Analysis.load(folder / "analysis.json")


@pytest.fixture(scope="session")
def matrix() -> SimilarityMatrix:
    """By gate mass, of prompt tokens."""
    signatures = made.signatures(12, categories=("b", "a", "c"), mass=True, meta={"model": "some/model"})
    return similarity_matrix(signatures, tokens="prompt", weighting="mass")


@pytest.fixture(scope="session")
def shares() -> CategoryShares:
    """Of prompt tokens in the first, the middle and the last of three layers, of three categories and 8 experts."""
    signatures = made.signatures(24, categories=("b", "a", "c"), meta={"model": "some/model"})
    return category_shares(signatures, tokens="prompt")


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> LayerCoactivation:
    """Of the middle layer of a trace."""
    path = tmp_path_factory.mktemp("pairs") / "trace.parquet"
    signatures = made.trace(path, prompts=24, k=3)
    return layer_coactivation(signatures, Trace.open(path, signatures))
