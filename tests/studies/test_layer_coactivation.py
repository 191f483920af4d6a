"""Pairs of experts of a layer are counted alike from a trace and from co-selections, and named where they are many."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from moexray.coselection_file import members_of_pairs
from moexray.errors import AnalysisError
from moexray.signatures import Signatures
from moexray.signatures_file import write_members
from moexray.stats.experts.coactivation import coactivation
from moexray.studies.expert_tokens import layer_tokens
from moexray.studies.layer_coactivation import LEAST_EXPECTED, layer_coactivation
from moexray.trace import Trace

from .. import made


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Signatures, Trace]:
    path = tmp_path_factory.mktemp("trace") / "trace.parquet"
    signatures = made.trace(path, prompts=24, experts=8, k=3)
    return signatures, Trace.open(path, signatures)


@pytest.mark.parametrize("tokens", ["all", "generated"])
def test_both_sources_give_what_the_statistic_gives(
    recorded: tuple[Signatures, Trace], tmp_path: Path, tokens: str
) -> None:
    signatures, trace = recorded
    file = tmp_path / "signatures.coselection.npz"
    made.write_pairs(file, signatures, trace)
    found, other = (layer_coactivation(signatures, source, tokens=tokens, layer=4) for source in (trace, file))
    assert found.layer == 4
    pairs = layer_tokens(trace, tokens)[2].pairs
    expected = coactivation(pairs, int(signatures.lengths(tokens).sum()))
    np.testing.assert_array_equal(found.odds_ratio, expected.odds_ratio)
    np.testing.assert_array_equal(found.odds_ratio, other.odds_ratio)
    assert found.strongest == other.strongest
    np.testing.assert_allclose(found.expected, found.expected.T)


@pytest.mark.parametrize(("prompts", "experts", "k"), [(24, 8, 3), (24, 4, 2), (3, 8, 3)])
def test_the_strongest_pairs_are_those_of_the_greatest_odds_that_are_expected_often(
    tmp_path: Path, prompts: int, experts: int, k: int
) -> None:
    signatures = made.trace(tmp_path / "trace.parquet", prompts=prompts, experts=experts, k=k)
    trace = Trace.open(tmp_path / "trace.parquet", signatures)
    found, together = layer_coactivation(signatures, trace), layer_tokens(trace, "all")[1].pairs
    assert found.layer == 2
    named = [(one.first, one.second) for one in found.strongest]
    pairs = [(i, j) for i, j in combinations(range(experts), 2) if found.expected[i, j] >= LEAST_EXPECTED]
    known = [pair for pair in sorted(pairs, key=lambda pair: -found.odds_ratio[pair]) if found.odds_ratio[pair] > 1]
    assert named == known[:10]
    for one in found.strongest:
        assert one.tokens == together[one.first, one.second]
        assert one.odds_ratio == found.odds_ratio[one.first, one.second] > 1
        assert one.expected == found.expected[one.first, one.second]


def test_one_expert_a_token_and_dropped_selections_are_refused(tmp_path: Path) -> None:
    signatures = made.trace(tmp_path / "one.parquet", prompts=8, k=1)
    with pytest.raises(AnalysisError, match="layer 2: no token selects two experts"):
        layer_coactivation(signatures, Trace.open(tmp_path / "one.parquet", signatures))
    dropped = made.signatures(4, layers=(0,), drops=True)
    pairs = np.zeros((2, 1, 8, 8), dtype=np.uint64)
    pairs[:, 0, range(8), range(8)] = dropped.counts.sum(axis=0)[:, 0]
    write_members(tmp_path / "pairs.npz", members_of_pairs(pairs, np.array([0], dtype=np.int16)))
    with pytest.raises(AnalysisError, match="layer 0: the router dropped"):
        layer_coactivation(dropped, tmp_path / "pairs.npz")


def test_another_layer_is_refused(recorded: tuple[Signatures, Trace]) -> None:
    with pytest.raises(AnalysisError, match="layer 3 has no experts"):
        layer_coactivation(*recorded, layer=3)
