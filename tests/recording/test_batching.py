"""Batching changes nothing that is recorded, except experts whose float32 scores all but tie."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyarrow import parquet

from moexray.engines.transformers.loading import load_model
from moexray.prompts import Prompt
from moexray.recording.capture import capture

pytestmark = pytest.mark.slow

BUDGETS = (1, 30, 47, 60, 80, 100, 120, 150, 250, 100_000)
RECORD = ("trace", "weights", "coselection")
LENGTHS = [5, 33, 1, 12, 21, 3, 17, 1, 9]
# Two float32 scores closer than this, of scores of order one, may swap when a batch has another shape.
ROUNDING = 1e-5


def prompts() -> list[Prompt]:
    """Of 1 to 33 tokens, long beside short."""
    letters = np.random.default_rng(7).choice(list("abcdefghijklmnopqrstuvwxyz"), (len(LENGTHS), 33))
    texts = ["".join(row[:length]) for row, length in zip(letters, LENGTHS, strict=True)]
    return [Prompt(text, category="ab"[i % 2], id=f"p{i}") for i, text in enumerate(texts)]


def captured(folder: Path, budget: int, model: str, **options: Any) -> Path:
    """Capture into a folder of its own, and return the file of signatures."""
    out = folder / str(budget) / "out.npz"
    out.parent.mkdir(exist_ok=True)
    capture(prompts(), out=out, model=model, batch_tokens=budget, device="cpu", record=RECORD, **options)
    return out


@pytest.mark.parametrize("new_tokens", [0, 5])
def test_ten_budgets_give_the_same_files_in_float64(tmp_path: Path, tiny_olmoe_folder: str, new_tokens: int) -> None:
    """Byte for byte; all but the meta, which says what the budget was."""
    outs = [
        captured(tmp_path, budget, tiny_olmoe_folder, dtype="float64", max_new_tokens=new_tokens) for budget in BUDGETS
    ]
    first = outs[0]
    for out in outs[1:]:
        with np.load(out) as found, np.load(first) as expected:
            assert found.files == expected.files
            for name in set(found.files) - {"meta"}:
                assert found[name].tobytes() == expected[name].tobytes(), name
        for recorder in ("trace.parquet", "coselection.npz"):
            assert out.with_suffix(f".{recorder}").read_bytes() == first.with_suffix(f".{recorder}").read_bytes()


def test_in_float32_only_experts_whose_scores_all_but_tie_may_swap(tmp_path: Path, tiny_olmoe_folder: str) -> None:
    """Each that did is named, with the distance of its scores, which is rounding."""
    traces = [
        parquet.read_table(
            captured(tmp_path, budget, tiny_olmoe_folder, dtype="float32", max_new_tokens=5).with_suffix(
                ".trace.parquet"
            )
        ).to_pylist()
        for budget in BUDGETS
    ]
    swapped = []
    for trace in traces[1:]:
        assert len(trace) == len(traces[0])
        for one, other in zip(traces[0], trace, strict=True):
            assert one["token_id"] == other["token_id"]
            if set(one["experts"]) != set(other["experts"]):
                swapped.append((one, sorted(set(one["experts"]) ^ set(other["experts"]))))
    scores = scores_of(traces[0], tiny_olmoe_folder) if swapped else {}
    apart = {
        (one["prompt"], one["position"], one["layer"], tuple(experts)): np.ptp(
            scores[one["prompt"]][one["layer"]][one["position"], experts]
        )
        for one, experts in swapped
    }
    assert all(distance < ROUNDING for distance in apart.values()), apart


@torch.no_grad()
def scores_of(trace: list[dict[str, Any]], model: str) -> dict[str, dict[int, np.ndarray]]:
    """Return what each layer's router said of the tokens ``(tokens, experts)`` of each prompt, run alone."""
    loaded = load_model(model, device="cpu", dtype="float32").model
    routers = {int(path.split(".")[2]): gate for path, gate in loaded.named_modules() if path.endswith("gate")}
    said: dict[int, np.ndarray] = {}
    for layer, gate in routers.items():
        gate.register_forward_hook(lambda _m, _a, output, layer=layer: said.update({layer: output[0].numpy()}))
    ids: dict[str, list[int]] = {}
    for row in trace:
        if row["layer"] == min(routers):
            ids.setdefault(row["prompt"], []).append(row["token_id"])
    found = {}
    for prompt, tokens in ids.items():
        loaded(torch.tensor([tokens]), use_cache=False)
        found[prompt] = dict(said)
    return found


def test_the_scores_that_tell_a_near_tie_are_those_that_experts_were_chosen_by(
    tmp_path: Path, tiny_olmoe_folder: str
) -> None:
    out = captured(tmp_path, 1, tiny_olmoe_folder, dtype="float32", max_new_tokens=5)
    trace = parquet.read_table(out.with_suffix(".trace.parquet")).to_pylist()
    scores = scores_of(trace, tiny_olmoe_folder)
    for row in trace:
        of_token = scores[row["prompt"]][row["layer"]][row["position"]]
        assert of_token[row["experts"]].min() > np.delete(of_token, row["experts"]).max() - ROUNDING
