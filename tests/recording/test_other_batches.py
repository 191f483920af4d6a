"""A capture goes on in other batches than it began with, and says which it ran."""

from pathlib import Path

import numpy as np
import pytest

from moexray.errors import CaptureError
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.recording.capture import capture_with
from moexray.signatures import Signatures

from .made_engine import MadeEngine

PROMPTS = [Prompt("abcdefghijkl"[: 1 + i], "a", f"p{i}") for i in range(12)]
GENERATION = Generation(max_new_tokens=3)


def run(folder: Path, engine: MadeEngine, batch_tokens: int | None) -> Signatures:
    return capture_with(engine, PROMPTS, GENERATION, out=folder / "out.npz", record="trace", batch_tokens=batch_tokens)


def killed_after(folder: Path, prompts: int, batch_tokens: int | None) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(folder, MadeEngine("tokens", stop_after=prompts), batch_tokens)


# Twelve prompts of 1 to 12 tokens that generate 3: 45 tokens hold the three longest.
@pytest.mark.parametrize(
    ("lives", "used"),
    [
        ([(0, 45), (0, 1000), (None, 15)], 15),
        ([(4, 45), (None, 15)], [45, 15]),
        ([(4, 45), (2, 15), (None, 45)], [45, 15]),
        ([(4, 45), (None, None)], 45),
        ([(4, None), (None, None)], 4096),
    ],
)
def test_a_capture_goes_on_in_other_batches_and_says_which_it_ran(
    tmp_path: Path, lives: list[tuple[int | None, int | None]], used: int | list[int]
) -> None:
    """As one must after a batch that was too large and ended it; without a number it keeps the batches that it had."""
    (tmp_path / "whole").mkdir()
    whole = run(tmp_path / "whole", MadeEngine("tokens"), 45)
    for prompts, batch_tokens in lives[:-1]:
        assert prompts is not None
        killed_after(tmp_path, prompts, batch_tokens)
    found = run(tmp_path, MadeEngine("tokens"), lives[-1][1])
    np.testing.assert_array_equal(found.counts, whole.counts)
    assert found.meta["batch_tokens"] == used
    trace, expected = (folder / "out.trace.parquet" for folder in (tmp_path, tmp_path / "whole"))
    assert trace.read_bytes() == expected.read_bytes()


def test_what_is_done_is_not_run_again_and_what_is_left_fits_the_new_batches(tmp_path: Path) -> None:
    killed_after(tmp_path, 4, 45)
    engine = MadeEngine("tokens")
    run(tmp_path, engine, 15)
    costs = [len(ids) * max(len(PROMPTS[int(one[1:])].text) + 3 for one in ids) for ids in engine.ran]
    assert max(costs) <= 15
    assert sorted(one for ids in engine.ran for one in ids) == sorted(f"p{i}" for i in range(9))


def test_batches_that_an_engine_decides_cannot_be_others(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, MadeEngine("own", stop_after=2), None)
    with pytest.raises(CaptureError, match="decides what runs together"):
        run(tmp_path, MadeEngine("own"), 45)
    assert run(tmp_path, MadeEngine("own"), None).meta["batch_tokens"] is None
