"""A trace: every token's experts, layer by layer, read in blocks of whole prompts and checked against signatures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from moexray.errors import TraceError
from moexray.extras import import_extra
from moexray.parquet_file import reading_parquet
from moexray.routed_tokens import RoutedTokens
from moexray.segments import short_names
from moexray.signatures import MOST_IN_MEMORY, Signatures
from moexray.trace_file import (
    COLUMNS,
    SCORES,
    WEIGHTS,
    open_trace_file,
    trace_tables,
)
from moexray.trace_rows import CURE, TraceRows
from moexray.trace_weights import check_gate_weights

if TYPE_CHECKING:
    import pandas


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
                block = TraceRows(self.path, self.signatures).block(table, place_of)
            which = np.unique(block.prompts)
            if seen[which].any():
                name = self.signatures.prompts.ids[which[seen[which]][0]]
                message = f"{self.path}: the rows of prompt {name!r} are not together: {CURE}, in order"
                raise TraceError(message)
            seen[which] = True
            self._check_tokens(block, which)
            yield block
        lacking = np.flatnonzero(~seen & self.signatures.has_tokens())
        if len(lacking):
            message = f"{self.path} has no row of prompt {self.signatures.prompts.ids[lacking[0]]!r}: {CURE}"
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
        prompts = TraceRows(self.path, self.signatures).prompts(column, place_of)
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
                    message = f"{self.path} has a row without {'token' if row['token'] is None else 'token_id'}: {CURE}"
                    raise TraceError(message)
                if found.setdefault(row["token_id"], row["token"]) != row["token"]:
                    both = f"{found[row['token_id']]!r} and {row['token']!r}"
                    message = f"{self.path}: token {row['token_id']} is both {both}: it is of two tokenizers"
                    raise TraceError(message)
        return found

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
                f"{short_names(found.segments)[segment]} tokens, its signature {known}: {CURE}"
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
            message = f"{self.path}: the selections of prompt {name!r} do not add up to its signature: {CURE}"
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
