"""What is shown of a prompt is what the rows of its trace say."""

import json
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

import moexray
from moexray.errors import AnalysisError, SignaturesError
from moexray.segments import Segment
from moexray.studies.shown_prompt import show_prompt
from moexray.studies.shown_report import ShownPrompt
from moexray.trace import Trace

from .. import made
from ..pictured import pictured
from .test_pictures import reweighted, rewrite

TINTING = Path(__file__).parents[2] / "frontend" / "src" / "tinting.js"


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    """Layers 1, 2 and 4 take one, three and two experts of ten."""
    signatures = made.trace(tmp_path / "a.parquet", prompts=6, experts=10, k=(1, 3, 2))
    reshuffled(tmp_path / "a.parquet")
    return Trace.open(tmp_path / "a.parquet", signatures)


def reshuffled(path: Path) -> None:
    """Give selections gate weights that are not alike."""
    selected = parquet.read_table(path)["experts"].to_pylist()
    rewrite(path, "gate_weights", [[(i % 7 + j + 1) / 16 for j in range(len(row))] for i, row in enumerate(selected)])


def rows_of(trace: Trace, prompt: str, layer: int) -> list[dict[str, Any]]:
    return [
        row for row in parquet.read_table(trace.path).to_pylist() if (row["prompt"], row["layer"]) == (prompt, layer)
    ]


def unordered(trace: Trace) -> Trace:
    """Return the trace as that of an engine that gives a token's experts in ascending order."""
    return replace(trace, signatures=trace.signatures.replace(meta={"selection_order": "ascending"}))


@pytest.mark.parametrize("layer", [1, 2, 4])
def test_each_token_has_the_experts_and_weights_of_its_row(trace: Trace, layer: int) -> None:
    found = show_prompt(trace, "p3", layer=layer)
    rows = rows_of(trace, "p3", layer)
    assert [list(one.experts) for one in found.sequence] == [row["experts"] for row in rows]
    assert [list(one.weights or ()) for one in found.sequence] == [row["gate_weights"] for row in rows]
    assert [(one.position, one.text, one.phase) for one in found.sequence] == [
        (row["position"], row["token"], row["phase"]) for row in rows
    ]
    assert (found.experts, found.top_k) == (10, {1: 1, 2: 3, 4: 2}[layer])
    seen: set[int] = set()
    for one, row in zip(found.sequence, rows, strict=True):
        seen.update(row["experts"])
        assert one.reached == len(seen)


@pytest.mark.parametrize("layer", [1, 2, 4])
def test_the_leading_experts_are_the_first_choices_of_most_tokens(trace: Trace, layer: int) -> None:
    found = show_prompt(trace, "p3", layer=layer)
    rows = rows_of(trace, "p3", layer)
    first = Counter(row["experts"][0] for row in rows)
    expected = sorted(first.items(), key=lambda item: (-item[1], item[0]))[:7]
    assert [(one.expert, one.tokens) for one in found.leading] == expected
    assert [one.selected for one in found.leading] == [
        sum(expert in row["experts"] for row in rows) for expert, _ in expected
    ]
    assert [one.expert for one in found.sequence] == [row["experts"][0] for row in rows]
    assert found.others == len(rows) - sum(tokens for _, tokens in expected)
    assert found.even == 1 / 10


def test_without_an_order_a_token_is_of_the_expert_that_leads_most_of_its_own(trace: Trace) -> None:
    found = show_prompt(unordered(trace), "p3", layer=2)
    rows = rows_of(trace, "p3", 2)
    used = Counter(expert for row in rows for expert in row["experts"])
    order = [one for one, _ in sorted(used.items(), key=lambda item: (-item[1], item[0]))[:7]]
    own = [min((one for one in row["experts"] if one in order), key=order.index, default=None) for row in rows]
    assert [one.expert for one in found.leading] == order
    assert [one.expert for one in found.sequence] == own
    assert [one.tokens for one in found.leading] == [used[one] for one in order]
    assert found.others == own.count(None)
    assert found.even == 3 / 10


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.skipif(not TINTING.exists() or not shutil.which("node"), reason="the page's script or Node is not here")
def test_tokens_have_the_tints_that_the_report_gives_them(trace: Trace, *, ordered: bool) -> None:
    """The page computes them in JavaScript; the two must not drift apart."""
    shown, layers = trace if ordered else unordered(trace), (1, 2, 4)
    program = [f"import {{ byLeading }} from {json.dumps(TINTING.as_uri())};"]
    for layer in layers:
        rows = [[*row["experts"], 99, 99][:3] for row in rows_of(trace, "p3", layer)]
        where = {"start": 0, "end": len(rows), "layers": 1, "k": 3, "none": 99}
        given = (json.dumps(one) for one in ([one for row in rows for one in row], where, 0, ordered))
        program.append(f"console.log(JSON.stringify(byLeading({', '.join(given)})));")
    command = ["node", "--input-type=module", "-e", "\n".join(program)]
    printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    for layer, line in zip(layers, printed.splitlines(), strict=True):
        found, page = show_prompt(shown, "p3", layer=layer), json.loads(line)
        leading = [one.expert for one in found.leading]
        assert page["leading"] == [{"expert": one.expert, "tokens": one.tokens} for one in found.leading]
        tints = [leading.index(one.expert) + 1 if one.expert in leading else 0 for one in found.sequence]
        assert [one["tint"] for one in page["tints"]] == [f"t{tint}" for tint in tints]


