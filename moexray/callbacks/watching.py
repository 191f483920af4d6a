"""watch_routing(): the routing of a model in any training loop."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from moexray.callbacks.report import DEAD_BELOW, RoutingReport, balance_of_layers, check_dead_below
from moexray.errors import CaptureError

if TYPE_CHECKING:
    from moexray.engines.transformers.counting import SelectionCounter


class RoutingWatch:
    """Counts the selections of a model; made by `watch_routing`."""

    def __init__(self, counter: "SelectionCounter", dead_below: float) -> None:
        self._counter = counter
        self._dead_below = dead_below

    def step(self) -> None:
        """End a batch: call it after each step of the optimizer, however many passes were accumulated for it."""
        self._counter.end_batch()

    def drop(self) -> None:
        """Forget the passes since the last `step`, as where a training stops between two steps."""
        self._counter.drop_batch()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Count nothing while the context lasts."""
        with self._counter.paused():
            yield

    def report(self) -> RoutingReport:
        """Return the balance since the last report, and begin a new window.

        What came after the last `step` is a batch as well: without any, all that was counted is one batch. In a
        distributed run every process must call this, after as many steps; each gets the sums over all.

        Raises
        ------
        ModelError
            If nothing was counted since the last report or in a batch, or processes differ in the number of batches.
        NotComputable
            If a layer selected nothing.
        """
        counted = self._counter.take()
        layers = balance_of_layers(
            counted.layers, counted.experts, counted.selections, counted.dropped, dead_below=self._dead_below
        )
        return RoutingReport(
            batches=len(counted.selections),
            passes=counted.passes,
            left_out=counted.left_out,
            tokens=counted.tokens,
            unmasked=counted.unmasked,
            dead_below=self._dead_below,
            layers=layers,
        )

    def close(self) -> None:
        """Take the hooks off the model."""
        self._counter.close()


def begin_watching(
    model: Any, *, passes: Literal["training", "all"] = "training", dead_below: float = DEAD_BELOW
) -> RoutingWatch:
    """Put the hooks on a model; `RoutingWatch.close` takes them off: see `watch_routing`."""
    from moexray.engines.transformers.counting import SelectionCounter
    from moexray.engines.transformers.training import plain_model

    if passes not in ("training", "all"):
        message = f"`passes` is {passes!r}: it must be 'training' or 'all'"
        raise CaptureError(message)
    share = check_dead_below(dead_below)
    return RoutingWatch(SelectionCounter(plain_model(model), passes=passes), share)


@contextmanager
def watch_routing(
    model: Any, *, passes: Literal["training", "all"] = "training", dead_below: float = DEAD_BELOW
) -> Iterator[RoutingWatch]:
    """Count which experts a model sends its tokens to, while the context lasts.

    Parameters
    ----------
    model
        A model of transformers; within a wrapper of DataParallel, DistributedDataParallel, FSDP, DeepSpeed, peft or
        torch.compile as well.
    passes
        ``"training"`` counts forward passes in training mode with gradients; ``"all"`` also those of an evaluation.
        What gradient checkpointing computes again is never counted, nor is padding that an attention mask marks.
    dead_below
        An expert with less than this share of the mean load of its layer is counted as dead.

    Raises
    ------
    CaptureError
        If an option is not one of those above.
    ModelError
        If the model has no experts whose selections can be read.
    """
    watch = begin_watching(model, passes=passes, dead_below=dead_below)
    try:
        yield watch
    finally:
        watch.close()
