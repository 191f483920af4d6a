"""Files beside the signatures: the trace of every token, and the experts that are selected together."""

import re
import shutil
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from moexray.errors import CaptureError
from moexray.prompts import Prompt
from moexray.recording.capture import capture
from moexray.recording.recorders.coselection import count_pairs
from moexray.routing import RoutedSequence, RouterLayout, plain_segments
from moexray.signatures import Signatures

ROOT = Path(__file__).parents[2]
PROMPTS = [Prompt("abcd", "first", "one"), Prompt("xy", "second", "two"), Prompt("mnopqrs", "first", "three")]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, tiny_olmoe_folder: str) -> Path:
    out = tmp_path_factory.mktemp("recorders") / "out.npz"
    capture(PROMPTS, out=out, model=tiny_olmoe_folder, max_new_tokens=4, record=("trace", "coselection"))
    return out


def trace_of(out: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parquet.read_table(out.with_suffix(".trace.parquet")).to_pylist()
    return rows


def test_the_trace_has_a_row_for_every_token_and_layer_in_order(out: Path) -> None:
    found = Signatures.load(out)
    rows = trace_of(out)
    expected = [
        (prompt.id, position, layer)
        for prompt, tokens in zip(PROMPTS, found.tokens.sum(axis=1), strict=True)
        for position, layer in product(range(tokens), found.layers.tolist())
    ]
    assert [(row["prompt"], row["position"], row["layer"]) for row in rows] == expected


def test_the_traces_tokens_are_the_prompt_and_what_was_generated(out: Path) -> None:
    """All but the last token that was generated, which passes no router."""
    found = Signatures.load(out)
    assert found.prompts.outputs is not None
    for prompt, output in zip(PROMPTS, found.prompts.outputs, strict=True):
        rows = [row for row in trace_of(out) if row["prompt"] == prompt.id and row["layer"] == 0]
        written = {
            phase: "".join(row["token"] for row in rows if row["phase"] == phase) for phase in found_phases(rows)
        }
        assert written["prompt"] == prompt.text
        assert written["generated"] == output.replace(" ", "")[:3]


def found_phases(rows: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["phase"] for row in rows))


def test_the_trace_counted_is_the_signatures(out: Path) -> None:
    found = Signatures.load(out)
    counts = np.zeros_like(found.counts)
    for row in trace_of(out):
        place = (
            found.prompts.ids.index(row["prompt"]),
            int(row["phase"] == "generated"),
            found.layers.tolist().index(row["layer"]),
        )
        for expert in row["experts"]:
            counts[(*place, expert)] += 1
        assert len(row["gate_weights"]) == len(row["experts"])
    np.testing.assert_array_equal(counts, found.counts)


def test_the_trace_has_the_columns_that_the_docs_list(out: Path) -> None:
    schema = parquet.read_schema(out.with_suffix(".trace.parquet"))
    page = (ROOT / "docs" / "trace.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == schema.names
    assert [str(kind).partition("<")[0] for kind in schema.types] == [
        "dictionary", "int32", "int32", "dictionary", "dictionary", "dictionary", "int16", "list", "list",
    ]  # fmt: skip


def test_the_programs_of_the_docs_run(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for suffix in (".trace.parquet", ".coselection.npz"):
        shutil.copy(out.with_suffix(suffix), tmp_path / f"signatures{suffix}")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "trace.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    found: dict[str, Any] = {}
    for block in blocks:
        exec(block, found)
    sent = Counter(row["token"] for row in trace_of(out) if row["layer"] == 3 and 7 in row["experts"])
    assert found["tokens"] == sent
    assert found["together"].max() == 1


def test_pairs_are_those_of_a_loop_over_tokens_and_layers(out: Path) -> None:
    with np.load(out.with_suffix(".coselection.npz"), allow_pickle=False) as file:
        pairs, layers = file["pairs"], file["layers"].tolist()
    expected = np.zeros_like(pairs)
    for row in trace_of(out):
        for first, second in product(row["experts"], repeat=2):
            expected[int(row["phase"] == "generated"), layers.index(row["layer"]), first, second] += 1
    np.testing.assert_array_equal(pairs, expected)


def test_lots_of_tokens_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    layout = RouterLayout(layers=(0, 1), experts=(5, 5), top_k=(2, 1))
    sequences = []
    for _ in range(9):
        experts = rng.permuted(np.tile(np.arange(5, dtype=np.int16), (4, 2, 1)), axis=2)[:, :, :2]
        experts[:, 1, 1] = -1
        sequences.append(RoutedSequence(np.zeros(4, dtype=np.int32), plain_segments(3, 1), experts, output=""))
    whole = count_pairs(sequences, layout)
    monkeypatch.setattr("moexray.recording.recorders.coselection._TOKENS", 5)
    np.testing.assert_array_equal(count_pairs(sequences, layout), whole)
    assert whole.sum() == 9 * 4 * (2 * 2 + 1)


def test_a_file_that_is_recorded_needs_a_place() -> None:
    with pytest.raises(CaptureError, match="trace is written to a file: say with `out` where"):
        capture(PROMPTS, model="no/such-model", record="trace,weights")


def test_what_no_recorder_records_is_refused(tmp_path: Path) -> None:
    taken = "trace, coselection, scores, weights"
    with pytest.raises(CaptureError, match=f"'logits' cannot be recorded: `record` takes {taken}"):
        capture(PROMPTS, out=tmp_path / "out.npz", model="no/such-model", record=["logits"])