def test_one_expert_tints_by_its_gate_weight_in_quarters_of_the_greatest(trace: Trace) -> None:
    found = show_prompt(trace, "p3", layer=2, expert=4)
    rows = rows_of(trace, "p3", 2)
    greatest = max(weight for row in rows for weight in row["gate_weights"])
    assert found.greatest_weight == pytest.approx(greatest)
    for one, row in zip(found.sequence, rows, strict=True):
        if 4 not in row["experts"]:
            assert one.strength is None
            continue
        share = row["gate_weights"][row["experts"].index(4)] / greatest
        assert one.strength == min(4, 1 + int(4 * share))
    assert found.expert is not None
    assert found.expert.selected == sum(4 in row["experts"] for row in rows)


def test_without_weights_one_expert_tints_by_its_rank() -> None:
    trace = moexray.example().trace
    expert = show_prompt(trace, "math-03", layer=5).leading[0].expert
    found = show_prompt(trace, "math-03", layer=5, expert=expert)
    assert not found.weighted
    ranks = [one.experts.index(expert) if expert in one.experts else None for one in found.sequence]
    assert len(set(ranks)) > 4
    assert [one.strength for one in found.sequence] == [
        None if rank is None else min(4, 1 + int(4 * (1 - rank / 8))) for rank in ranks
    ]


@pytest.mark.parametrize("tokens", ["all", "prompt", "generated"])
def test_every_layer_has_the_pairs_and_the_reached_experts_of_its_rows(trace: Trace, tokens: str) -> None:
    found = show_prompt(trace, "p2", tokens=tokens)
    assert found.layer == 2  # the middle one
    assert [one.layer for one in found.layers] == [1, 2, 4]
    for one in found.layers:
        rows = [row for row in rows_of(trace, "p2", one.layer) if tokens in ("all", row["phase"])]
        sets = [set(row["experts"]) for row in rows]
        assert one.reached == len(set.union(*sets))
        pairs = [len(a & b) / one.top_k for a, b in combinations(sets, 2)]
        assert one.shared == pytest.approx(np.mean(pairs))
        others = [
            [set(row["experts"]) for row in rows_of(trace, f"p{i}", one.layer) if tokens in ("all", row["phase"])]
            for i in (0, 1, 3, 4, 5)
        ]
        pairs = [len(a & b) / one.top_k for x, y in combinations(others, 2) for a in x for b in y]
        assert one.shared_between == pytest.approx(np.mean(pairs))
        rates = np.bincount([e for sets_ in others for s in sets_ for e in s], minlength=10) / sum(map(len, others))
        assert one.expected == pytest.approx((1 - (1 - rates) ** len(rows)).sum())
        assert one.uniform == pytest.approx(10 * (1 - (1 - one.top_k / 10) ** len(rows)))


def test_it_is_the_same_of_signatures_in_a_file(trace: Trace, tmp_path: Path) -> None:
    trace.signatures.save(tmp_path / "signatures.npz")
    read = replace(trace, signatures=type(trace.signatures).open(tmp_path / "signatures.npz"))
    assert show_prompt(read, "p2").layers == show_prompt(trace, "p2").layers


def test_a_single_prompt_has_no_others_beside_it_and_says_so(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "a.parquet", made.trace(tmp_path / "a.parquet", prompts=1))
    found = show_prompt(trace, "p0")
    assert all(one.expected is one.shared_between is None for one in found.layers)
    assert found.notes == {
        "layers.expected": "no other prompt has any token",
        "layers.shared_between": "there are no two other prompts with any token",
    }


def test_images_are_one_piece_and_name_the_experts_of_most_of_their_tokens(tmp_path: Path) -> None:
    trace = pictured(tmp_path / "a.parquet")
    reweighted(trace.path, seed=1)
    found = show_prompt(trace, "p1", layer=4)
    (piece,) = (one for one in found.pieces if one.image)
    rows = [row for row in rows_of(trace, "p1", 4) if row["kind"] == "image"]
    assert (piece.rows or 0) * (piece.columns or 0) == piece.tokens == len(rows)
    first = Counter(row["experts"][0] for row in rows)
    assert [(one.expert, one.tokens) for one in piece.leading] == sorted(
        first.items(), key=lambda item: (-item[1], item[0])
    )[:7]
    assert not any(one.image for one in show_prompt(trace, "p1", tokens="text").pieces)


def test_the_result_is_saved_and_read(trace: Trace, tmp_path: Path) -> None:
    found = show_prompt(trace, "p3", expert=4)
    found.save(tmp_path / "shown.json")
    read = ShownPrompt.load(tmp_path / "shown.json")
    assert read == found
    assert read.belongs_to(trace.signatures)
    assert len(found.to_frame()) == len(found.sequence)
    assert "layer 2: most tokens lead to" in repr(found)


def test_what_there_is_not_is_one_sentence(trace: Trace) -> None:
    with pytest.raises(AnalysisError, match="no prompt 'p33': there are such as 'p3'"):
        show_prompt(trace, "p33")
    with pytest.raises(AnalysisError, match="`layer` is 3, which has no experts: the MoE layers are 1-2, 4"):
        show_prompt(trace, "p3", layer=3)
    with pytest.raises(AnalysisError, match="`expert` is 10: layer 2 has experts 0 to 9"):
        show_prompt(trace, "p3", expert=10)
    with pytest.raises(AnalysisError, match="`expert` is -1"):
        show_prompt(trace, "p3", expert=-1)
    with pytest.raises(SignaturesError, match="no tokens are called 'image'"):
        show_prompt(trace, "p3", tokens="image")


def test_a_prompt_without_such_tokens_is_refused() -> None:
    signatures = made.signatures(
        4, tokens=[[6, 0], [6, 3], [6, 3], [6, 3]], segments=(Segment("prompt"), Segment("generated"))
    )
    with pytest.raises(AnalysisError, match="prompt 'p0' has no generated token: name others by `tokens`"):
        show_prompt(Trace(Path("never-read"), signatures), "p0", tokens="generated")
