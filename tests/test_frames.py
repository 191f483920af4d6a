"""Data frames and datasets hold the numbers of the signatures, each under its names."""

import numpy as np
import pytest

from moexray.errors import SignaturesError
from moexray.examples import example
from moexray.signatures import Signatures

from . import made

pd = pytest.importorskip("pandas")
pytest.importorskip("xarray")


@pytest.fixture
def pruned() -> Signatures:
    """Return layers of 4 and 3 experts, with groups and gate mass."""
    counts = made.signatures(6, layers=(0, 1), experts=3, mass=True, groups=tuple("ggghhh"))
    pad = ((0, 0), (0, 0), (0, 0), (0, 1))
    wide = np.pad(counts.counts, pad)
    wide[:, :, 0] = wide[:, :, 0][..., [3, 1, 2, 0]]
    mass = np.where(wide > 0, np.float32(0.5), np.float32(0))
    return counts.replace(counts=wide, mass=mass, experts=np.array([4, 3], dtype=np.int16))


def test_a_frame_has_a_row_for_each_prompt_segment_layer_and_expert_that_exists(pruned: Signatures) -> None:
    frame = pruned.to_frame()
    assert len(frame) == 6 * 2 * (4 + 3)
    assert list(frame) == ["id", "category", "group", "phase", "kind", "layer", "expert", "count", "mass"]
    for row in frame.itertuples():
        prompt, segment = pruned.prompts.ids.index(row.id), ("prompt", "generated").index(row.phase)
        assert row.count == pruned.counts[prompt, segment, row.layer, row.expert]
        assert row.category == pruned.prompts.categories[prompt]


@pytest.mark.parametrize("name", ["id", "layer", "mass"])
def test_a_column_of_the_prompts_does_not_hide_one_of_the_frame(name: str) -> None:
    with pytest.raises(SignaturesError, match=f"the frame has a column {name} of its own"):
        made.signatures(2, columns={name: ("1", "2")}).to_frame()


def test_sums_over_a_frame_do_not_overflow(pruned: Signatures) -> None:
    frame = pruned.to_frame()
    assert (frame["count"] * 10**6).sum() == int(pruned.counts.sum(dtype=np.int64)) * 10**6


def test_a_dataset_selects_by_name(pruned: Signatures) -> None:
    found = pruned.to_xarray()
    prompt = found.sel(prompt="p4", segment="generated/text", layer=1)
    np.testing.assert_array_equal(prompt["counts"], pruned.counts[4, 1, 1])
    np.testing.assert_array_equal(found["mass"], pruned.mass)
    assert found["experts"].to_numpy().tolist() == [4, 3]


def test_the_example_is_a_capture_and_its_trace() -> None:
    signatures, trace = example()
    assert signatures.shape == (80, 2, 16, 64)
    counted = sum(len(block) for block in trace.blocks())  # each block is checked against the signatures
    assert counted == signatures.tokens.sum()


def test_a_trace_becomes_a_frame_of_the_tokens_asked_for() -> None:
    signatures, trace = example()
    frame = trace.to_pandas("generated")
    assert len(frame) == signatures.tokens[:, 1].sum() * 16
    assert set(frame["phase"]) == {"generated"}
