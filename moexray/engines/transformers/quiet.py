"""transformers' own loading bars and advice, kept off the screen."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils import logging as transformers_logging

_LOADING = "transformers.modeling_utils"


@contextmanager
def quiet() -> Iterator[list[str]]:
    """Show nothing of what transformers says while it loads; yield its warnings about the loading of weights.

    Among them is the only place where it names tensors that it could not convert.
    """
    level = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logger, kept = logging.getLogger(_LOADING), _Kept()
    before = logger.level, logger.propagate
    logger.addHandler(kept)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        yield kept.messages
    finally:
        logger.removeHandler(kept)
        logger.level, logger.propagate = before
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
