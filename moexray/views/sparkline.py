"""A line of blocks whose heights are values."""

from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
PLAIN_BLOCKS = "12345678"


def sparkline(values: Sequence[float | None], low: float, high: float, *, blocks: str = BLOCKS) -> str:
    """Return one block a value; the lowest stands for `low` and the highest for `high`, a blank for none.

    Examples
    --------
    >>> sparkline([0.0, 0.5, None, 1.0], 0.0, 1.0)
    '▁▅ █'
    """
    steps = len(blocks) - 1
    width = high - low

    def block(value: float | None) -> str:
        if value is None:
            return " "
        share = (value - low) / width if width > 0 else 0.0
        return blocks[int(min(max(share, 0.0), 1.0) * steps + 0.5)]

    return "".join(map(block, values))
