"""What must hold of the analysis of any signatures, however small and odd."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moexray.errors import AnalysisError
from moexray.merging import merge
from moexray.segments import PLAIN, selectors
from moexray.signatures import Signatures
from moexray.studies.analysis import analyze

from .. import made

pytestmark = pytest.mark.slow

WORDS = ("", "add", "the", "numbers", "once", "upon a time", "é", "π ≈ 3")
PAIRS = ("within", "across", "cohens_d", "cohens_d_ci")

few_examples = settings(max_examples=15)
more_examples = settings(max_examples=40)
phases = st.sampled_from(selectors(PLAIN))


@st.composite
def signatures(draw: st.DrawFn, *, least_tokens: int = 0) -> Signatures:
    """Up to twelve prompts of up to five tokens a phase; each token picks k distinct experts in every layer.

    Experts differ in how often they are picked, down to a few that always are: so signatures are often equal.
    """
    prompts, layers, experts = draw(st.integers(1, 12)), draw(st.integers(1, 3)), draw(st.integers(2, 6))
    names = draw(st.sampled_from(["a", "ab", "abc"]))
    top_k = draw(st.lists(st.integers(1, experts), min_size=layers, max_size=layers))
    lengths = st.tuples(st.integers(least_tokens, 5), st.integers(0, 5))
    tokens = np.array(draw(st.lists(lengths, min_size=prompts, max_size=prompts)), dtype=np.int32)
    words = st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join)
    texts = draw(st.none() | st.lists(words, min_size=prompts, max_size=prompts).map(tuple))
    groups = draw(st.none() | st.lists(st.sampled_from(["", "g", "h"]), min_size=prompts, max_size=prompts).map(tuple))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    liking = draw(st.sampled_from([0.0, 1.0, 50.0])) * np.arange(experts)
    counts = np.zeros((prompts, 2, layers, experts), dtype=np.uint16)
    for prompt, phase, layer in np.ndindex(prompts, 2, layers):
        scores = liking + rng.gumbel(size=(tokens[prompt, phase], experts))
        chosen = np.argsort(scores, axis=1)[:, : top_k[layer]]
        counts[prompt, phase, layer] = np.bincount(chosen.ravel(), minlength=experts)
    return made.signatures(
        counts=counts,
        tokens=tokens,
        top_k=top_k,
        categories=draw(st.lists(st.sampled_from(names), min_size=prompts, max_size=prompts)),
        groups=groups,
        texts=texts,
    )


# Signatures of which every prompt has a token, so that there is an analysis.
analyzable = signatures(least_tokens=1)


def document(of: Signatures, *, tokens: str = "all") -> Mapping[str, Any]:
    """Return what was found, without the digest of the signatures, which differs where they do."""
    found = analyze(of, tokens=tokens, permutations=9, folds=2).document
    del found["signatures"]["fingerprint"]
    return found


def assert_alike(found: Any, expected: Any, *, where: str = "") -> None:
    """Numbers to one in a million, for sums in another order round otherwise; all else exactly."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key in expected:
            assert_alike(found[key], expected[key], where=f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_alike(one, other, where=f"{where}[{number}]")
    elif isinstance(expected, float) or (isinstance(found, float) and isinstance(expected, int)):
        assert found is not None, (where, found, expected)
        assert abs(found - expected) <= 1e-6 * max(1.0, abs(expected)), (where, found, expected)
    else:
        assert found == expected, (where, found, expected)


def explained_variance(of: Mapping[str, Any]) -> list[float] | None:
    return of["pca"] and of["pca"]["explained_variance_ratio"]


def pairs_of_layers(of: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{key: row[key] for key in PAIRS} for row in of["layers"]]


@few_examples
@given(of=analyzable, seed=st.integers(0, 2**32 - 1))
def test_the_order_of_the_prompts_changes_nothing(of: Signatures, seed: int) -> None:
    """But what is drawn at random: which prompts share a fold, and which labels they get in a shuffle."""
    whole, mixed = document(of), document(of.take(np.random.default_rng(seed).permutation(len(of))))
    for key in ("signatures", "similarity", "load"):
        assert_alike(mixed[key], whole[key], where=key)
    assert_alike(pairs_of_layers(mixed), pairs_of_layers(whole), where="layers")
    assert_alike(explained_variance(mixed), explained_variance(whole), where="pca")


@few_examples
@given(of=analyzable, data=st.data())
def test_the_order_of_the_layers_is_that_of_their_rows_and_changes_nothing_else(
    of: Signatures, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(of.layers))))
    mixed = document(of.replace(counts=of.counts[:, :, order], layers=of.layers[order], top_k=of.top_k[order]))
    whole = document(of)
    for key in ("layers", "load"):
        assert_alike(mixed[key], [whole[key][number] for number in order], where=key)
    for key in ("similarity", "permutation"):
        assert_alike(mixed[key], whole[key], where=key)
    assert_alike(explained_variance(mixed), explained_variance(whole), where="pca")


