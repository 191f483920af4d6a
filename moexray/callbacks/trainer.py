"""RoutingCallback: the routing of a model that the Trainer of transformers trains."""

from collections.abc import Collection, Sequence
from contextlib import nullcontext
from operator import index
from pathlib import Path
from typing import Any

from moexray.callbacks.loads_file import append_loads, begin_loads
from moexray.callbacks.probes import record_probe
from moexray.callbacks.report import DEAD_BELOW, check_dead_below
from moexray.callbacks.watching import RoutingWatch, begin_watching
from moexray.engines.transformers.training import TrainerCallback
from moexray.errors import CaptureError, MoexrayError
from moexray.files import is_same
from moexray.generation import Generation, number
from moexray.prompts import Prompt

_FOLDER = "routing"
_LOADS = "loads.jsonl"


class RoutingCallback(TrainerCallback):  # type: ignore[misc]  # transformers publishes no types
    """Logs the balance of every layer while the Trainer trains, and records fixed prompts at every checkpoint.

    Add it to a trainer: ``trainer.add_callback(RoutingCallback(trainer))``. Every `every` steps it gives `Trainer.log`
    some numbers, so that they reach what the trainer reports to, and writes a line with the selections of every expert
    to ``routing/loads.jsonl`` in the trainer's output folder. Evaluation, padding, and what gradient checkpointing
    computes again are not counted; accumulated passes and all processes are. It takes the same steps, to the bit, as
    the trainer does without it.

    Parameters
    ----------
    trainer
        The trainer that it is added to.
    every
        Steps of a window; by default the trainer's `logging_steps`. What is left at the end is a window as well.
    per_layer
        Log four numbers of each layer beside those over all layers.
    dead_below
        An expert with less than this share of the mean load of its layer is counted as dead.
    folder
        Where files go; by default ``routing`` in the trainer's output folder.
    probe
        Prompts that are recorded before the first step and at every checkpoint, to ``step-000100.npz`` and so on.
    record
        What is recorded of them beside selections, such as ``"trace"``: see `moexray.recording.capture.capture`.
    max_new_tokens
        Tokens to generate after each of them; by default none: generated texts would differ between checkpoints.
    tokenizer
        Of the probe; by default the trainer's `processing_class`.
    raw
        Leave out the tokenizer's chat template.

    Raises
    ------
    CaptureError
        If an option cannot be used. When training begins: if it was made with another trainer, or another callback
        writes to its folder.
    """

    def __init__(
        self,
        trainer: Any,
        *,
        every: int | None = None,
        per_layer: bool = False,
        dead_below: float = DEAD_BELOW,
        folder: str | Path | None = None,
        probe: Sequence[Prompt] = (),
        record: Collection[str] = (),
        max_new_tokens: int = 0,
        tokenizer: Any = None,
        raw: bool = False,
    ) -> None:
        if not callable(getattr(trainer, "log", None)):
            message = "RoutingCallback needs its trainer: trainer.add_callback(RoutingCallback(trainer))"
            raise CaptureError(message)
        if every is not None and number("every", every, index) < 1:
            message = f"`every` is {every}: it must be at least 1 step"
            raise CaptureError(message)
        self._trainer = trainer
        self._every = None if every is None else index(every)
        self._per_layer = per_layer
        self._dead_below = check_dead_below(dead_below)
        self._folder = None if folder is None else Path(folder)
        self._probe = tuple(probe)
        self._record = record
        self._generation = Generation(max_new_tokens)
        self._tokenizer = tokenizer
        self._raw = raw
        self._watch: RoutingWatch | None = None
        self._begun = 0  # the step before the window

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Put the hooks on the model, begin the file, and record the probe before the first step."""
        del control
        self.close()
        self._check(args, state)
        self._watch = begin_watching(given["model"], dead_below=self._dead_below)
        self._begun = state.global_step
        if state.is_world_process_zero:
            try:
                self._begin_files(args, state, given["model"])
            except BaseException:
                self.close()
                raise

    def on_step_end(self, args: Any, state: Any, control: Any, **_given: Any) -> None:
        """End a batch, and every so many steps the window."""
        if self._watch is None:
            return
        self._watch.step()
        if state.global_step % (self._every or state.logging_steps) == 0:
            self._end_window(args, state, control)

    def on_save(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Record the probe beside a checkpoint."""
        del control
        if state.is_world_process_zero:
            self._record_probe(args, state, given["model"])

    def on_train_end(self, args: Any, state: Any, control: Any, **_given: Any) -> None:
        """Report the steps that are left, and take the hooks off the model."""
        if self._watch is not None and state.global_step > self._begun:
            self._watch.drop()  # passes that were accumulated for a step that never came
            self._end_window(args, state, control)
        self.close()

    def close(self) -> None:
        """Take the hooks off the model, as after a training that failed."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _begin_files(self, args: Any, state: Any, model: Any) -> None:
        """Record the probe, then begin the file of loads: where the probe is refused, an earlier training's stays."""
        folder = self._folder_of(args)
        _make(folder)
        if state.global_step == 0:
            self._record_probe(args, state, model)
        begin_loads(folder / _LOADS, step=state.global_step)

    def _check(self, args: Any, state: Any) -> None:
        """Refuse what would log nowhere, never, or into the file of another callback."""
        if getattr(self._trainer, "state", state) is not state:
            cure = "trainer.add_callback(RoutingCallback(trainer))"
            message = f"this RoutingCallback was made with another trainer, and would log there: {cure}"
            raise CaptureError(message)
        if not (self._every or state.logging_steps):
            message = "the trainer's `logging_steps` is 0: give RoutingCallback `every`, the steps of a window"
            raise CaptureError(message)
        added = getattr(getattr(self._trainer, "callback_handler", None), "callbacks", ())
        folder = self._folder_of(args)
        others = [one for one in added if isinstance(one, RoutingCallback) and one is not self]
        if any(is_same(one._folder_of(args), folder) for one in others):
            message = f"two RoutingCallbacks write to {folder}: remove one, or give each a `folder` of its own"
            raise CaptureError(message)

    def _end_window(self, args: Any, state: Any, control: Any) -> None:
        if self._watch is None:
            return
        report = self._watch.report()
        first, self._begun = self._begun + 1, state.global_step
        if state.is_world_process_zero:
            window = {"step": state.global_step, "first_step": first, "epoch": state.epoch}
            append_loads(self._folder_of(args) / _LOADS, {**window, **report.record()})
        # Logging tells the trainer that it has logged: its own losses would be left out at this step.
        should_log = control.should_log
        self._trainer.log(report.metrics(per_layer=self._per_layer))
        control.should_log = should_log

    def _record_probe(self, args: Any, state: Any, model: Any) -> None:
        if not self._probe:
            return
        tokenizer = self._tokenizer if self._tokenizer is not None else self._trainer.processing_class
        with nullcontext() if self._watch is None else self._watch.paused():
            record_probe(
                model,
                tokenizer,
                self._probe,
                out=self._folder_of(args) / f"step-{state.global_step:06d}.npz",
                name=f"{_name_of(model)} at step {state.global_step}",
                generation=self._generation,
                record=self._record,
                raw=self._raw,
            )

    def _folder_of(self, args: Any) -> Path:
        return Path(args.output_dir) / _FOLDER if self._folder is None else self._folder


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"{folder} cannot be made: {error.strerror}"
        raise MoexrayError(message) from error


def _name_of(model: Any) -> str:
    """Return what the model was loaded from, without the place of a local folder, or its class."""
    found = str(getattr(getattr(model, "config", None), "_name_or_path", ""))
    return (Path(found).name if Path(found).is_absolute() else found) or type(model).__name__
