"""Rankings of other files are those of their counts, and files of other models are refused."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from moexray.errors import AnalysisError
from moexray.signatures import Signatures
from moexray.studies.ablation_sources import experts_of_report, experts_of_signatures
from moexray.studies.experts import describe_experts

from .. import made

META = {"model": "some/model", "fingerprint": {"weights": "w", "configuration": "c", "tokenizer": "t"}}
MODEL: Any = SimpleNamespace(layers=(1, 2, 4), experts=(8, 8, 8), top_k=(2, 2, 2))


def signatures(**options: Any) -> Signatures:
    return made.signatures(12, meta=META, **options)


def of(found: Signatures, model: Any = MODEL, description: Any = META, scored: Any = ()) -> dict[str, Any]:
    return dict(experts_of_signatures("s.npz", found, model, description, share=0.25, scored=set(scored)))


def test_the_experts_are_those_of_the_smallest_counts() -> None:
    found = signatures()
    experts = of(found)
    assert list(experts) == ["coldest of s.npz", "least used by a of s.npz", "least used by b of s.npz"]
    counts = np.asarray(found.counts).sum(axis=1)
    for place, layer in enumerate((1, 2, 4)):
        total = counts[:, place].sum(axis=0)
        expected = sorted(sorted(range(8), key=lambda one: (total[one], one))[:2])  # called at once
        assert experts["coldest of s.npz"][layer] == tuple(expected)
        own = counts[::2, place].sum(axis=0)
        assert experts["least used by a of s.npz"][layer] == tuple(
            sorted(sorted(range(8), key=lambda one: (own[one], one))[:2])  # called at once
        )


def test_scored_prompts_are_left_out_of_a_ranking() -> None:
    found = signatures(texts=[f"text {i}" for i in range(12)])
    rest = of(found.take(range(4, 12)))
    assert of(found, scored=["p0", "p1", "text 2", "text 3"]) == rest
    with pytest.raises(AnalysisError, match=r"all prompts of s\.npz are scored here, so it teaches nothing"):
        of(found, scored=found.prompts.ids)


def test_a_report_gives_the_ranking_of_its_signatures() -> None:
    found = signatures()
    report = describe_experts(found, permutations=9)
    experts = experts_of_report("r.json", report, MODEL, META, share=0.25)
    by_signatures = of(found)
    assert experts["coldest of r.json"] == by_signatures["coldest of s.npz"]
    with pytest.raises(AnalysisError, match=r"r\.json is of model other, not some/model"):
        experts_of_report("r.json", dataclasses.replace(report, model="other"), MODEL, META, share=0.25)


@pytest.mark.parametrize(
    ("model", "description", "said"),
    [
        ({"layers": (1, 2, 3)}, META, "s.npz is of another model: it has 3 MoE layers of 8 experts, this model 3 of 8"),
        ({"experts": (8, 8, 4)}, META, "this model 3 of 4 or 8"),
        (
            {},
            {"model": "some/model", "fingerprint": {"weights": "v"}},
            "s.npz is of another model: its weights differs",
        ),
        ({}, {"model": "other"}, "s.npz is of model some/model, not other"),
    ],
)
def test_signatures_of_another_model_are_refused(model: Any, description: Any, said: str) -> None:
    other = SimpleNamespace(**{**vars(MODEL), **model})
    with pytest.raises(AnalysisError, match=said):
        of(signatures(), other, description)


def test_the_same_weights_under_another_name_are_the_same_model() -> None:
    fingerprint = {**META["fingerprint"], "tokenizer": "other"}  # type: ignore[dict-item]
    assert of(signatures(), description={"model": "a/copy", "fingerprint": fingerprint})


def test_tokens_that_select_nothing_rank_no_expert() -> None:
    counts = np.asarray(signatures().counts).copy()
    counts[1::2] = 0  # prompts of category b hold no such token
    some = signatures(counts=counts)
    assert list(of(some)) == ["coldest of s.npz", "least used by a of s.npz"]
    with pytest.raises(AnalysisError, match=r"no token of s\.npz selects an expert in some layer, so it ranks none"):
        of(signatures(counts=np.zeros_like(counts)))
