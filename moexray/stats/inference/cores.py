"""Work on all cores: threads, each with BLAS of one thread, so that cores are not shared out twice."""

import os
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def over_cores(compute: Callable[[T], R], parts: Sequence[T]) -> list[R]:
    """Compute something of each part, on as many cores as there are, and return it in order.

    Worth it where most of the time is spent in NumPy's larger loops and products, which leave the interpreter's lock.
    """
    from concurrent.futures import ThreadPoolExecutor

    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compute, parts))
