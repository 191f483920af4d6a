"""Two captures compared: the groups of the prompts are those of both, and what a test cannot show is noted."""

from pathlib import Path

import numpy as np
import pytest

from moexray.errors import AnalysisError
from moexray.signatures import Signatures
from moexray.studies.comparison import Comparison, compare

from .. import made


def captures(prompts: int = 24, groups: int | None = None) -> tuple[Signatures, Signatures]:
    """Two runs of one router."""
    names = None if groups is None else [f"g{i % groups}" for i in range(prompts)]
    first, second = (made.signatures(prompts, experts=8, length=(20, 30), seed=seed, groups=names) for seed in (1, 2))
    return first, second


def test_whole_groups_are_exchanged_and_their_number_is_told() -> None:
    plain, grouped = compare(*captures(), permutations=99), compare(*captures(groups=8), permutations=99)
    assert (plain.units, grouped.units) == (24, 8)
    assert plain.layers[0].jensen_shannon == pytest.approx(grouped.layers[0].jensen_shannon)
    assert plain.layers[0].similarity_ci != grouped.layers[0].similarity_ci


def test_groups_that_one_capture_lacks_are_those_of_the_other() -> None:
    first, second = captures(groups=8)
    expected = compare(first, second, permutations=99)
    for one, other in ((first.replace(groups=None), second), (first, second.replace(groups=None))):
        assert compare(one, other, permutations=99).layers == expected.layers


def test_groups_that_differ_are_refused() -> None:
    first, second = captures(groups=8)
    other = ("other", *second.prompts.groups[1:])
    with pytest.raises(AnalysisError, match="'p0' is of group 'g0' in one and 'other' in the other"):
        compare(first, second.replace(groups=other))


def test_what_so_few_units_cannot_show_is_noted() -> None:
    """Five groups: all but one in sixteen exchanges differ from the captures as they are."""
    found = compare(*captures(groups=5), permutations=999)
    assert "cannot be below 0.062" in found.notes["layers.p_value"]
    assert "24 experts" in found.notes["layers.moved"]
    assert compare(*captures(), permutations=9999).notes is None


def test_prompts_that_a_layer_leaves_out_are_counted() -> None:
    first, second = captures()
    counts = first.counts.copy()
    counts[5, :, 1] = 0
    found = compare(first.replace(counts=counts, meta={"router_may_drop": True}), second, permutations=99)
    assert found.notes["layers.2"].startswith("of 23 of the prompts")
    assert np.isfinite([layer.jensen_shannon for layer in found.layers]).all()


def test_a_comparison_of_before_is_read_and_a_new_one_reads_back(tmp_path: Path) -> None:
    found = compare(*captures(groups=5), permutations=99)
    found.save(tmp_path / "compared.json")
    assert Comparison.load(tmp_path / "compared.json") == found
    assert "by chance" in found.headline()[1]


def test_what_the_models_of_one_name_differ_in_is_noted() -> None:
    """As far as both captures say; captures of earlier versions say nothing of it."""
    first, second = captures()
    parts = {"weights": "w", "tokenizer": "t", "chat_template": "m"}

    def note(other: dict[str, str], **dates: str) -> str | None:
        one = first.replace(meta={"fingerprint": parts, **({"template_date": "Monday"} if dates else {})})
        notes = compare(one, second.replace(meta={"fingerprint": other, **dates}), permutations=9).notes
        return (notes or {}).get("models")

    assert note(parts) is None
    assert note({**parts, "weights": "v", "chat_template": "n"}) == "the two differ in weights and chat template"
    assert note({"tokenizer": "t", "chat_template": "m"}) is None
    assert note({}) is None
    told = note({**parts, "adapter": "a"}, template_date="Tuesday")
    assert (
        told == "the two differ in adapter; the chat template gave the date as Monday to one, as Tuesday to the other"
    )
