"""Principal components, against scikit-learn."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score

from moexray.errors import NotComputable
from moexray.stats.categories.pca import principal_components

VECTORS = np.random.default_rng(0).random((12, 40)) @ np.diag(np.linspace(0, 1, 40))
LABELS = ["a", "b", "c"] * 4


def test_coordinates_and_variances_are_scikit_learns_up_to_sign() -> None:
    found, expected = principal_components(VECTORS, LABELS), PCA(2).fit(VECTORS)
    np.testing.assert_allclose(np.abs(found.coordinates), np.abs(expected.transform(VECTORS)), atol=1e-12)
    np.testing.assert_allclose(found.explained_variance_ratio, expected.explained_variance_ratio_)
    assert found.silhouette == pytest.approx(silhouette_score(found.coordinates, LABELS))


def test_the_order_of_prompts_does_not_turn_the_picture_round() -> None:
    forwards = principal_components(VECTORS, LABELS).coordinates
    backwards = principal_components(VECTORS[::-1], LABELS[::-1]).coordinates
    np.testing.assert_allclose(forwards, backwards[::-1], atol=1e-12)


def test_one_category_or_one_prompt_in_each_has_no_silhouette() -> None:
    assert principal_components(VECTORS, ["a"] * 12).silhouette is None
    assert principal_components(VECTORS, list("abcdefghijkl")).silhouette is None


def test_too_few_or_identical_prompts_have_no_components() -> None:
    with pytest.raises(NotComputable, match="three prompts"):
        principal_components(VECTORS[:2], LABELS[:2])
    with pytest.raises(NotComputable, match="the same"):
        principal_components(np.full((5, 4), 0.25), LABELS[:5])
