"""Merging from files to files: signatures, and the traces and co-selections beside them."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial as bound
from pathlib import Path

from moexray import coselection_file, trace_file
from moexray.errors import SignaturesError
from moexray.files import (
    check_writable,
    companion,
    file_to_write,
    find_companion,
    is_same,
    owner_of_companions,
    remove_partials,
    whole_file,
    writing,
)
from moexray.merging.coselections import fill_merged_pairs
from moexray.merging.open_files import files_of_shards
from moexray.merging.signatures import Plan, fill_merged, plan_of
from moexray.merging.traces import fill_merged_trace
from moexray.signatures import Signatures

# What stands beside signatures: the end of its name, what it is called, and the function that merges it.
_BESIDE: dict[str, tuple[str, Callable[[Plan, Sequence[Path], Path], None]]] = {
    trace_file.SUFFIX: ("trace", fill_merged_trace),
    coselection_file.SUFFIX: ("co-selection", fill_merged_pairs),
}


@dataclass(frozen=True)
class Merged:
    """What `merge_files` wrote.

    Attributes
    ----------
    files
        The files: the signatures, then what stands beside them.
    notes
        What some of the parts have beside them and others have not, and so is not merged: a sentence each.
    """

    files: tuple[Path, ...]
    notes: tuple[str, ...]


def merge_files(files: Sequence[str | Path], out: str | Path) -> Merged:
    """Merge files of signatures into one, and the traces and co-selections beside them where all have one.

    Prompts are read and written some at a time. Of shards (`moexray.shards`) all must be there, in whatever order;
    their files give those of the capture of all prompts. All are written whole or not at all.

    Parameters
    ----------
    files
        Signatures of the same model and settings.
    out
        The file to write, which is none of them.

    Raises
    ------
    SignaturesError
        As `moexray.merge`, or if `out` or a file beside it is one that is read, or would stay there and not be part of
        what is merged.
    TraceError
        If a trace is damaged, or not that of the signatures beside it.
    MoexrayError
        If a file cannot be written.
    """
    paths, target = [Path(file) for file in files], file_to_write(out)
    check_writable(target)
    plan = plan_of([Signatures.open(path) for path in paths], list(map(str, paths)))
    sources = {suffix: [find_companion(Path(name), suffix) for name in plan.names] for suffix in _BESIDE}
    _check_target(target, plan, sources)
    files_of, notes = [(target, bound(fill_merged, plan))], []
    for suffix, (called, fill) in _BESIDE.items():
        there = [source for source in sources[suffix] if source is not None]
        if len(there) == len(plan.parts):
            files_of.append((companion(target, suffix), bound(fill, plan, there)))
        elif there:
            without = plan.names[sources[suffix].index(None)]
            notes.append(f"{without} has no {called} beside it, and so the merged signatures have none")
    for file, _ in files_of:
        check_writable(file)
        remove_partials(file)
    with ExitStack() as stack:
        if plan.order.is_interleaved:
            stack.enter_context(files_of_shards(len(plan.parts)))
        # All files are there, whole, before the first takes its name; the signatures do last.
        partials = [stack.enter_context(whole_file(file)) for file, _ in files_of]
        for partial, (file, fill_one) in reversed(list(zip(partials, files_of, strict=True))):
            with writing(file):
                fill_one(partial)
    return Merged(tuple(file for file, _ in files_of), tuple(notes))


def _check_target(target: Path, plan: Plan, sources: dict[str, list[Path | None]]) -> None:
    """Refuse to replace what is read, and to leave beside `target` what belongs to other signatures."""
    read = [*map(Path, plan.names), *(source for some in sources.values() for source in some if source is not None)]
    owner = owner_of_companions(target)
    for file in (target, *(companion(target, suffix) for suffix in _BESIDE)):
        same = next((one for one in read if is_same(one, file)), None)
        if same is not None:
            message = f"{file} is written, and {same} is read: name another file with `out`"
            raise SignaturesError(message)
    for suffix, found in sources.items():
        beside = companion(target, suffix)
        if owner is not None and beside.exists():
            message = f"{beside} may belong to {owner}, and would be replaced: name another `out`"
            raise SignaturesError(message)
        if None in found and beside.exists():
            message = f"{beside} is there and not of the merged signatures: delete it, or name another `out`"
            raise SignaturesError(message)
