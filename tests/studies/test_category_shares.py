"""Shares of categories are those of the report on experts; their intervals leave out prompts or groups."""

import numpy as np
import pytest
from scipy.stats import t

from moexray.errors import AnalysisError
from moexray.segments import PLAIN
from moexray.signatures import Signatures
from moexray.studies.category_shares import category_shares
from moexray.studies.experts import describe_experts

from .. import made


@pytest.mark.parametrize("tokens", ["all", "prompt"])
def test_the_shares_are_those_of_the_report_on_experts(tokens: str) -> None:
    signatures = made.signatures(24, experts=(8, 5, 3), top_k=(2, 1, 1), categories=("b", "a", "c"))
    found, report = category_shares(signatures, tokens=tokens), describe_experts(signatures, tokens=tokens)
    assert found.categories == report.categories == ("a", "b", "c")
    for mine, theirs, uniform in zip(found.layers, report.layers, (2 / 8, 1 / 5, 1 / 3), strict=True):
        assert (mine.layer, mine.uniform) == (theirs.layer, uniform)
        expected = [[one.categories[name] for one in theirs.experts] for name in found.categories]
        np.testing.assert_allclose(mine.shares, expected)
        k = uniform * len(theirs.experts)
        np.testing.assert_allclose(mine.every, [k * one.load for one in theirs.experts])


@pytest.mark.parametrize(
    ("prompts", "groups"),
    [(36, None), (60, None), (36, [f"g{i // 2 % 9}" for i in range(36)])],
    ids=["prompts", "blocks", "groups"],
)
def test_an_interval_is_the_jackknife_over_units_of_the_category(prompts: int, groups: list[str] | None) -> None:
    """Of more than 24 units, over the blocks to which they are dealt in turn."""
    signatures = made.signatures(prompts, categories=("a", "b"), groups=groups)
    layer = category_shares(signatures, layers=[2]).layers[0]
    rows = [i for i, label in enumerate(signatures.prompts.categories) if label == "b"]
    counts, lengths = signatures.loads()[rows, 1], signatures.lengths()[rows]
    units = np.arange(len(rows)) % 24 if groups is None else np.array([int(groups[row][1:]) for row in rows])
    left = np.array([counts[units != one].sum(axis=0) / lengths[units != one].sum() for one in np.unique(units)])
    half = t.ppf(0.975, len(left) - 1) * np.sqrt((len(left) - 1) / len(left) * ((left - left.mean(axis=0)) ** 2).sum(0))
    np.testing.assert_allclose(layer.low[1], np.clip(layer.shares[1] - half, 0, 1))
    np.testing.assert_allclose(layer.high[1], np.clip(layer.shares[1] + half, 0, 1))


def test_a_share_of_none_or_all_has_the_exact_interval_of_its_tokens() -> None:
    """Of 4 prompts of 10 tokens, 0 of 40: up to 1 - 0.025^(1/40) = 8.8 %, which does not vary between prompts."""
    counts = np.tile(np.array([[10, 0, 10], [5, 5, 10]], dtype=np.uint16), (4, 1)).reshape(8, 1, 1, 3)
    found = made.signatures(counts=counts, segments=PLAIN[:1], layers=(0,))
    (layer,) = category_shares(found).layers
    least = 0.025 ** (1 / 40)
    np.testing.assert_allclose(layer.shares[0], [1, 0, 1])
    np.testing.assert_allclose(layer.low[0], [least, 0, least])
    np.testing.assert_allclose(layer.high[0], [1, 1 - least, 1])
    np.testing.assert_allclose((layer.low[1, :2], layer.high[1, :2]), 0.5)


def test_uniform_routing_drops_as_many_selections() -> None:
    signatures = made.signatures(24, drops=True)
    for layer in category_shares(signatures).layers:
        assert layer.uniform == pytest.approx(layer.every.mean())
        assert layer.uniform < 2 / 8


def test_many_prompts_are_left_out_in_blocks_and_read_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals of 24 blocks of prompts are about as wide as those of 300 prompts."""
    signatures = made.signatures(600, layers=(0,), length=(5, 6))
    whole = category_shares(signatures).layers[0]
    blocks = Signatures.blocks
    monkeypatch.setattr(Signatures, "blocks", lambda self, size=None: blocks(self, 7))
    again = category_shares(signatures).layers[0]
    np.testing.assert_array_equal(whole.shares, again.shares)
    np.testing.assert_array_equal(whole.low, again.low)
    monkeypatch.setattr("moexray.studies.category_shares._MOST_BLOCKS", 300)
    each = category_shares(signatures).layers[0]
    assert np.mean(whole.high - whole.low) == pytest.approx(np.mean(each.high - each.low), rel=0.25)


def test_fewer_than_three_prompts_have_shares_and_no_interval() -> None:
    layer = category_shares(made.signatures(8, categories=("a", "a", "a", "b"))).layers[0]
    assert np.isnan(layer.low[1]).all()
    assert np.isfinite(layer.low[0]).all()
    assert np.isfinite(layer.shares).all()
    constant = made.signatures(
        counts=np.tile(np.array([10, 0, 10], dtype=np.uint16), (4, 1, 1, 1)), segments=PLAIN[:1], layers=(0,)
    )
    (layer,) = category_shares(constant).layers
    assert np.isnan([layer.low, layer.high]).all()


def test_layers_are_the_first_the_middle_and_the_last_or_those_that_are_named() -> None:
    signatures = made.signatures(8, layers=range(3, 11))
    assert [one.layer for one in category_shares(signatures).layers] == [3, 7, 10]
    assert [one.layer for one in category_shares(signatures, layers=[9, 4]).layers] == [9, 4]
    with pytest.raises(AnalysisError, match="layer 2 has no experts: the MoE layers are 3, 4"):
        category_shares(signatures, layers=[2])
