"""Predictors name what they counted: by token id, by the experts of the layer before, by the nearest request."""

import numpy as np

from moexray.stats.workloads.prediction import (
    Library,
    TokenTable,
    most_likely,
    rows_of,
    scores_from_layer_before,
    transitions,
)

from .caches import drawn_sets

LAYERS, EXPERTS, K = 3, 7, 2


def routed(tokens: int = 60, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([drawn_sets(rng, tokens, EXPERTS, K) for _ in range(LAYERS)], axis=1)


def test_the_highest_scores_are_named_and_ties_go_by_a_fixed_order() -> None:
    scores = np.array([[0.5, 0.1, 0.5, 0.5], [0, 0, 0, 1]])
    found = most_likely(scores, np.array([2, 3, 1, 0]), 2)
    assert sorted(found[0].tolist()) == [2, 3]
    assert sorted(found[1].tolist()) == [2, 3]


def test_a_token_id_is_followed_by_the_experts_that_it_used_most() -> None:
    experts, ids = routed(), np.random.default_rng(1).integers(100, 106, 60)
    experts[5, 1] = -1
    table = TokenTable(LAYERS, EXPERTS, 100)
    for part in (slice(0, 20), slice(20, 60)):
        table.add(ids[part], experts[part])
    for layer in range(LAYERS):
        for row, token in enumerate(np.unique(ids)):
            chosen = experts[ids == token, layer]
            assert table.counts[row, layer].tolist() == [int((chosen == e).sum()) for e in range(EXPERTS)]
    assert table.ids.tolist() == np.unique(ids).tolist()
    assert rows_of(table.ids, np.array([99, 100, 107])).tolist() == [6, 0, 6]
    order = np.array([6, 5, 4, 3, 2, 1, 0])
    assert sorted(table.experts(0, order, 2)[-1].tolist()) == [5, 6], "an unknown id gets the experts that go first"


def test_a_full_table_keeps_what_it_has_and_says_so() -> None:
    table = TokenTable(LAYERS, EXPERTS, 2)
    table.add(np.array([5, 3, 3, 9, 9, 9]), routed(6))
    assert table.dropped
    assert table.ids.tolist() == [3, 9]
    table.add(np.array([5, 3]), routed(2))
    assert table.counts[0].sum() == 3 * LAYERS * K


def test_transitions_count_pairs_of_experts_of_neighbouring_layers() -> None:
    experts = routed()
    experts[7, 0, 1] = -1
    found = transitions(experts, EXPERTS)
    for layer, before, after in np.ndindex(LAYERS - 1, EXPERTS, EXPERTS):
        both = (experts[:, layer] == before).any(axis=1) & (experts[:, layer + 1] == after).any(axis=1)
        assert found[layer, before, after] == both.sum()


def test_a_layer_that_copies_the_one_before_it_is_predicted_wholly() -> None:
    experts = routed(400)
    experts[:, 1] = (experts[:, 0] + 3) % EXPERTS
    scores = scores_from_layer_before(experts[:, 0], transitions(experts, EXPERTS)[0])
    found = most_likely(scores, np.arange(EXPERTS), K)
    assert np.array_equal(np.sort(found), np.sort(experts[:, 1]))


def test_the_nearest_request_is_that_of_the_highest_cosine_so_far() -> None:
    library = np.random.default_rng(2).integers(0, 9, (5, LAYERS, EXPERTS))
    experts, prompts = routed(), np.repeat([3, 8, 1], [20, 1, 39])
    found = Library.of(library).nearest(experts, prompts)
    for token in range(60):
        before = experts[:token][prompts[:token] == prompts[token]]
        counts = np.array([[(before[:, layer] == e).sum() for e in range(EXPERTS)] for layer in range(LAYERS)]).ravel()
        if not counts.any():
            assert found[token] == 5
            continue
        vectors = library.reshape(5, -1)
        cosines = vectors @ counts / np.linalg.norm(vectors, axis=1)
        assert cosines[found[token]] == max(cosines)
