"""Signatures check themselves when made, and survive selection, merging and the file."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moexray.errors import SignaturesError
from moexray.merging import merge
from moexray.signatures import Signatures

from . import made


def signatures(prompts: int = 6, *, seed: int = 0, first: int = 0, **changes: Any) -> Signatures:
    """Two layers of seven experts, k = 3 and 2, tokens sent at random; the last prompt generates nothing."""
    tokens = np.random.default_rng(seed).integers(1, 9, size=(prompts, 2))
    tokens[-1, 1] = 0
    return made.signatures(
        prompts,
        layers=(1, 4),
        experts=7,
        top_k=(3, 2),
        tokens=tokens,
        seed=seed,
        ids=[f"p{first + i}" for i in range(prompts)],
        texts=[f"text {i}" for i in range(prompts)],
        outputs=[""] * prompts,
        meta={"created": f"day {seed}"},
    ).replace(**changes)


@pytest.mark.parametrize("phase", ["prompt", "generated", "all"])
def test_a_vector_is_each_layers_share_of_selections(phase: str) -> None:
    s = signatures()
    index = {"prompt": [0], "generated": [1], "all": [0, 1]}[phase]
    for p, vector in enumerate(s.vectors(phase)):
        for layer in range(2):
            selected = sum(s.counts[p, i, layer].astype(int) for i in index)
            share = selected / selected.sum() if selected.sum() else selected
            np.testing.assert_allclose(vector[7 * layer : 7 * layer + 7], share)


def test_a_prompt_without_a_token_in_a_phase_is_named_by_has_tokens() -> None:
    s = signatures()
    assert s.has_tokens("generated").tolist() == [True] * 5 + [False]
    assert s.has_tokens("all").all()
    assert not s.vectors("generated")[-1].any()


def test_one_selection_too_few_or_too_many_is_refused_with_its_place() -> None:
    s = signatures()
    for change in (1, -1):
        counts = s.counts.astype(np.int64)
        counts[2, 0, 1, counts[2, 0, 1].argmax()] += change
        with pytest.raises(SignaturesError, match="prompt 'p2', prompt tokens, layer 4"):
            s.replace(counts=counts.astype(np.uint32))


def test_a_router_that_may_drop_is_allowed_fewer_selections_but_never_more() -> None:
    s = signatures(meta={"router_may_drop": True})
    counts = s.counts.astype(np.uint32)
    counts[2, 0, 1, counts[2, 0, 1].argmax()] -= 1
    s.replace(counts=counts)
    counts[2, 0, 1, 0] += 2
    with pytest.raises(SignaturesError, match="selections"):
        s.replace(counts=counts)


@pytest.mark.parametrize(
    "change",
    [
        {"categories": ("a",)},
        {"ids": ("p",) * 6},
        {"tokens": np.ones((6, 3), dtype=np.int32)},
        {"layers": np.array([1], dtype=np.int16)},
        {"layers": np.array([1, 1], dtype=np.int16)},
        {"top_k": np.array([1.5, 2.0])},
        {"texts": ("one",)},
        {"counts": np.zeros((6, 2, 2, 7))},
        {"counts": np.zeros((6, 2, 7), dtype=np.uint8)},
        {"counts": np.zeros((6, 2, 2, 0), dtype=np.uint8)},
        {"tokens": np.full((6, 2), -1, dtype=np.int32)},
        {"layers": np.array([1, 70000])},
    ],
)
def test_parts_that_do_not_fit_together_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(SignaturesError):
        signatures(**change)


def test_signatures_cannot_be_changed() -> None:
    s = signatures()
    with pytest.raises(ValueError, match="read-only"):
        s.counts[0, 0, 0, 0] = 1
    with pytest.raises(AttributeError):
        s.prompts.texts = None  # type: ignore[misc]


def test_signatures_do_not_follow_changes_of_the_array_they_were_made_from() -> None:
    s = signatures()
    tokens, counts = s.tokens.copy(), s.counts.copy()
    made = s.replace(tokens=tokens, counts=counts)
    counts[:] = 0
    tokens[:] = 0
    np.testing.assert_array_equal(made.counts, s.counts)
    np.testing.assert_array_equal(made.tokens, s.tokens)


def test_take_keeps_whole_rows_in_the_order_given() -> None:
    chosen = signatures().take([5, 1])
    assert chosen.prompts.ids == ("p5", "p1")
    np.testing.assert_array_equal(chosen.counts, signatures().counts[[5, 1]])
    assert chosen.prompts.texts == ("text 5", "text 1")


def test_no_prompt_at_all_gives_no_vector() -> None:
    assert signatures().take([]).vectors().shape == (0, signatures().vectors().shape[1])


@given(cut=st.integers(1, 5))
def test_merging_what_was_selected_apart_gives_the_whole(cut: int) -> None:
    whole = signatures()
    merged = merge([whole.take(range(cut)), whole.take(range(cut, len(whole)))])
    np.testing.assert_array_equal(merged.counts, whole.counts)
    assert (merged.prompts.ids, merged.prompts.texts, merged.meta) == (
        whole.prompts.ids,
        whole.prompts.texts,
        whole.meta,
    )


def test_merging_keeps_what_the_parts_differ_in_by_circumstance() -> None:
    merged = merge([signatures(seed=1), signatures(seed=2, first=10)])
    assert merged.meta == {"model": "made-up", "created": ["day 1", "day 2"]}


def test_merging_again_lists_circumstances_flat() -> None:
    once = merge([signatures(seed=1), signatures(seed=2, first=10)])
    assert merge([once, signatures(seed=3, first=20)]).meta["created"] == ["day 1", "day 2", "day 3"]


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        (signatures(first=10, meta={"model": "another"}), "model"),
        (signatures(first=10, layers=np.array([1, 5], dtype=np.int16)), "layers"),
        (signatures(), "id 'p0'"),
    ],
)
def test_merging_what_does_not_belong_together_is_refused(other: Signatures, problem: str) -> None:
    with pytest.raises(SignaturesError, match=problem):
        merge([signatures(), other])


def of_model(parts: Mapping[str, str], first: int = 0, *, model: str = "model") -> Signatures:
    """Return signatures of a model with this fingerprint."""
    return signatures(first=first, meta={"model": model, "end_tokens": [2], "fingerprint": parts})


PARTS = {"weights": "w", "configuration": "c", "tokenizer": "t", "chat_template": "m"}


@pytest.mark.parametrize("part", [*PARTS, "adapter"])
def test_merging_models_of_one_name_that_are_not_the_same_is_refused(part: str) -> None:
    with pytest.raises(SignaturesError, match=f"differ in the {part.replace('_', ' ')} of their model"):
        merge([of_model(PARTS), of_model({**PARTS, part: "another"}, 10)])


def test_merging_goes_by_the_model_and_not_by_its_path() -> None:
    merged = merge([of_model(PARTS, model="./tuned"), of_model(PARTS, 10, model="/models/tuned")])
    assert merged.meta == {"model": "./tuned", "end_tokens": [2], "fingerprint": PARTS}


def test_what_earlier_versions_did_not_record_is_left_out_of_a_merged_file() -> None:
    earlier = signatures(first=10, meta={"model": "model"})
    assert merge([of_model(PARTS), earlier]).meta == {"model": "model"}
    assert merge([earlier, of_model(PARTS)]).meta == {"model": "model"}


def test_templates_that_were_given_another_date_are_another_thing() -> None:
    days = [of_model(PARTS, first) for first in (0, 10)]
    dated = [one.replace(meta={**one.meta, "template_date": day}) for one, day in zip(days, "12", strict=True)]
    with pytest.raises(SignaturesError, match="differ in template_date: '1' and '2'"):
        merge(dated)


def test_merging_nothing_is_refused() -> None:
    with pytest.raises(SignaturesError, match="nothing to merge"):
        merge([])