@few_examples
@given(of=analyzable, names=st.permutations(["z", "story", "Математика"]))
def test_renaming_the_categories_renames_keys_and_changes_nothing_else(of: Signatures, names: list[str]) -> None:
    new = dict(zip("abc", names, strict=True))
    whole = document(of)
    renamed = document(of.replace(categories=tuple(new[name] for name in of.prompts.categories)))
    similarity = dict(whole["similarity"])
    similarity["by_category"] = {new[name]: summary for name, summary in similarity["by_category"].items()}
    similarity["by_pair"] = {
        "|".join(sorted(new[name] for name in pair.split("|"))): summary
        for pair, summary in similarity["by_pair"].items()
    }
    assert_alike(renamed["similarity"], similarity, where="similarity")
    assert renamed["signatures"]["categories"] == {new[c]: n for c, n in whole["signatures"]["categories"].items()}
    if whole["pca"] is not None:
        whole["pca"]["categories"] = [new[name] for name in whole["pca"]["categories"]]
    for key in ("permutation", "balance", "pca", "depth", "load"):
        assert_alike(renamed[key], whole[key], where=key)
    p_values = [[(row["p_value"], row["p_value_corrected"]) for row in one["layers"]] for one in (renamed, whole)]
    assert p_values[0] == p_values[1]
    assert_alike(pairs_of_layers(renamed), pairs_of_layers(whole), where="layers")


@few_examples
@given(of=analyzable)
def test_every_prompt_twice_leaves_similarity_across_and_load_as_they_were(of: Signatures) -> None:
    """Pairs across are each there four times; within, the copies of one prompt make pairs that were not there."""
    copies = of.replace(ids=tuple(f"copy of {name}" for name in of.prompts.ids))
    once, twice = document(of), document(merge([of, copies]))
    for ours, theirs in zip(twice["load"], once["load"], strict=True):
        twice_as_often = {**theirs, "selections": [2 * count for count in theirs["selections"]]}
        assert_alike(ours, twice_as_often, where="load")
    assert_alike(twice["similarity"]["across"]["mean"], once["similarity"]["across"]["mean"], where="across")
    for pair, summary in once["similarity"]["by_pair"].items():
        assert_alike(twice["similarity"]["by_pair"][pair]["mean"], summary["mean"], where=pair)
    across = [[row["across"] for row in one["layers"]] for one in (twice, once)]
    assert_alike(across[0], across[1], where="layers")


@more_examples
@given(of=signatures(), tokens=phases)
def test_any_signatures_are_analyzed_or_refused_and_every_null_has_its_reason(of: Signatures, tokens: str) -> None:
    """Nothing crashes, and no number is made up; where no prompt has a token in the phase, there is nothing."""
    if not of.has_tokens(tokens).any():
        with pytest.raises(AnalysisError, match="nothing to analyze"):
            analyze(of, tokens=tokens)
        return
    made = analyze(of, tokens=tokens, permutations=9, folds=2)
    assert json.loads(made.to_json()) == made.document  # to_json refuses NaN and infinity
    assert {key for key, value in made.document.items() if value is None} <= made.document["notes"].keys()
    assert all(made.document["notes"].values())
