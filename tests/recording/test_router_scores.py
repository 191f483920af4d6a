"""``--record scores``: the router scores of all experts go into the trace, and come out of it as they were."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from moexray import trace_file
from moexray.engines.transformers.engine import TransformersEngine
from moexray.errors import CaptureError, ModelError, TraceError
from moexray.generation import Generation
from moexray.merging import merge
from moexray.prompts import Prompt
from moexray.recording.capture import capture_with
from moexray.recording.counting import signatures_in_blocks, totals_of
from moexray.routed_tokens import RoutedTokens
from moexray.routing import RoutedSequence, RouterLayout, plain_segments
from moexray.signatures import Signatures
from moexray.trace import Trace
from moexray.trace_file import write_trace

from .killing import run
from .made_engine import MadeEngine

# Two layers, the second with fewer experts and a smaller k.
LAYOUT = RouterLayout(layers=(1, 3), experts=(6, 4), top_k=(2, 1))


def sequence(tokens: int, rng: np.random.Generator) -> RoutedSequence:
    """Return tokens whose routers take the experts of the greatest scores; some are ruled out in the first layer."""
    scores = rng.normal(size=(tokens, 2, 6)).astype(np.float16)
    scores[:, 0, :2] = np.where(rng.random((tokens, 1)) < 0.3, -np.inf, scores[:, 0, :2])
    scores[:, 1, 4:] = -np.inf
    experts = np.argsort(-scores.astype(float), axis=2)[:, :, :2].astype(np.int16)
    experts[:, 1, 1] = -1
    weights = np.ones(experts.shape, dtype=np.float16)
    token_ids = np.arange(tokens, dtype=np.int32)
    return RoutedSequence(token_ids, plain_segments(tokens - 1, 1), experts, "", weights, scores)


@pytest.fixture
def made(tmp_path: Path) -> tuple[Trace, list[RoutedSequence]]:
    rng = np.random.default_rng(0)
    sequences = [sequence(tokens, rng) for tokens in (5, 2, 9)]
    prompts = [Prompt("x", category="c", id=f"p{i}") for i in range(3)]
    ids = [prompt.id for prompt in prompts]
    write_trace(tmp_path / "t.trace.parquet", sequences, ids, LAYOUT, str, scores=True)
    totals = [totals_of(one, LAYOUT) for one in sequences]
    signatures = merge(list(signatures_in_blocks(totals, prompts, LAYOUT, {"model": "made"})))
    return Trace.open(tmp_path / "t.trace.parquet", signatures), sequences


def all_of(trace: Trace) -> RoutedTokens:
    return RoutedTokens.joined(list(trace.blocks(scores=True)))


def test_scores_are_those_that_were_recorded(made: tuple[Trace, list[RoutedSequence]]) -> None:
    trace, sequences = made
    found = all_of(trace)
    np.testing.assert_array_equal(
        found.scores, np.concatenate([one.scores for one in sequences if one.scores is not None])
    )
    rows = parquet.read_table(trace.path)["scores"].to_pylist()
    assert [len(row) for row in rows] == [6, 4] * 16


def test_scores_are_read_where_they_are_asked_for(made: tuple[Trace, list[RoutedSequence]]) -> None:
    trace, _ = made
    (plain,), (asked,) = trace.blocks(), trace.blocks(scores=True)
    assert plain.scores is None
    assert asked.scores is not None
    generated = asked.select("generated")
    assert generated.scores is not None
    np.testing.assert_array_equal(generated.scores, asked.scores[asked.generated])
    assert RoutedTokens.joined([plain, asked]).scores is None


def test_row_groups_are_smaller_where_layers_have_many_experts(
    made: tuple[Trace, list[RoutedSequence]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace, sequences = made
    before = all_of(trace).scores
    monkeypatch.setattr(trace_file, "_MOST_SCORES", 60)  # ten rows of six: five tokens
    write_trace(trace.path, sequences, ["p0", "p1", "p2"], LAYOUT, str, scores=True)
    assert parquet.ParquetFile(trace.path).num_row_groups == 2
    parts = list(trace.blocks(scores=True))
    assert len(parts) > 1
    np.testing.assert_array_equal(RoutedTokens.joined(parts).scores, before)


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.large_list(pa.float64()), pa.list_(pa.float16())])
def test_a_trace_that_others_wrote_again_has_the_same_scores(
    made: tuple[Trace, list[RoutedSequence]], kind: pa.DataType
) -> None:
    trace, _ = made
    before = all_of(trace).scores
    with_column(trace.path, pa.array(parquet.read_table(trace.path)["scores"].to_pylist(), kind))
    np.testing.assert_array_equal(all_of(trace).scores, before)


def put(value: Any, row: int, place: int | None = None) -> Callable[[list[Any]], None]:
    """Return what puts a value into the place of a row, or in place of the row."""

    def change(rows: list[Any]) -> None:
        if place is None:
            rows[row] = value
        else:
            rows[row][place] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows[3].pop(), "a token has 3 router scores in layer 3, which has 4 experts"),
        (put(np.nan, 2, 4), "score of layer 1 is no number that half precision holds"),
        (put(1e5, 2, 4), "score of layer 1 is no number that half precision holds"),
        (put(None, 2, 4), "a row without one of its router scores"),
        (put(None, 2), "a row without scores"),
        (lambda rows: rows[0].sort(key=abs), "layer 1 selected"),
    ],
)
def test_scores_that_do_not_go_with_the_selections_are_refused(
    made: tuple[Trace, list[RoutedSequence]], change: Callable[[list[Any]], None], said: str
) -> None:
    trace, _ = made
    rows = parquet.read_table(trace.path)["scores"].to_pylist()
    change(rows)
    with_column(trace.path, pa.array(rows, pa.list_(pa.float32())))
    with pytest.raises(TraceError, match=f"{said}.*: `moexray capture --record scores` writes both"):
        all_of(trace)


@pytest.mark.parametrize(("kind", "value"), [(pa.int32(), 1), (pa.list_(pa.int16()), [1]), (pa.float16(), 1.0)])
def test_a_column_of_other_things_is_refused(
    made: tuple[Trace, list[RoutedSequence]], kind: pa.DataType, value: Any
) -> None:
    trace, _ = made
    with_column(trace.path, pa.array([value] * 32, kind))
    with pytest.raises(TraceError, match=r"in the column 'scores': a trace has lists of fractions there"):
        Trace.open(trace.path, trace.signatures)


def with_column(path: Path, column: pa.Array) -> None:
    table = parquet.read_table(path)
    parquet.write_table(table.set_column(table.schema.get_field_index("scores"), "scores", column), path)


def test_a_trace_without_scores_says_how_to_get_them(tmp_path: Path, made: tuple[Trace, list[RoutedSequence]]) -> None:
    trace, sequences = made
    write_trace(trace.path, sequences, ["p0", "p1", "p2"], LAYOUT, str)
    assert len(list(trace.blocks())) == 1
    with pytest.raises(TraceError, match="no router scores: `moexray capture --record scores` writes"):
        all_of(trace)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, tiny_olmoe_folder: str) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    run(folder, tiny_olmoe_folder, record="scores")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_a_capture_that_is_stopped_and_goes_on_writes_the_same_bytes(
    tmp_path: Path, tiny_olmoe_folder: str, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``scores`` bring the trace with them, by whichever name they are asked for."""
    plain, runs = TransformersEngine.run, 0

    def stopping(self: TransformersEngine, *args: Any, **options: Any) -> Iterator[tuple[int, RoutedSequence]]:
        nonlocal runs
        runs += 1
        if runs % 3 == 0:
            raise KeyboardInterrupt
        return plain(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(TransformersEngine, "run", stopping)
        for record in ("scores", "scores,trace", ("trace", "scores")):
            with pytest.raises(KeyboardInterrupt):
                run(tmp_path, tiny_olmoe_folder, record=record)
    run(tmp_path, tiny_olmoe_folder, record="scores")
    assert contents(tmp_path) == contents(undisturbed)
    assert list(contents(tmp_path)) == ["out.npz", "out.trace.parquet"]


def test_a_capture_without_scores_does_not_go_on_with_them(
    tmp_path: Path, tiny_olmoe_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TransformersEngine, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, tiny_olmoe_folder, record="trace")
    with pytest.raises(CaptureError, match=r"`record` \['trace'\] and not \['scores', 'trace'\]"):
        run(tmp_path, tiny_olmoe_folder, record="scores")


def test_all_else_is_recorded_as_without_scores(undisturbed: Path, tmp_path: Path, tiny_olmoe_folder: str) -> None:
    plain = run(tmp_path, tiny_olmoe_folder, record="trace")
    with_scores = Signatures.load(undisturbed / "out.npz")
    np.testing.assert_array_equal(plain.counts, with_scores.counts)
    table, other = (parquet.read_table(folder / "out.trace.parquet") for folder in (tmp_path, undisturbed))
    assert other.drop_columns(["scores"]).equals(table)
    assert with_scores.meta["router_scores"] == ["probabilities"]
    assert {**with_scores.meta, "router_scores": None} == {**plain.meta, "router_scores": None}
    trace = Trace.open(undisturbed / "out.trace.parquet", with_scores)
    assert merge([plain.replace(prompts=plain.prompts)]).shape == with_scores.shape
    scores = all_of(trace).scores
    assert scores is not None
    np.testing.assert_allclose(scores.astype(np.float64).sum(axis=2), 1, atol=2e-3)


def test_an_engine_without_scores_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="engine made does not offer scores for this model: it offers weights"):
        capture_with(MadeEngine(), [Prompt("abc", "c", "p")], out=tmp_path / "s.npz", record=["scores"])
    with pytest.raises(CaptureError, match="trace is written to a file: say with `out` where"):
        capture_with(MadeEngine(), [Prompt("abc", "c", "p")], record=["scores"])


