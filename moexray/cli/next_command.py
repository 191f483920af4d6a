"""Which command goes on from what another one made: a line on standard error, to copy."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from moexray.cli.options import DEFAULT_ANALYSIS
from moexray.cli.render import say
from moexray.files import companion
from moexray.formats import visible
from moexray.recording.recorders.trace import TRACE
from moexray.shards import Shard
from moexray.signatures import Signatures


def after_signatures(path: Path, signatures: Signatures, *, trace: Path | None = None) -> None:
    """Suggest what is done with signatures: they are analyzed, if their prompts are of several categories."""
    several = len(set(signatures.prompts.categories)) > 1
    suggest("analyze" if several else "experts", path, *(() if trace is None else ("--trace", trace)))


def after_shard(out: Path, shard: Shard) -> None:
    """Suggest that all shards be joined, where there are few enough to name."""
    if shard.number <= 8:
        parts = [Shard(place, shard.number).file(out) for place in range(shard.number)]
        suggest("merge", *parts, "--out", out)


def after_analysis(out: Path, files: Sequence[Path], *, trace: Path | None = None) -> None:
    """Suggest a report and figures; of signatures in several files, figures that need no signatures."""
    if len(files) > 1:
        suggest("plot", out, "--all")
        return
    named = () if out == DEFAULT_ANALYSIS else ("--analysis", out)
    beside = trace is None or trace == companion(files[0], TRACE.suffix)
    traced = () if beside else ("--trace", trace)
    suggest("report", files[0], *named, *traced)
    suggest("plot", files[0], "--all", *named, *traced)


def suggest(command: str, *words: object) -> None:
    """Say that a command may be next, in the shell's spelling; not if a word holds what a terminal must not show."""
    spelled = [_word(word) for word in words]
    if all(visible(word) == word for word in spelled):
        say(f"next: {shlex.join(['moexray', command, *spelled])}", err=True)


def _word(word: object) -> str:
    text = str(word)
    return f".{os.sep}{text}" if isinstance(word, Path) and text.startswith("-") else text
