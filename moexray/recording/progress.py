"""Reports of how far a capture is: after every forward pass, where an engine tells."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

Stage = Literal["loading", "verifying", "running", "writing"]


@dataclass(frozen=True)
class Progress:
    """How far a capture is.

    Attributes
    ----------
    stage
        ``loading`` the model, ``verifying`` its recording, ``running`` prompts, ``writing`` files.
    model
        The model's name.
    prompts, total_prompts
        Prompts that are done and kept, and all of them.
    tokens
        Tokens that have passed the model, in earlier runs of a resumed capture as well.
    total_tokens
        The most tokens that will have passed it in the end. It falls where texts end early.
    """

    stage: Stage
    model: str
    prompts: int = 0
    total_prompts: int = 0
    tokens: int = 0
    total_tokens: int = 0


OnProgress = Callable[[Progress], None]


class Reporter:
    """Adds up what is done and reports it; does nothing if no reports are asked for."""

    def __init__(self, on_progress: OnProgress | None, model: str, prompts: int) -> None:
        self._on_progress = on_progress
        self._last = Progress("loading", model, total_prompts=prompts)
        self._kept_tokens = 0

    @property
    def on_tokens(self) -> Callable[[int], None] | None:
        """The function to call with tokens that have passed the model; None if nobody asked for reports."""
        return None if self._on_progress is None else self.passed

    def enter(self, stage: Stage) -> None:
        """Report the beginning of a stage."""
        self._report(stage=stage)

    def run(self, prompts: int, tokens: int, total_tokens: int) -> None:
        """Report the beginning of the run, with what an earlier one has kept."""
        self._kept_tokens = tokens
        self._report(stage="running", prompts=prompts, tokens=tokens, total_tokens=total_tokens)

    def passed(self, tokens: int) -> None:
        """Report tokens that have passed the model."""
        self._report(tokens=self._last.tokens + tokens)

    def kept(self, prompts: int, tokens: int, planned_tokens: int) -> None:
        """Report prompts that are done and kept, with their tokens, and the most tokens that they could have had."""
        self._kept_tokens += tokens
        self._report(
            prompts=self._last.prompts + prompts,
            tokens=self._kept_tokens,
            total_tokens=self._last.total_tokens - planned_tokens + tokens,
        )

    def lost(self) -> None:
        """Report that what has passed the model since prompts were kept is to be run again."""
        self._report(tokens=self._kept_tokens)

    def _report(self, **changes: Any) -> None:
        if self._on_progress is not None:
            self._last = replace(self._last, **changes)
            self._on_progress(self._last)
