"""What a worker of a cluster does: capture one shard of the prompts after another with an engine that stays open."""

import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moexray.engines.engine import Engine, open_engine
from moexray.prompts import Prompt
from moexray.recording.capture import capture
from moexray.recording.job import output_files
from moexray.recording.journal import InUseError
from moexray.shards import Shard
from moexray.signatures import Signatures

# Seconds to wait for a journal that another process writes to.
_PATIENCE = 30


@dataclass(frozen=True)
class Finished:
    """What a worker says of a shard that it has captured.

    Attributes
    ----------
    is_here
        Whether the files are in the folder of the output, which worker and driver share.
    sizes
        Bytes of each file, by the name of what it holds; signatures come last.
    tokens
        Routed tokens of the shard.
    """

    is_here: bool
    sizes: Mapping[str, int]
    tokens: int


@dataclass
class ShardRunner:
    """Captures shards. Its files stand beside the output, or where it does not see that, in a folder of its own.

    Attributes
    ----------
    prompts
        All prompts.
    options
        Those of `moexray.capture`.
    out, shards
        The output of the whole capture, and how many shards there are.
    mark, token
        A file beside the output and what it holds: a worker that finds it shares the folder with the driver.
    """

    prompts: Sequence[Prompt]
    options: Mapping[str, Any]
    out: Path
    shards: int
    mark: Path
    token: str
    _engine: Engine | None = field(default=None, init=False)
    _own: Path | None = field(default=None, init=False)

    def run(self, index: int) -> Finished:
        """Capture a shard, or go on with what another worker left of it."""
        is_here = self._own is None and self.mark.is_file() and self.mark.read_text() == self.token
        if not is_here and self._own is None:
            self._own = Path(tempfile.mkdtemp(prefix="moexray-"))
        found = self._captured(Shard(index, self.shards))
        files = self._files(index)
        sizes = {name: files[name].stat().st_size for name in sorted(files, key=lambda name: name == "signatures")}
        return Finished(is_here, sizes, int(found.tokens.sum(dtype=int)))

    def read(self, index: int, name: str, start: int, most: int) -> bytes:
        """Return some bytes of a file of a shard."""
        with self._files(index)[name].open("rb") as file:
            file.seek(start)
            return file.read(most)

    def forget(self, index: int) -> None:
        """Delete the files of a shard that the driver has taken."""
        for file in self._files(index).values():
            file.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the engine, and delete the folder of its own."""
        if self._engine is not None:
            self._engine.close()
        if self._own is not None:
            shutil.rmtree(self._own, ignore_errors=True)

    def _captured(self, shard: Shard) -> Signatures:
        """Capture a shard; a worker of an earlier driver may take a moment to end, and so to leave its journal."""
        for _ in range(_PATIENCE):
            with suppress(InUseError):
                return capture(self.prompts, **self.options, out=self._out, shard=shard, opening=self._opened)
            time.sleep(1)
        return capture(self.prompts, **self.options, out=self._out, shard=shard, opening=self._opened)

    @property
    def _out(self) -> Path:
        return self.out if self._own is None else self._own / self.out.name

    def _files(self, index: int) -> dict[str, Path]:
        return output_files(Shard(index, self.shards).file(self._out), self.options.get("record", ()))

    def _opened(self, name: str, model: str, **options: Any) -> AbstractContextManager[Engine]:
        """Open the engine for the first shard, and keep it for the others."""
        if self._engine is None:
            self._engine = open_engine(name, model, **options)
        return nullcontext(self._engine)
