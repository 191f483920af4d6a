"""The blocks of a trace, read once where they fit memory, and again and again where they do not."""

from collections.abc import Iterator

from moexray.routed_tokens import RoutedTokens
from moexray.signatures import Signatures
from moexray.trace import Trace

# Selections of a trace that is held in memory.
MOST_HELD = 2**24


class TraceBlocks:
    """Go through the blocks of a trace as often as needed."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.signatures: Signatures = trace.signatures
        selections = int(self.signatures.tokens.sum()) * int(self.signatures.top_k.astype(int).sum())
        self._held: list[RoutedTokens] | None = list(trace.blocks()) if selections <= MOST_HELD else None

    def __iter__(self) -> Iterator[RoutedTokens]:
        """Yield the blocks in the order of the file."""
        return iter(self._held) if self._held is not None else self.trace.blocks()
