"""Every specification is the headline of its own definition of similarity."""

from itertools import combinations

import numpy as np
import pytest
from scipy.spatial.distance import cosine, jensenshannon

from moexray.stats.categories.alternatives import EVERY, representations, specifications
from moexray.stats.pairs.similarity import similarity

LABELS = ["a", "b", "c"] * 6


def loads(seed: int = 0) -> np.ndarray:  # (prompts, layers, experts)
    rng = np.random.default_rng(seed)
    likely = {label: rng.dirichlet(np.ones(6), size=2) for label in "abc"}
    return np.array([[rng.multinomial(30, likely[label][layer]) for layer in range(2)] for label in LABELS])


def shares(counts: np.ndarray) -> np.ndarray:
    return counts / counts.sum(axis=2, keepdims=True)


DEFINITIONS = {
    ("shares", "concatenated"): lambda p, q, _: 1 - cosine(p.ravel(), q.ravel()),
    ("shares", "averaged"): lambda p, q, _: np.mean([1 - cosine(a, b) for a, b in zip(p, q, strict=True)]),
    ("centred shares", "concatenated"): lambda p, q, mean: 1 - cosine((p - mean).ravel(), (q - mean).ravel()),
    ("centred shares", "averaged"): lambda p, q, mean: np.mean(
        [1 - cosine(a, b) for a, b in zip(p - mean, q - mean, strict=True)]
    ),
    ("used or not", "concatenated"): lambda p, q, _: 1 - cosine((p > 0).ravel() * 1.0, (q > 0).ravel() * 1.0),
    ("used or not", "averaged"): lambda p, q, _: np.mean(
        [1 - cosine((a > 0) * 1.0, (b > 0) * 1.0) for a, b in zip(p, q, strict=True)]
    ),
    ("square roots", "concatenated"): lambda p, q, _: np.mean(np.sqrt(p * q).sum(axis=1)),
    ("Jensen–Shannon", "averaged"): lambda p, q, _: np.mean(
        [1 - jensenshannon(a, b, base=2) ** 2 for a, b in zip(p, q, strict=True)]
    ),
}


def test_each_measure_is_its_own_definition_pair_by_pair() -> None:
    counts = loads()
    p = shares(counts)
    found = {(measure, layers): vectors for measure, layers, vectors in representations(counts)}
    assert set(found) == set(DEFINITIONS)
    for choice, vectors in found.items():
        units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        for i, j in combinations(range(0, 18, 4), 2):
            expected = DEFINITIONS[choice](p[i], p[j], p.mean(axis=0))
            assert units[i] @ units[j] == pytest.approx(expected, abs=1e-9), choice


def test_the_headline_is_among_them_and_every_category_is_left_out_in_turn() -> None:
    counts = loads()
    found = specifications({"all": counts, "prompt": counts}, LABELS, permutations=19, rng=0)
    assert len(found) == 2 * 4 * len(DEFINITIONS)
    headline = next(
        one for one in found if (one.measure, one.layers, one.left_out) == ("shares", "concatenated", EVERY)
    )
    expected = similarity(shares(counts).reshape(18, -1), LABELS)
    assert headline.cohens_d == pytest.approx(expected.cohens_d)
    assert headline.p_value == pytest.approx(1 / 20)
    without = next(one for one in found if (one.measure, one.layers, one.left_out) == ("shares", "concatenated", "b"))
    kept = [i for i, label in enumerate(LABELS) if label != "b"]
    rest = similarity(shares(counts)[kept].reshape(12, -1), [LABELS[i] for i in kept])
    assert without.cohens_d == pytest.approx(rest.cohens_d)
    assert without.auc == pytest.approx(rest.auc.value)


def test_a_category_called_none_is_left_out_as_any_other() -> None:
    names = {"a": "none", "b": "b", "c": "c"}
    plain, renamed = (
        specifications({"all": loads()}, labels, permutations=19, rng=0)
        for labels in (LABELS, [names[label] for label in LABELS])
    )
    assert {one.left_out for one in renamed} == {EVERY, "'none'", "b", "c"}
    found = {(one.measure, one.layers, one.left_out): (one.cohens_d, one.auc) for one in renamed}
    for one in plain:
        written = "'none'" if one.left_out == "a" else one.left_out
        assert found[one.measure, one.layers, written] == pytest.approx((one.cohens_d, one.auc))


def test_no_name_in_quotation_marks_is_that_of_another_category() -> None:
    names = {"a": "none", "b": "'none'", "c": "c"}
    found = specifications({"all": loads()}, [names[label] for label in LABELS], permutations=19, rng=0)
    assert {one.left_out for one in found} == {EVERY, "''none''", "'none'", "c"}


def test_prompts_without_a_token_in_a_phase_are_left_out_of_it() -> None:
    counts = loads()
    silent = counts.copy()
    silent[0] = 0
    found = specifications({"generated": silent}, LABELS, permutations=9, rng=0)
    expected = similarity(shares(counts)[1:].reshape(17, -1), LABELS[1:])
    assert found[0].cohens_d == pytest.approx(expected.cohens_d)


def test_one_category_has_no_specification_and_signatures_alike_no_effect() -> None:
    assert specifications({"all": loads()}, ["a"] * 18, permutations=9, rng=0) == []
    same = np.tile(loads()[:1], (18, 1, 1))
    assert {one.cohens_d for one in specifications({"all": same}, LABELS, permutations=9, rng=0)} == {None}
