"""A trace: every token's experts, layer by layer, read in blocks of whole prompts and checked against signatures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.errors import TraceError
from moexray.signatures import PHASES, Phase, Signatures
from moexray.stored import StoredSignatures

COLUMNS = ("prompt", "position", "token_id", "phase", "layer", "experts")
_MOST_WHOLE = 5000
_CURE = "`moexray capture --trace` writes both"


@dataclass(frozen=True)
class RoutedTokens:
    """Tokens of whole prompts, one after the other.

    Attributes
    ----------
    prompts
        The place of each token's prompt among those of the signatures ``(tokens,)``.
    positions, token_ids
        Place in the prompt, from zero, and id ``(tokens,)``.
    generated
        Whether the model wrote it ``(tokens,)``.
    experts
        What each layer selected for it ``(tokens, layers, k)``, −1 where fewer than k.
    """

    prompts: NDArray[np.int64]
    positions: NDArray[np.int64]
    token_ids: NDArray[np.int64]
    generated: NDArray[np.bool_]
    experts: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.prompts)

    def take(self, which: NDArray[Any]) -> "RoutedTokens":
        """Return some of the tokens."""
        parts = (self.prompts, self.positions, self.token_ids, self.generated, self.experts)
        return RoutedTokens(*(part[which] for part in parts))

    def of_phase(self, phase: Phase) -> "RoutedTokens":
        """Return those of one phase, or all."""
        return self if phase == "all" else self.take(self.generated == (phase == "generated"))


@dataclass(frozen=True, eq=False)
class Trace:
    """A trace and the signatures beside it, which say what the prompts' categories are."""

    path: Path
    signatures: Signatures | StoredSignatures

    @staticmethod
    def open(path: str | Path, signatures: Signatures | StoredSignatures) -> "Trace":
        """Check that the file is there and is a trace; its rows are checked when they are read.

        Raises
        ------
        TraceError
            If pyarrow is not installed, or the file cannot be read or lacks a column.
        """
        path = Path(path)
        if not path.is_file():
            message = f"{path} is not there: `moexray capture --trace` writes a trace beside its signatures"
            raise TraceError(message)
        names = _file(path).schema_arrow.names
        missing = [name for name in COLUMNS if name not in names]
        if missing:
            message = f"{path} has no column {missing[0]!r}, so it is no trace: {_CURE}"
            raise TraceError(message)
        return Trace(path, signatures)

    def blocks(self) -> Iterator[RoutedTokens]:
        """Yield the tokens in blocks of whole prompts, in the order of the file, some 262,144 rows at a time.

        Raises
        ------
        TraceError
            If rows are out of order, a prompt is missing, unknown or there twice, or a prompt's selections are not
            those of its signature.
        """
        places = {name: place for place, name in enumerate(self.signatures.prompt_ids)}
        seen = np.zeros(len(places), dtype=bool)
        file = _file(self.path)
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=list(COLUMNS))
            if table.num_rows:
                block = self._block(table, places)
                which = np.unique(block.prompts)
                if seen[which].any():
                    name = self.signatures.prompt_ids[which[seen[which]][0]]
                    message = f"{self.path}: the rows of prompt {name!r} are not together: {_CURE}, in order"
                    raise TraceError(message)
                seen[which] = True
                self._check_counts(block, which)
                yield block
        lacking = np.flatnonzero(~seen & self.signatures.has_tokens())
        if len(lacking):
            message = f"{self.path} has no row of prompt {self.signatures.prompt_ids[lacking[0]]!r}: {_CURE}"
            raise TraceError(message)

    def tokens(self, rows: NDArray[np.integer], phase: Phase = "all") -> RoutedTokens:
        """Read the tokens of the prompts at these places, which are numbered anew in that order."""
        number = np.full(len(self.signatures), -1)
        number[rows] = np.arange(len(rows))
        parts = []
        for block in self.blocks():
            some = block.of_phase(phase)
            parts.append(some.take(number[some.prompts] >= 0))
        return RoutedTokens(
            prompts=number[np.concatenate([part.prompts for part in parts])],
            positions=np.concatenate([part.positions for part in parts]),
            token_ids=np.concatenate([part.token_ids for part in parts]),
            generated=np.concatenate([part.generated for part in parts]),
            experts=np.concatenate([part.experts for part in parts]),
        )

    def texts(self) -> dict[int, str]:
        """Return the text of every token id, where the trace holds them.

        Raises
        ------
        TraceError
            If an id has two texts.
        """
        file = _file(self.path)
        found: dict[int, str] = {}
        if "token" not in file.schema_arrow.names:
            return {}
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=["token_id", "token"])
            for row in table.group_by(["token_id", "token"]).aggregate([]).to_pylist():
                if found.setdefault(row["token_id"], row["token"]) != row["token"]:
                    both = f"{found[row['token_id']]!r} and {row['token']!r}"
                    message = f"{self.path}: token {row['token_id']} is both {both}: it is of two tokenizers"
                    raise TraceError(message)
        return found

    def _block(self, table: Any, places: Mapping[str, int]) -> RoutedTokens:
        layers = self.signatures.layers.tolist()
        columns = {name: table.column(name).combine_chunks() for name in COLUMNS}
        empty = [name for name, column in columns.items() if column.null_count]
        if empty:
            message = f"{self.path} has a row without {empty[0]}: {_CURE}"
            raise TraceError(message)
        tokens = table.num_rows // len(layers)
        if not np.array_equal(_numbers(columns["layer"]), np.tile(layers, tokens)):
            message = (
                f"{self.path}: rows do not go through layers {layers} of each token: the trace is of another model, "
                "or out of order"
            )
            raise TraceError(message)
        numbers = [_named(columns["prompt"], places, self._unknown)]
        numbers += [_numbers(columns[name]) for name in ("position", "token_id")]
        by_layer = [part.reshape(tokens, -1) for part in numbers]
        if any((part != part[:, :1]).any() for part in by_layer):
            message = f"{self.path}: the layers of one token are not in rows that follow each other"
            raise TraceError(message)
        prompts, positions, token_ids = (part[:, 0] for part in by_layer)
        self._check_order(prompts, positions)
        phases = _named(columns["phase"], {"prompt": 0, "generated": 1}, self._no_phase)[:: len(layers)]
        return RoutedTokens(prompts, positions, token_ids, phases == 1, self._experts(columns["experts"], len(layers)))

    def _check_order(self, prompts: NDArray[np.int64], positions: NDArray[np.int64]) -> None:
        starts = np.flatnonzero(np.diff(prompts, prepend=-1))
        expected = np.arange(len(prompts)) - np.repeat(starts, np.diff([*starts, len(prompts)]))
        wrong = np.flatnonzero(positions != expected)
        if len(wrong):
            name = self.signatures.prompt_ids[prompts[wrong[0]]]
            message = (
                f"{self.path}: the tokens of prompt {name!r} are out of order: position {positions[wrong[0]]} stands "
                f"where {expected[wrong[0]]} belongs"
            )
            raise TraceError(message)

    def _experts(self, column: Any, layers: int) -> NDArray[np.int16]:  # (tokens, layers, k)
        import pyarrow.compute as pc

        width, k = int(self.width), int(self.signatures.top_k.max())
        lengths = _numbers(pc.list_value_length(column))
        values = _numbers(column.flatten())
        if lengths.max(initial=0) > k or (len(values) and not 0 <= values.min() <= values.max() < width):
            message = f"{self.path}: a token is sent to more than {k} experts, or to one that is not among {width}"
            raise TraceError(message)
        dense = np.full((len(lengths), k), -1, dtype=np.int16)
        dense[np.arange(k) < lengths[:, None]] = values
        return dense.reshape(-1, layers, k)

    @property
    def width(self) -> int:
        """Experts of a layer."""
        found = self.signatures
        return found.shape[3] if isinstance(found, StoredSignatures) else found.counts.shape[3]

    def _check_counts(self, block: RoutedTokens, which: NDArray[np.int64]) -> None:
        """Compare what the trace says was selected with the counts of the signatures, where these are in memory."""
        tokens = np.zeros((len(self.signatures), 2), dtype=np.int64)
        np.add.at(tokens, (block.prompts, block.generated.astype(np.int64)), 1)
        wrong = np.argwhere(tokens[which] != self.signatures.tokens[which])
        if len(wrong):
            prompt, phase = which[wrong[0, 0]], wrong[0, 1]
            message = (
                f"{self.path}: prompt {self.signatures.prompt_ids[prompt]!r} has {tokens[prompt, phase]} tokens in the "
                f"{PHASES[phase]} phase, its signature {self.signatures.tokens[prompt, phase]}: {_CURE}"
            )
            raise TraceError(message)
        if isinstance(self.signatures, StoredSignatures):
            return
        order = np.searchsorted(which, block.prompts) * 2 + block.generated
        layers, width = block.experts.shape[1], self.width
        cells = ((order[:, None] * layers + np.arange(layers))[..., None] * width + block.experts)[block.experts >= 0]
        counts = np.bincount(cells, minlength=len(which) * 2 * layers * width).reshape(-1, 2, layers, width)
        different = (counts != self.signatures.counts[which]).any(axis=(1, 2, 3))
        if different.any():
            name = self.signatures.prompt_ids[which[np.argmax(different)]]
            message = f"{self.path}: the selections of prompt {name!r} do not add up to its signature: {_CURE}"
            raise TraceError(message)

    def _unknown(self, name: str) -> TraceError:
        return TraceError(f"{self.path} holds prompt {name!r}, which the signatures do not: {_CURE}")

    def _no_phase(self, name: str) -> TraceError:
        return TraceError(f"{self.path}: {name!r} is no phase: there are prompt and generated")


def whole_if_small(stored: StoredSignatures) -> Signatures | StoredSignatures:
    """Read signatures whole where there are few, so that every selection of a trace is compared with them."""
    return stored.load() if len(stored) <= _MOST_WHOLE else stored


def _file(path: Path) -> Any:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        message = f"reading {path} needs pyarrow: pip install 'moexray[parquet]'"
        raise TraceError(message) from error
    try:
        return parquet.ParquetFile(path)
    except (ArrowException, OSError) as error:
        message = f"{path} is not a whole Parquet file: {str(error).splitlines()[0]}"
        raise TraceError(message) from error


def _numbers(column: Any) -> NDArray[np.int64]:
    return np.asarray(column.to_numpy(zero_copy_only=False)).astype(np.int64)


def _named(column: Any, places: Mapping[str, int], unknown: Any) -> NDArray[np.int64]:
    """Return the place of each row's name; `unknown` makes the error of one that has none."""
    import pyarrow as pa

    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    indices = _numbers(encoded.indices)
    names: Sequence[str] = encoded.dictionary.to_pylist()
    of_name = np.full(len(names), -1)
    for number in np.unique(indices):
        if names[number] not in places:
            raise unknown(names[number])
        of_name[number] = places[names[number]]
    return of_name[indices]
