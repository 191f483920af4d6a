"""Signatures in blocks give what signatures in memory give, whatever the blocks."""

from typing import Any

import numpy as np
import pytest

from moexray.stats.pairs import moments
from moexray.stats.pairs.similarity import category_effect, similarity
from moexray.stats.pairs.streaming import similarity_of_blocks
from moexray.stats.pairs.summaries import PairSummary

CLOSE: dict[str, Any] = {"abs": 1e-9, "rel": 1e-9, "nan_ok": True}


def made(sizes: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Signatures of prompts of categories a, b, … mixed, in three layers of five experts."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation([name for name, size in zip("abcd", sizes, strict=False) for _ in range(size)])
    preferences = rng.dirichlet(np.ones(5), size=(4, 3))
    shares = np.array(
        [[rng.dirichlet(8 * preferences["abcd".index(name), layer] + 0.1) for layer in range(3)] for name in labels]
    )
    return shares, labels.tolist()


def in_blocks(shares: np.ndarray, *ends: int) -> list[np.ndarray]:
    return np.split(shares, ends)


@pytest.mark.parametrize("sizes", [(12, 9, 7), (1, 8), (2, 2), (1, 1, 1), (6,)])
@pytest.mark.parametrize("ends", [(), (1,), (2, 3)])
def test_blocks_change_nothing(sizes: tuple[int, ...], ends: tuple[int, ...]) -> None:
    shares, labels = made(sizes)
    found, by_layer = similarity_of_blocks(in_blocks(shares, *ends), labels, auc=None)
    expected = similarity(shares.reshape(len(shares), -1), labels)
    assert flat(found.within, found.across) == pytest.approx(flat(expected.within, expected.across), **CLOSE)
    for part in ("by_category", "by_pair"):
        ours, theirs = getattr(found, part), getattr(expected, part)
        assert list(ours) == list(theirs)
        assert flat(*ours.values()) == pytest.approx(flat(*theirs.values()), **CLOSE)
    assert known(found.cohens_d) == pytest.approx(known(expected.cohens_d), **CLOSE)
    for ours, theirs in zip(by_layer, [category_effect(shares[:, i], labels) for i in range(3)], strict=True):
        values = [[known(each.within), known(each.across), known(each.cohens_d)] for each in (ours, theirs)]
        assert values[0] == pytest.approx(values[1], **CLOSE)
        there = np.isfinite(theirs.without_each)  # elsewhere a deviation of zero divides
        assert not (there & ~np.isfinite(ours.without_each)).any()
        np.testing.assert_allclose(ours.without_each[there], theirs.without_each[there], rtol=1e-6)


def known(value: float | None) -> float:
    return np.nan if value is None else value


def flat(*summaries: PairSummary) -> list[float]:
    return [known(f) for s in summaries for f in (s.mean, s.std, s.pairs, *(s.ci or (None, None)))]


def test_a_block_with_a_zero_signature_is_refused() -> None:
    shares, labels = made((4, 4))
    shares[5] = 0
    with pytest.raises(ValueError, match="has no signature"):
        similarity_of_blocks([shares], labels, auc=None)


@pytest.mark.parametrize("ends", [(), (1, 4), (9,)])
def test_a_prompt_without_a_signature_in_a_layer_is_left_out_of_that_layer(ends: tuple[int, ...]) -> None:
    """A router may drop every token of a prompt in one layer: the layer's values are those of the other prompts."""
    shares, labels = made((12, 9, 7))
    shares[[0, 5, 11], 1] = 0
    found, by_layer = similarity_of_blocks(in_blocks(shares, *ends), labels, auc=None)
    whole = similarity(shares.reshape(len(shares), -1), labels)
    assert flat(found.within, found.across) == pytest.approx(flat(whole.within, whole.across), **CLOSE)
    there: np.ndarray = shares[:, 1] @ np.ones(5) > 0
    others = category_effect(shares[there, 1], [name for name, kept in zip(labels, there, strict=True) if kept])
    for ours in (by_layer[1], category_effect(shares[:, 1], labels)):
        assert [ours.within, ours.across, ours.cohens_d] == pytest.approx(
            [others.within, others.across, others.cohens_d], **CLOSE
        )
        assert ours.cohens_d_ci == pytest.approx(others.cohens_d_ci, **CLOSE)
        assert ours.prompts == others.prompts == 25
        np.testing.assert_allclose(ours.without_each[there], others.without_each, rtol=1e-9)
        np.testing.assert_allclose(ours.without_each[~there], others.cohens_d, rtol=1e-9)


def test_a_layer_without_any_signature_has_no_effect() -> None:
    shares, labels = made((4, 4))
    shares[:, 2] = 0
    for found in (similarity_of_blocks([shares], labels, auc=None)[1][2], category_effect(shares[:, 2], labels)):
        assert (found.within, found.across, found.cohens_d, found.prompts) == (None, None, None, 0)
        assert np.isnan(found.without_each).all()


def test_strips_of_dimensions_and_blocks_without_a_prompt_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shares, labels = made((12, 9, 7))
    expected = similarity(shares.reshape(len(shares), -1), labels)
    monkeypatch.setattr(moments, "_MOST_BYTES", 8 * 7 * 60)
    assert len(list(moments.strips(15, 3))) > 3
    found, by_layer = similarity_of_blocks(in_blocks(shares, 0, 3, 3), labels, auc=None)
    assert flat(found.within, found.across) == pytest.approx(flat(expected.within, expected.across), **CLOSE)
    assert found.cohens_d_ci == pytest.approx(expected.cohens_d_ci, **CLOSE)
    assert by_layer[1].cohens_d == pytest.approx(category_effect(shares[:, 1], labels).cohens_d, **CLOSE)
