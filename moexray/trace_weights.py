"""Gate weights in a trace: a number for each selected expert, finite and not negative."""

from pathlib import Path
from typing import Any

import numpy as np

from moexray.errors import TraceError
from moexray.parquet_file import reading_parquet
from moexray.trace_file import WEIGHTS, open_trace_file, trace_tables

_CURE = "`moexray capture --record trace` writes it anew, or leave the column out"


def check_gate_weights(path: Path) -> None:
    """Check the column of gate weights, where a trace has one.

    Raises
    ------
    TraceError
        If a row has not one weight for each of its experts, or a weight is negative, NaN or infinite.
    """
    with open_trace_file(path) as file:
        if WEIGHTS not in file.schema_arrow.names:
            return
    row = 0
    for table in trace_tables(path, ["experts", WEIGHTS]):
        with reading_parquet(path, error=TraceError):
            problem = problem_of_weights(*(table.column(name).combine_chunks() for name in ("experts", WEIGHTS)))
        if problem is not None:
            place, said = problem
            message = f"{path} row {row + place + 1}: {said}: {_CURE}"
            raise TraceError(message)
        row += table.num_rows


def problem_of_weights(experts: Any, weights: Any) -> tuple[int, str] | None:
    """Return the first row of these columns that is wrong, counted from 0, and how; None if none is.

    Parameters
    ----------
    experts, weights
        Arrow arrays of lists.
    """
    import pyarrow.compute as pc

    selected, weighed = (pc.fill_null(pc.list_value_length(one), -1).to_numpy() for one in (experts, weights))
    unequal = np.flatnonzero(selected != weighed)
    if len(unequal):
        place = int(unequal[0])
        return place, f"{max(0, weighed[place])} gate weights stand beside {max(0, selected[place])} experts"
    values = weights.flatten().to_numpy(zero_copy_only=False)  # NaN where one is missing
    wrong = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if not len(wrong):
        return None
    place = int(np.searchsorted(np.cumsum(weighed), wrong[0], side="right"))
    return place, f"a gate weight is {values[wrong[0]]}, and one is a number of at least 0"
