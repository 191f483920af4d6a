"""Layers with 8, 5 and 3 experts: what does not exist is not dead, not drawn, not tested and not described."""

from itertools import pairwise
from math import log
from pathlib import Path

import numpy as np
import pytest

from moexray.corpus_counts import read_counts
from moexray.errors import AnalysisError
from moexray.signatures import Signatures
from moexray.stats.experts.specialisation import specialisation_tests
from moexray.studies.analysis import Analysis, analyze
from moexray.studies.comparison import compare, compare_counts
from moexray.studies.experts import describe_experts, describe_experts_of_counts

from .. import made

LAYERS, EXPERTS, TOP_K = (1, 2, 4), (8, 5, 3), 1
# The last expert of each layer is never selected.
LAST = {layer: experts - 1 for layer, experts in zip(LAYERS, EXPERTS, strict=True)}


def signatures(seed: int = 0, prompts: int = 24) -> Signatures:
    """Tokens select any of a layer's experts but the last, most often the first; one category prefers the second."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(5, 20, size=(prompts, 2))
    counts = np.zeros((prompts, 2, 3, 8), dtype=np.uint16)
    for prompt, phase, layer in np.ndindex(prompts, 2, 3):
        choices = EXPERTS[layer] - 1
        liking = np.array([6.0, 1 + 3 * (prompt % 2), 1, 1, 1, 1, 1])[:choices]
        for _ in range(tokens[prompt, phase]):
            chosen = rng.choice(choices, TOP_K, replace=False, p=liking / liking.sum())
            counts[prompt, phase, layer, chosen] += 1
    made_up = made.signatures(counts=counts, tokens=tokens, layers=LAYERS, top_k=TOP_K)
    return made_up.replace(experts=np.array(EXPERTS, dtype=np.int16))


def entropy(selections: list[int]) -> float:
    total = sum(selections)
    return -sum(n / total * log(n / total) for n in selections if n) / log(len(selections))


def selections_of(of: Signatures, layer: int) -> list[int]:
    place = LAYERS.index(layer)
    return [int(of.counts[:, :, place, expert].sum()) for expert in range(EXPERTS[place])]


def test_an_analysis_measures_the_load_over_the_experts_that_exist() -> None:
    of = signatures()
    found = analyze(of, permutations=9)
    assert found.signatures.experts_by_layer == EXPERTS
    for load in found.loads:
        selections = selections_of(of, load.layer)
        assert list(load.selections) == selections
        assert load.entropy == pytest.approx(entropy(selections))
        assert load.max_over_mean == pytest.approx(max(selections) * len(selections) / sum(selections))
        assert load.dead_experts == 1


def test_experts_are_described_tested_and_ranked_where_they_exist() -> None:
    of = signatures()
    found = describe_experts(of, permutations=99, seed=3)
    assert [len(layer.experts) for layer in found.layers] == list(EXPERTS)
    columns = [8 * place + expert for place, experts in enumerate(EXPERTS) for expert in range(experts)]
    tests = specialisation_tests(of.vectors()[:, columns], of.prompts.categories, permutations=99, rng=3)
    expected = [[name for name, p in zip("ab", adjusted, strict=True) if p < 0.05] for adjusted in tests.adjusted.T]
    assert [[one.category for one in e.special] for layer in found.layers for e in layer.experts] == expected
    assert any(expected)
    for layer in found.layers:
        selections = selections_of(of, layer.layer)
        assert layer.balance.entropy == pytest.approx(entropy(selections))
        assert layer.balance.dead_experts == 1
        assert sorted(one.rank for one in layer.experts) == list(range(1, len(selections) + 1))
    assert found.at(4, 2).layers[0].experts[0].load == 0
    with pytest.raises(AnalysisError, match="there is no expert 3: layer 4 has experts 0 to 2"):
        found.at(4, 3)


def test_the_uniform_null_draws_the_experts_that_exist() -> None:
    """Mean cosine of random signatures, drawn token by token with another generator and another loop."""
    of = signatures()
    found = analyze(of, permutations=9).balance.uniform
    rng, means = np.random.default_rng(9), []
    for _ in range(20):
        units = []
        for tokens in of.lengths():
            counts = [np.zeros(experts) for experts in EXPERTS]
            for layer in counts:
                for _ in range(tokens):
                    layer[rng.permutation(len(layer))[:TOP_K]] += 1
            vector = np.concatenate([layer / layer.sum() for layer in counts])
            units.append(vector / np.linalg.norm(vector))
        matrix = np.array(units) @ np.array(units).T
        means.append(matrix[np.triu_indices(len(matrix), 1)].mean())
    assert found.mean == pytest.approx(np.mean(means), abs=4 * np.std(means) / 20**0.5)


def test_a_comparison_names_only_experts_that_exist_and_matches_them_layer_by_layer() -> None:
    one, other = signatures(), signatures(seed=1)
    swapped = other.counts[..., [1, 0, 2, 3, 4, 5, 6, 7]]
    found = compare(one, other.replace(counts=swapped), permutations=199)
    assert [len(layer.moved) > 0 for layer in found.layers] == [True] * 3
    for layer in found.layers:
        assert {moved.expert for moved in layer.moved} <= set(range(LAST[layer.layer]))
    wider = other.replace(experts=np.array([8, 5, 4], dtype=np.int16))
    with pytest.raises(AnalysisError, match="one has 3 experts in layer 4, the other 4: they have no match"):
        compare(one, wider, permutations=9)


def test_a_table_of_counts_says_how_many_experts_each_layer_has(tmp_path: Path) -> None:
    of = signatures()
    rows = ["model,corpus,layer,expert,count,experts"]
    for layer, experts in zip(LAYERS, EXPERTS, strict=True):
        selections = selections_of(of, layer)
        for model in ("m", "n"):
            rows += [
                f"{model},c,{layer},{expert},{selections[expert]},{experts}"
                for expert in range(experts)
                if selections[expert]
            ]
    (tmp_path / "counts.csv").write_text("\n".join(rows))
    one, other = read_counts(tmp_path / "counts.csv")
    found = describe_experts_of_counts(one)
    for described, experts in zip(found.layers, EXPERTS, strict=True):
        assert [e.expert for e in described.experts] == list(range(experts))
        assert described.balance.entropy == pytest.approx(entropy(selections_of(of, described.layer)))
        assert described.balance.dead_experts == 1
    assert [compared.jensen_shannon for compared in compare_counts(one, other).layers] == [0.0] * 3


def test_equal_layers_are_not_listed_one_by_one() -> None:
    found: Analysis = analyze(made.signatures(), permutations=9)
    assert (found.signatures.experts, found.signatures.experts_by_layer) == (8, None)


def test_layers_of_the_file_come_back(tmp_path: Path) -> None:
    signatures().save(tmp_path / "s.npz")
    analyze(Signatures.open(tmp_path / "s.npz"), permutations=9).save(tmp_path / "a.json")
    read = Analysis.load(tmp_path / "a.json")
    assert read.belongs_to(signatures())
    assert all(one.layer < other.layer for one, other in pairwise(read.loads))
    assert [load.dead_experts for load in read.loads] == [1, 1, 1]
