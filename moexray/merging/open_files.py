"""As many open files as a merge of many shards needs."""

from collections.abc import Iterator
from contextlib import contextmanager

from moexray.errors import SignaturesError

# Of each shard: its trace, and the counts and gate mass that the trace is compared with.
_EACH = 3
_OTHERS = 256


@contextmanager
def files_of_shards(shards: int) -> Iterator[None]:
    """Let this process open the files of so many shards at once while the block lasts.

    Most systems let a process raise its limit up to a harder one.

    Raises
    ------
    SignaturesError
        If the system does not allow so many.
    """
    try:
        import resource
    except ImportError:  # a system without such limits
        yield
        return
    needed = _EACH * shards + _OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft in (resource.RLIM_INFINITY, -1) or soft >= needed:
        yield
        return
    if hard not in (resource.RLIM_INFINITY, -1) and hard < needed:
        message = (
            f"{shards:,} shards are read from {needed:,} files that are open at once, and a process may open {hard:,}: "
            f"raise the limit (`ulimit -n {needed}`)"
        )
        raise SignaturesError(message)
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