class Promising(MadeEngine):
    """Says that it has scores, and gives what it is told."""

    def __init__(self, scores: Callable[[RoutedSequence], Any]) -> None:
        super().__init__(capabilities=("weights", "scores"))
        self._scores = scores

    def run(self, *args: Any, **options: Any) -> Iterator[tuple[int, RoutedSequence]]:
        for place, found in super().run(*args, **options):
            values = vars(found) | {"scores": self._scores(found)}
            yield place, RoutedSequence(**values)


def of_selected(found: RoutedSequence) -> Any:
    scores = np.zeros((*found.experts.shape[:2], 5), dtype=np.float16)
    np.put_along_axis(scores, found.experts.astype(np.int64), np.float16(0.5), axis=2)
    return scores


@pytest.mark.parametrize(
    ("scores", "problem"),
    [
        (lambda _found: None, "its scores are missing"),
        (lambda found: of_selected(found)[:, :, :4], r"its scores are float16 \(2, 4\) for each token, where \(2, 5\)"),
        (lambda found: -of_selected(found), "that layer 0 selected are not those of its greatest scores"),
        (lambda found: of_selected(found) * np.float16(np.nan), "score of layer 0 is no number that half precision"),
    ],
)
def test_an_engine_that_gives_other_scores_is_refused_by_prompt(
    tmp_path: Path, scores: Callable[[RoutedSequence], Any], problem: str
) -> None:
    with pytest.raises(ModelError, match=f"prompt 'p' cannot be recorded: .*{problem}"):
        capture_with(Promising(scores), [Prompt("abc", "c", "p")], out=tmp_path / "s.npz", record=["scores"])


def test_any_engine_may_give_scores(tmp_path: Path) -> None:
    found = capture_with(
        Promising(of_selected), [Prompt("abc", "c", "p")], Generation(3), out=tmp_path / "s.npz", record=["scores"]
    )
    scores = all_of(Trace.open(tmp_path / "s.trace.parquet", found)).scores
    assert scores is not None
    assert np.unique(scores).tolist() == [0, 0.5]
