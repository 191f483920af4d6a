"""Limits of a capture through a server: requests at a time, and seconds."""

from dataclasses import dataclass
from operator import index

from moexray.errors import CaptureError
from moexray.generation import number

_MOST_CONCURRENT = 1024


@dataclass(frozen=True)
class Limits:
    """What a capture may take of a server, and of our patience; see `moexray.engines.server.engine.open_engine`.

    The times are what a large model needs to start again, and what a long text takes behind others.

    Raises
    ------
    CaptureError
        If one is no number, or out of range.
    """

    concurrency: int = 16
    retry_seconds: float = 600.0
    request_seconds: float = 600.0

    def __post_init__(self) -> None:
        for name, kind in (("concurrency", index), ("retry_seconds", float), ("request_seconds", float)):
            object.__setattr__(self, name, number(name, getattr(self, name), kind))
        if not 1 <= self.concurrency <= _MOST_CONCURRENT:
            message = f"`concurrency` is {self.concurrency}: it must be at least 1 and at most {_MOST_CONCURRENT}"
            raise CaptureError(message)
        for name in ("retry_seconds", "request_seconds"):
            if not 0 < getattr(self, name) < float("inf"):
                message = f"`{name}` is {getattr(self, name)}: it must be a number above 0"
                raise CaptureError(message)
