"""Rows of a trace, read as tokens and checked one by one; `moexray.trace` checks prompts and counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.errors import TraceError
from moexray.routed_tokens import RoutedTokens
from moexray.router_scores import problem_of_scores
from moexray.signatures import Signatures
from moexray.trace_file import WEIGHTS, column_names, column_numbers
from moexray.trace_weights import problem_of_weights

CURE = "`moexray capture --record trace` writes both"
_CURE_OF_SCORES = "`moexray capture --record scores` writes both"


@dataclass(frozen=True, eq=False)
class TraceRows:
    """Reads rows of a trace.

    Attributes
    ----------
    path
        The file, named in errors.
    signatures
        Those beside it.
    """

    path: Path
    signatures: Signatures

    def block(self, table: Any, place_of: Mapping[str, int]) -> RoutedTokens:
        """Read the rows of whole tokens.

        Parameters
        ----------
        table
            Rows of the file.
        place_of
            The place of each prompt among those of the signatures, by its id.

        Raises
        ------
        TraceError
            If a cell is empty, rows are out of order, or a row does not fit the signatures' layers, segments or k.
        """
        layers = self.signatures.layers.tolist()
        columns = {name: table.column(name).combine_chunks() for name in table.column_names}
        cells = {**columns, "one of its experts": columns["experts"].flatten()}
        if "scores" in columns:
            cells["one of its router scores"] = columns["scores"].flatten()
        empty = [name for name, column in cells.items() if column.null_count]
        if empty:
            message = f"{self.path} has a row without {empty[0]}: {_CURE_OF_SCORES if 'scores' in empty[0] else CURE}"
            raise TraceError(message)
        tokens = table.num_rows // len(layers)
        if not np.array_equal(column_numbers(columns["layer"]), np.tile(layers, tokens)):
            message = (
                f"{self.path}: rows do not go through layers {layers} of each token: the trace is of another model, "
                "or out of order"
            )
            raise TraceError(message)
        numbers = [self.prompts(columns["prompt"], place_of)]
        numbers += [column_numbers(columns[name]) for name in ("position", "token_id")]
        by_layer = [part.reshape(tokens, -1) for part in numbers]
        if any((part != part[:, :1]).any() for part in by_layer):
            message = f"{self.path}: the layers of one token are not in rows that follow each other"
            raise TraceError(message)
        prompts, positions, token_ids = (part[:, 0] for part in by_layer)
        self._check_order(prompts, positions)
        if token_ids.min(initial=0) < 0:
            message = f"{self.path}: a token has the id {token_ids.min()}, which no vocabulary has: {CURE}"
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
                message = f"{self.path} holds tokens that are {name}, its signatures only {known}: {CURE}"
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
            message = f"{self.path}: a token is sent to one expert twice in a layer: {CURE}"
            raise TraceError(message)
        return dense.reshape(-1, len(layers), k)

    def _weights(
        self, column: Any, selected: Any, experts: NDArray[np.int16]
    ) -> NDArray[np.float32]:  # (tokens, layers, k)
        problem = problem_of_weights(selected, column)
        if problem is not None:
            message = f"{self.path}: {problem[1]}: {CURE}"
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

    def prompts(self, column: Any, place_of: Mapping[str, int]) -> NDArray[np.int64]:  # (rows,)
        """Return the place of each row's prompt among those of the signatures.

        Raises
        ------
        TraceError
            If the signatures do not hold one.
        """
        indices, names = column_names(column)
        of_name = np.full(len(names), -1)
        for number in np.unique(indices):
            if names[number] not in place_of:
                message = f"{self.path} holds prompt {names[number]!r}, which the signatures do not: {CURE}"
                raise TraceError(message)
            of_name[number] = place_of[names[number]]
        return of_name[indices]
