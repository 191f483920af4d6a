"""What is read for a page of single prompts and tokens is what was recorded."""

from pathlib import Path

import numpy as np
import pytest

from moexray.segments import Segment
from moexray.signatures import Signatures
from moexray.stats.workloads.reached import expected_reached
from moexray.studies.category_selections import category_selections
from moexray.studies.explored_prompts import explore_prompts
from moexray.studies.explored_tokens import explore_tokens
from moexray.trace import Trace

from .. import made

SEGMENTS = (Segment("prompt"), Segment("generated"))


@pytest.fixture
def some_without_output() -> Signatures:
    """Every third prompt generated nothing."""
    tokens = [[6, 0 if i % 3 == 0 else 4] for i in range(12)]
    return made.signatures(12, tokens=tokens, categories=("b", "a"), segments=SEGMENTS)


@pytest.mark.parametrize("tokens", ["all", "prompt", "generated"])
def test_categories_add_up_to_all_selections(some_without_output: Signatures, tokens: str) -> None:
    found = category_selections(some_without_output, tokens)
    loads, lengths = some_without_output.loads(tokens), some_without_output.lengths(tokens)
    labels = np.array(some_without_output.prompts.categories)
    assert found.categories == ("a", "b")
    for place, name in enumerate(found.categories):
        np.testing.assert_array_equal(found.selections[place], loads[labels == name].sum(axis=0))
        assert found.tokens[place] == lengths[labels == name].sum()
        assert found.prompts[place] == (lengths[labels == name] > 0).sum()


def test_selections_are_the_same_whether_counts_lie_in_a_file_or_in_memory(tmp_path: Path) -> None:
    signatures = made.signatures(40)
    signatures.save(tmp_path / "signatures.npz")
    kept, read = (category_selections(one) for one in (signatures, Signatures.open(tmp_path / "signatures.npz")))
    np.testing.assert_array_equal(kept.selections, read.selections)


def test_prompts_without_a_selected_token_are_left_out(some_without_output: Signatures) -> None:
    found = explore_prompts(some_without_output, tokens="generated")
    assert found.rows.tolist() == [i for i in range(12) if i % 3]
    np.testing.assert_array_equal(found.weights, some_without_output.loads("generated")[found.rows])
    np.testing.assert_array_equal(found.tokens, [4] * 8)


def test_reached_experts_are_those_with_a_selection_beside_what_chance_gives() -> None:
    signatures = made.signatures(10, experts=16, top_k=2)
    found = explore_prompts(signatures, only=np.array([2, 7]))
    loads, lengths = signatures.loads(), signatures.lengths()
    np.testing.assert_array_equal(found.reached, (loads[[2, 7]] > 0).sum(axis=2))
    chance = expected_reached(loads.sum(axis=0), lengths.sum(), loads[[2, 7]], lengths[[2, 7]])
    np.testing.assert_allclose(found.expected, chance)


def test_gate_mass_is_what_signatures_of_gate_mass_are_shares_of() -> None:
    signatures = made.signatures(8, mass=True)
    found = explore_prompts(signatures, weighting="mass")
    np.testing.assert_allclose(found.weights, signatures.masses(), rtol=1e-6)
    np.testing.assert_array_equal(found.reached, (signatures.loads() > 0).sum(axis=2))


def test_tokens_are_those_of_the_trace_in_the_order_of_the_prompts(tmp_path: Path) -> None:
    signatures = made.trace(tmp_path / "trace.parquet", prompts=12)
    trace = Trace.open(tmp_path / "trace.parquet", signatures)
    rows = np.array([1, 4, 9])
    found = explore_tokens(trace, rows)
    read = trace.tokens(rows)
    assert found.rows.tolist() == rows.tolist()
    assert found.lengths.tolist() == signatures.lengths()[rows].tolist()
    np.testing.assert_array_equal(found.experts, read.experts)
    np.testing.assert_array_equal(found.ids[found.text], read.token_ids)
    np.testing.assert_array_equal(found.segments, read.segments)
    texts = trace.texts()
    assert list(found.texts) == [texts.get(one) for one in found.ids.tolist()]
    assert found.ranked


def test_some_prompts_of_what_was_read_are_what_reading_them_alone_gives(tmp_path: Path) -> None:
    signatures = made.trace(tmp_path / "trace.parquet", images=True)
    trace = Trace.open(tmp_path / "trace.parquet", signatures)
    rows = np.arange(1, len(signatures), 3)
    kept, alone = explore_tokens(trace, np.arange(len(signatures))).only(rows), explore_tokens(trace, rows)
    assert vars(kept).keys() == vars(alone).keys()
    for name, value in vars(alone).items():
        np.testing.assert_array_equal(vars(kept)[name], value, err_msg=name)
