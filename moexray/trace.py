"""A trace: every token's experts, layer by layer, read in blocks of whole prompts and checked against signatures."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from moexray.errors import TraceError
from moexray.extras import import_extra
from moexray.parquet_file import reading_parquet
from moexray.router_scores import problem_of_scores
from moexray.segments import Segment, places, short_names
from moexray.signatures import MOST_IN_MEMORY, Signatures
from moexray.trace_file import (
    COLUMNS,
    SCORES,
    WEIGHTS,
    column_names,
    column_numbers,
    open_trace_file,
    trace_tables,
)
from moexray.trace_weights import check_gate_weights, problem_of_weights

if TYPE_CHECKING:
    import pandas

_CURE = "`moexray capture --record trace` writes both"
_CURE_OF_SCORES = "`moexray capture --record scores` writes both"


@dataclass(frozen=True)
class RoutedTokens:
    """Tokens of whole prompts, one after the other.

    Attributes
    ----------
    prompts
        The place of each token's prompt among those of the signatures ``(tokens,)``.
    positions, token_ids
        Place in the prompt, from zero, and id ``(tokens,)``.
    segments
        The place of its segment among those of the signatures ``(tokens,)``.
    experts
        What each layer selected for it ``(tokens, layers, k)``, −1 where fewer than k.
    segment_names
        The segments of the signatures.
    scores
        What each router took its top k of, for every expert ``(tokens, layers, experts)``, −∞ for one that it ruled out
        or does not have; None where it was not asked for.
    weights
        Gate weights, float32, shaped as `experts`, 0 where fewer than k; None where they were not asked for.
    """

    prompts: NDArray[np.int64]
    positions: NDArray[np.int64]
    token_ids: NDArray[np.int64]
    segments: NDArray[np.int64]
    experts: NDArray[np.int16]
    segment_names: tuple[Segment, ...]
    scores: NDArray[np.float16] | None = None
    weights: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def generated(self) -> NDArray[np.bool_]:  # (tokens,)
        """Which tokens the model wrote."""
        return np.array([one.phase == "generated" for one in self.segment_names])[self.segments]

    def take(self, which: NDArray[Any]) -> "RoutedTokens":
        """Return some of the tokens."""
        return RoutedTokens(
            prompts=self.prompts[which],
            positions=self.positions[which],
            token_ids=self.token_ids[which],
            segments=self.segments[which],
            experts=self.experts[which],
            segment_names=self.segment_names,
            scores=None if self.scores is None else self.scores[which],
            weights=None if self.weights is None else self.weights[which],
        )

    @staticmethod
    def joined(parts: "Sequence[RoutedTokens]") -> "RoutedTokens":
        """Return the tokens of several blocks, one after the other."""
        names = ("prompts", "positions", "token_ids", "segments", "experts")
        arrays: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        for name in ("scores", "weights"):
            found = [getattr(part, name) for part in parts if getattr(part, name) is not None]
            arrays[name] = np.concatenate(found) if len(found) == len(parts) else None
        return RoutedTokens(**arrays, segment_names=parts[0].segment_names)

    def select(self, tokens: str) -> "RoutedTokens":
        """Return the tokens of the segments that a selector names; see `moexray.segments.places`."""
        chosen = places(tokens, self.segment_names)
        return self if len(chosen) == len(self.segment_names) else self.take(np.isin(self.segments, chosen))


@dataclass(frozen=True, eq=False)
class Trace:
    """A trace and the signatures beside it, which say what the prompts' categories are."""

    path: Path
    signatures: Signatures

    @staticmethod
    def open(path: str | Path, signatures: Signatures) -> "Trace":
        """Check that the file is there and is a trace; its rows are checked when they are read.

        Raises
        ------
        TraceError
            If the file cannot be read or lacks a column.
        MissingExtra
            If pyarrow is not installed.
        """
        path = Path(path)
        open_trace_file(path)
        return Trace(path, signatures)

    def blocks(self, *, scores: bool = False, weights: bool = False) -> Iterator[RoutedTokens]:
        """Yield the tokens in blocks of whole prompts, in the order of the file, some 262,144 rows at a time.

        Row groups may end anywhere, as where pandas or polars wrote the file again.

        Parameters
        ----------
        scores, weights
            Whether to read the router scores of all experts, and gate weights, which then must be there.

        Raises
        ------
        TraceError
            If rows are out of order, a prompt is missing, unknown or there twice, a prompt's selections are not those
            of its signature, or its router scores are missing or do not explain them.
        """
        columns = [*([SCORES] if scores else []), *([WEIGHTS] if weights else [])]
        for block in self.unchecked_blocks(columns):
            self._check_counts(block, np.unique(block.prompts))
            yield block

    def unchecked_blocks(self, columns: Sequence[str] = (), *, rows: int | None = None) -> Iterator[RoutedTokens]:
        """Yield what `blocks` yields for whoever compares selections with counts, of which no more is read, by himself.

        Parameters
        ----------
        columns
            ``scores`` and ``gate_weights``, where they are wanted.
        rows
            The most rows that are read at once.

        Raises
        ------
        TraceError
            As `blocks`, but for selections that are not those of the signature.
        """
        place_of = self.signatures.prompts.place_of()
        seen = np.zeros(len(place_of), dtype=bool)
        for table in self._whole_prompts(place_of, columns, rows):
            with reading_parquet(self.path, error=TraceError):
                block = self._block(table, place_of)
            which = np.unique(block.prompts)
            if seen[which].any():
                name = self.signatures.prompts.ids[which[seen[which]][0]]
                message = f"{self.path}: the rows of prompt {name!r} are not together: {_CURE}, in order"
                raise TraceError(message)
            seen[which] = True
            self._check_tokens(block, which)
            yield block
        lacking = np.flatnonzero(~seen & self.signatures.has_tokens())
        if len(lacking):
            message = f"{self.path} has no row of prompt {self.signatures.prompts.ids[lacking[0]]!r}: {_CURE}"
            raise TraceError(message)

    def _whole_prompts(self, place_of: Mapping[str, int], columns: Sequence[str], rows: int | None) -> Iterator[Any]:
        """Yield tables of whole prompts: where a row group ends inside of one, its rows wait for the rest of them."""
        import pyarrow as pa

        with open_trace_file(self.path) as file:
            there = file.schema_arrow.names
        if SCORES in columns and SCORES not in there:
            message = f"{self.path} has no router scores: `moexray capture --record scores` writes a trace with them"
            raise TraceError(message)
        if WEIGHTS in columns and WEIGHTS not in there:
            message = f"{self.path} has no gate weights: `moexray capture --record trace` writes a trace with them"
            raise TraceError(message)
        names = [*COLUMNS, *(["kind"] if "kind" in there else []), *columns]
        rest = None
        for part in trace_tables(self.path, names, experts=self.width if SCORES in columns else 1, rows=rows):
            table = part if rest is None else pa.concat_tables([rest, part])
            with reading_parquet(self.path, error=TraceError):
                waiting = self._rows_of_unfinished(table, place_of)
            whole = table.num_rows - waiting
            rest = table.slice(whole) if waiting else None
            if whole:
                yield table.slice(0, whole)
        if rest is not None:
            yield rest

    def _rows_of_unfinished(self, table: Any, place_of: Mapping[str, int]) -> int:
        """Return how many rows at the end are of a prompt whose signature counts more tokens than that."""
        column = table.column("prompt").combine_chunks()
        if column.null_count or not len(column):
            return 0
        prompts = _placed(column, place_of, self._unknown)
        others = np.flatnonzero(prompts != prompts[-1])
        last = len(prompts) - (int(others[-1]) + 1 if len(others) else 0)
        expected = int(self.signatures.tokens[prompts[-1]].sum()) * len(self.signatures.layers)
        return last if last < expected else 0

    def tokens(self, rows: NDArray[np.integer], tokens: str = "all") -> RoutedTokens:
        """Read the tokens of the prompts at these places, which are numbered anew in that order."""
        number = np.full(len(self.signatures), -1)
        number[rows] = np.arange(len(rows))
        parts = []
        for block in self.blocks():
            some = block.select(tokens)
            parts.append(some.take(number[some.prompts] >= 0))
        found = RoutedTokens.joined(parts)
        return replace(found, prompts=number[found.prompts])

    def texts(self) -> dict[int, str]:
        """Return the text of every token id, where the trace holds them.

        Raises
        ------
        TraceError
            If an id has two texts.
        """
        found: dict[int, str] = {}
        with open_trace_file(self.path) as file:
            if "token" not in file.schema_arrow.names:
                return {}
        for table in trace_tables(self.path, ["token_id", "token"]):
            with reading_parquet(self.path, error=TraceError):
                rows = table.group_by(["token_id", "token"]).aggregate([]).to_pylist()
            for row in rows:
                if None in row.values():
                    message = (
                        f"{self.path} has a row without {'token' if row['token'] is None else 'token_id'}: {_CURE}"
                    )
                    raise TraceError(message)
                if found.setdefault(row["token_id"], row["token"]) != row["token"]:
                    both = f"{found[row['token_id']]!r} and {row['token']!r}"
                    message = f"{self.path}: token {row['token_id']} is both {both}: it is of two tokenizers"
                    raise TraceError(message)
        return found

    def _block(self, table: Any, place_of: Mapping[str, int]) -> RoutedTokens:
        layers = self.signatures.layers.tolist()
        columns = {name: table.column(name).combine_chunks() for name in table.column_names}
        cells = {**columns, "one of its experts": columns["experts"].flatten()}
        if "scores" in columns:
            cells["one of its router scores"] = columns["scores"].flatten()
        empty = [name for name, column in cells.items() if column.null_count]
        if empty:
            message = f"{self.path} has a row without {empty[0]}: {_CURE_OF_SCORES if 'scores' in empty[0] else _CURE}"
            raise TraceError(message)
        tokens = table.num_rows // len(layers)
        if not np.array_equal(column_numbers(columns["layer"]), np.tile(layers, tokens)):
            message = (
                f"{self.path}: rows do not go through layers {layers} of each token: the trace is of another model, "
                "or out of order"
            )
            raise TraceError(message)
        numbers = [_placed(columns["prompt"], place_of, self._unknown)]
        numbers += [column_numbers(columns[name]) for name in ("position", "token_id")]
        by_layer = [part.reshape(tokens, -1) for part in numbers]
        if any((part != part[:, :1]).any() for part in by_layer):
            message = f"{self.path}: the layers of one token are not in rows that follow each other"
            raise TraceError(message)
        prompts, positions, token_ids = (part[:, 0] for part in by_layer)
        self._check_order(prompts, positions)
        if token_ids.min(initial=0) < 0:
            message = f"{self.path}: a token has the id {token_ids.min()}, which no vocabulary has: {_CURE}"
            raise TraceError(message)
        segments = self._segments(columns)[:: len(layers)]
        experts = self._experts(columns["experts"], layers)
        scores = self._scores(columns["scores"], experts, layers) if "scores" in columns else None
        weights = self._weights(columns[WEIGHTS], columns["experts"], experts) if WEIGHTS in columns else None
        return RoutedTokens(prompts, positions, token_ids, segments, experts, self.signatures.segments, scores, weights)

    def _segments(self, columns: Mapping[str, Any]) -> NDArray[np.int64]:
        """Return the place of each row's segment; a trace without kinds is one of texts."""
        segments = self.signatures.segments
        names = [str(one) for one in segments]
        phase, phases = column_names(columns["phase"])
        if "kind" not in columns:
            kind, kinds = np.zeros(len(phase), dtype=np.int64), ["text"]
        else:
            kind, kinds = column_names(columns["kind"])
        of_both = phase * len(kinds) + kind
        there, rows = np.unique(of_both, return_inverse=True)
        found = []
        for both in there.tolist():
            name = f"{phases[both // len(kinds)]}/{kinds[both % len(kinds)]}"
            if name not in names:
                known = ", ".join(names)
                message = f"{self.path} holds tokens that are {name}, its signatures only {known}: {_CURE}"
                raise TraceError(message)
            found.append(names.index(name))
        return np.array(found, dtype=np.int64)[rows]

    def _check_order(self, prompts: NDArray[np.int64], positions: NDArray[np.int64]) -> None:
        starts = np.flatnonzero(np.diff(prompts, prepend=-1))
        expected = np.arange(len(prompts)) - np.repeat(starts, np.diff([*starts, len(prompts)]))
        wrong = np.flatnonzero(positions != expected)
        if len(wrong):
            name = self.signatures.prompts.ids[prompts[wrong[0]]]
            message = (
                f"{self.path}: the tokens of prompt {name!r} are out of order: position {positions[wrong[0]]} stands "
                f"where {expected[wrong[0]]} belongs"
            )
            raise TraceError(message)

    def _experts(self, column: Any, layers: list[int]) -> NDArray[np.int16]:  # (tokens, layers, k)
        import pyarrow.compute as pc

        k = int(self.signatures.top_k.max())
        lengths = column_numbers(pc.list_value_length(column))
        values = column_numbers(column.flatten())
        width = np.repeat(np.tile(self.signatures.experts, len(lengths) // len(layers)), lengths)
        if lengths.max(initial=0) > k or (values < 0).any() or (values >= width).any():
            wide = int(self.signatures.experts.max())
            message = f"{self.path}: a token is sent to more than {k} experts, or to one that is not among {wide}"
            raise TraceError(message)
        dense = np.full((len(lengths), k), -1, dtype=np.int16)
        dense[np.arange(k) < lengths[:, None]] = values
        ordered = np.sort(dense, axis=1)
        if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
            message = f"{self.path}: a token is sent to one expert twice in a layer: {_CURE}"
            raise TraceError(message)
        return dense.reshape(-1, len(layers), k)

    def _weights(
        self, column: Any, selected: Any, experts: NDArray[np.int16]
    ) -> NDArray[np.float32]:  # (tokens, layers, k)
        problem = problem_of_weights(selected, column)
        if problem is not None:
            message = f"{self.path}: {problem[1]}: {_CURE}"
            raise TraceError(message)
        dense = np.zeros(experts.shape, dtype=np.float32)
        dense[experts >= 0] = column.flatten().to_numpy(zero_copy_only=False)
        return dense

    def _scores(
        self, column: Any, experts: NDArray[np.int16], layers: list[int]
    ) -> NDArray[np.float16]:  # (tokens, layers, experts)
        import pyarrow.compute as pc

        widths = self.signatures.experts.tolist()
        expected = np.tile(widths, len(experts))
        lengths = column_numbers(pc.list_value_length(column))
        wrong = np.flatnonzero(lengths != expected)
        if len(wrong):
            layer = layers[wrong[0] % len(layers)]
            message = (
                f"{self.path}: a token has {lengths[wrong[0]]} router scores in layer {layer}, which has "
                f"{expected[wrong[0]]} experts: {_CURE_OF_SCORES}"
            )
            raise TraceError(message)
        dense = np.full((len(experts), len(layers), max(widths)), -np.inf, dtype=np.float16)
        there = np.arange(max(widths)) < np.array(widths)[:, None]  # (layers, experts)
        with np.errstate(over="ignore"):  # what half precision does not hold is refused below
            dense[:, there] = column.flatten().to_numpy(zero_copy_only=False).reshape(len(experts), -1)
        problem = problem_of_scores(
            dense, experts, layers=layers, widths=widths, may_drop=bool(self.signatures.meta.get("router_may_drop"))
        )
        if problem:
            message = f"{self.path}: {problem}: {_CURE_OF_SCORES}"
            raise TraceError(message)
        return dense

    @property
    def width(self) -> int:
        """Experts of the widest layer."""
        return self.signatures.shape[3]

    def _check_tokens(self, block: RoutedTokens, which: NDArray[np.int64]) -> None:
        """Compare the number of tokens of each prompt and segment with that of the signatures."""
        found = self.signatures
        segments = len(found.segments)
        order = np.searchsorted(which, block.prompts) * segments + block.segments
        tokens = np.bincount(order, minlength=len(which) * segments).reshape(-1, segments)
        wrong = np.argwhere(tokens != found.tokens[which])
        if len(wrong):
            prompt, segment = which[wrong[0, 0]], wrong[0, 1]
            held, known = tokens[tuple(wrong[0])], found.tokens[prompt, segment]
            message = (
                f"{self.path}: prompt {found.prompts.ids[prompt]!r} has {held} "
                f"{short_names(found.segments)[segment]} tokens, its signature {known}: {_CURE}"
            )
            raise TraceError(message)

    def _check_counts(self, block: RoutedTokens, which: NDArray[np.int64]) -> None:
        """Compare what the trace says was selected with the counts of the signatures, where these are in memory."""
        found = self.signatures
        if not found.in_memory and len(found) > MOST_IN_MEMORY:
            return
        segments = len(found.segments)
        order = np.searchsorted(which, block.prompts) * segments + block.segments
        layers, width = block.experts.shape[1], self.width
        cells = ((order[:, None] * layers + np.arange(layers))[..., None] * width + block.experts)[block.experts >= 0]
        counts = np.bincount(cells, minlength=len(which) * segments * layers * width)
        different = (counts.reshape(-1, segments, layers, width) != found.counts[which]).any(axis=(1, 2, 3))
        if different.any():
            name = found.prompts.ids[which[np.argmax(different)]]
            message = f"{self.path}: the selections of prompt {name!r} do not add up to its signature: {_CURE}"
            raise TraceError(message)

    def to_pandas(self, tokens: str = "all") -> "pandas.DataFrame":
        """Return the rows of the file, of the tokens that a selector names, as a pandas data frame.

        Raises
        ------
        TraceError
            As `blocks`, or if gate weights are not finite numbers of at least 0, one for each expert.
        MissingExtra
            If pandas is not installed.
        """
        pd = import_extra("pandas", extra="frames", purpose="a data frame")
        names = {str(self.signatures.segments[i]) for i in self.signatures.places(tokens)}
        for _ in self.blocks():
            pass  # rows are checked when they are read so
        check_gate_weights(self.path)
        with reading_parquet(self.path, error=TraceError):
            frame = pd.read_parquet(self.path)
        if "kind" not in frame:
            frame["kind"] = "text"
        kept = (frame["phase"].astype(str) + "/" + frame["kind"].astype(str)).isin(names)
        return frame[kept].reset_index(drop=True)

    def _unknown(self, name: str) -> TraceError:
        return TraceError(f"{self.path} holds prompt {name!r}, which the signatures do not: {_CURE}")


def _placed(column: Any, place_of: Mapping[str, int], unknown: Callable[[str], TraceError]) -> NDArray[np.int64]:
    """Return the place of each row's name; `unknown` makes the error of one that has none."""
    indices, names = column_names(column)
    of_name = np.full(len(names), -1)
    for number in np.unique(indices):
        if names[number] not in place_of:
            raise unknown(names[number])
        of_name[number] = place_of[names[number]]
    return of_name[indices]
