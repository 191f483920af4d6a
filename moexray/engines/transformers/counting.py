"""Counts of the selections of a model that is trained: on the device, without waiting for it, each forward pass once.

Hooks at the taps copy the selections of a pass, and a hook at the end of the text decoder's forward counts them. What
runs outside of such a forward is not counted: gradient checkpointing calls layers again in the backward pass. A pass
that fails halfway is not counted either.

torch.compile must not trace the hooks: a graph breaks at each of them. It leaves out hooks that came after it compiled.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from moexray.engines.transformers.hooks import place_of_argument, selections_of
from moexray.engines.transformers.ranks import summed_over_ranks
from moexray.engines.transformers.taps import decoder_of, find_taps
from moexray.errors import ModelError

Passes = Literal["training", "all"]

# Beside a slot for each expert, a column of selections has one for no selection, one for what is no expert of the
# layer, and one for the selections of padding.
_BESIDE = 3


@dataclass(frozen=True)
class Counted:
    """What was counted, summed over the processes of a distributed run.

    Attributes
    ----------
    layers, experts
        The index of each MoE layer, and the number of its experts.
    selections
        Selections of each expert in each batch ``(batches, layers, most experts)``; 0 beyond the experts of a layer.
    dropped
        Selections that the router left out, such as those of a full expert ``(layers,)``.
    tokens
        Tokens that were counted.
    unmasked
        Those among them that came without a mask of padding.
    passes, left_out
        Forward passes that were counted, and those that were not: in evaluation mode or without gradients.
    """

    layers: tuple[int, ...]
    experts: tuple[int, ...]
    selections: NDArray[np.int64]
    dropped: NDArray[np.int64]
    tokens: int
    unmasked: int
    passes: int
    left_out: int


@dataclass
class _Pass:
    """A forward pass of the decoder: how many rows its experts get, its mask of padding, and what was selected."""

    rows: int
    padding: Tensor | None  # (rows,)
    selections: list[list[Tensor]]  # of each tap, (rows, k) a call


class SelectionCounter:
    """Counts which experts the tokens of a model are sent to, until it is closed.

    Parameters
    ----------
    model
        A model of transformers, not wrapped.
    passes
        ``"training"`` counts forward passes in training mode with gradients; ``"all"`` also those of an evaluation.

    Raises
    ------
    ModelError
        If the model has no experts whose selections can be read.
    """

    def __init__(self, model: nn.Module, *, passes: Passes = "training") -> None:
        self._taps = find_taps(model)
        self._all = passes == "all"
        self._readers = [selections_of(tap) for tap in self._taps]
        _, self._decoder = decoder_of(model)
        self._places = [place_of_argument(self._decoder, [name]) for name in ("input_ids", "inputs_embeds")]
        self._mask_place = place_of_argument(self._decoder, ["attention_mask"])
        self._local = threading.local()  # the replicas of DataParallel run in threads
        self._lock = threading.Lock()
        self._columns: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}
        # The last column is that of tokens: one expert, which all of them select.
        self._sizes = [*(tap.experts for tap in self._taps), 1]
        self._starts = np.cumsum([0, *(size + _BESIDE for size in self._sizes)])
        self._counts: Tensor | None = None  # of the batch that is not over
        self._batches: list[Tensor] = []
        self._unmasked = self._passes = self._left_out = 0
        self._over = 0, 0  # unmasked tokens and passes of the batches that are over
        self._is_paused = False
        with ExitStack() as hooks:
            for place in range(len(self._taps)):
                hooks.callback(self._listen(place))
            before = self._decoder.register_forward_pre_hook(self._begin, with_kwargs=True)
            hooks.callback(before.remove)
            hooks.callback(self._decoder.register_forward_hook(self._finish).remove)
            self._hooks = hooks.pop_all()

    @property
    def layers(self) -> tuple[int, ...]:
        """The index of each MoE layer."""
        return tuple(tap.layer for tap in self._taps)

    def close(self) -> None:
        """Remove the hooks."""
        self._hooks.close()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take no notice of passes while the context lasts."""
        self._is_paused = True
        try:
            yield
        finally:
            self._is_paused = False

    def end_batch(self) -> None:
        """Begin the next batch: what was counted since the last is one."""
        self._batches.append(self._empty() if self._counts is None else self._counts)
        self._counts, self._over = None, (self._unmasked, self._passes)

    def drop_batch(self) -> None:
        """Forget what was counted since the last batch: it is none, where no step of the optimizer followed."""
        self._counts, (self._unmasked, self._passes) = None, self._over

    def take(self) -> Counted:
        """Return what was counted since the last time, and begin anew; every process must call this.

        Raises
        ------
        ModelError
            If nothing was counted, or an expert that a layer does not have was selected.
        """
        if self._counts is not None:
            self.end_batch()
        numbers = torch.tensor([self._unmasked, self._passes, self._left_out])
        found, numbers = summed_over_ranks(self._batches, numbers, like=self._empty())
        self._batches, self._over = [], (0, 0)
        self._unmasked = self._passes = self._left_out = 0
        unmasked, passes, left_out = numbers.tolist()
        _check_passes(passes, left_out, len(found))
        parts = [found[:, start:end] for start, end in zip(self._starts[:-1], self._starts[1:], strict=True)]
        *of_layers, of_tokens = parts
        for tap, part in zip(self._taps, of_layers, strict=True):
            if part[:, 1 + tap.experts].any():
                message = f"{tap.path} was handed an expert beyond its {tap.experts}: this model cannot be recorded"
                raise ModelError(message)
        experts = tuple(self._sizes[:-1])
        selections = np.zeros((len(found), len(experts), max(experts)), dtype=np.int64)
        for place, (size, part) in enumerate(zip(experts, of_layers, strict=True)):
            selections[:, place, :size] = part[:, 1 : 1 + size]
        return Counted(
            layers=self.layers,
            experts=experts,
            selections=selections,
            dropped=np.array([part[:, 0].sum() for part in of_layers]),
            tokens=int(of_tokens[:, 1].sum()),
            unmasked=unmasked,
            passes=passes,
            left_out=left_out,
        )

    def _listen(self, place: int) -> Any:
        tap, read = self._taps[place], self._readers[place]

        @torch.compiler.disable  # type: ignore[untyped-decorator]
        def keep(args: tuple[Any, ...], kwargs: Mapping[str, Any], output: object) -> None:
            current: _Pass | None = getattr(self._local, "current", None)
            if current is not None and not _is_backward():
                with torch.no_grad():
                    current.selections[place].append(read(args, kwargs, output))

        if tap.after:
            return tap.module.register_forward_hook(
                lambda _module, args, kwargs, output: keep(args, kwargs, output), with_kwargs=True
            ).remove
        return tap.module.register_forward_pre_hook(
            lambda _module, args, kwargs: keep(args, kwargs, None), with_kwargs=True
        ).remove

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _begin(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._local.current = None
        if self._is_paused or _is_backward():
            return
        if not self._all and not (module.training and torch.is_grad_enabled()):
            self._left_out += 1
            return
        found = [_argument(place, args, kwargs) for place in self._places]
        given = next((one for one in found if isinstance(one, Tensor) and one.ndim >= 2), None)
        if given is None:
            message = (
                f"{type(module).__name__} got neither input_ids nor inputs_embeds of (sequences, tokens): "
                "the tokens of this training cannot be counted"
            )
            raise ModelError(message)
        mask = _argument(self._mask_place, args, kwargs)
        self._local.current = _Pass(given.shape[0] * given.shape[1], _padding(mask, given), [[] for _ in self._taps])

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    @torch.no_grad()
    def _finish(self, _module: nn.Module, _args: object, _output: object) -> None:
        current: _Pass | None = getattr(self._local, "current", None)
        self._local.current = None
        if current is None:
            return
        for tap, calls in zip(self._taps, current.selections, strict=True):
            rows = [len(one) for one in calls]
            if rows != [current.rows] * tap.calls:
                message = (
                    f"{current.rows} tokens passed {tap.path} as {rows or 'no'} rows: they cannot be counted where "
                    "layers are compiled, skipped, or see some of the tokens only"
                )
                raise ModelError(message)
        self._count(current)

    def _count(self, current: _Pass) -> None:
        """Count the selections of all layers in one go: as columns, each with the slots of its layer."""
        with self._lock:
            counts = self._counts = self._empty() if self._counts is None else self._counts
            calls = [one for found in current.selections for one in found]
            starts, experts = self._columns_of(tuple(one.shape[1] for one in calls), counts.device)
            places = torch.cat([one.to(counts.device, torch.int64) for one in calls], dim=1) + 1
            places = torch.nn.functional.pad(places, (0, 1), value=1)  # the column of tokens
            places = torch.minimum(places.clamp_(min=0), experts + 1)
            if current.padding is not None:
                padding = current.padding.to(counts.device)[:, None]
                places = torch.where(padding, experts + 2, places)
            else:
                self._unmasked += current.rows
            places = (places + starts).reshape(-1)
            counts.scatter_add_(0, places, counts.new_ones(1).expand(len(places)))
            self._passes += 1

    def _columns_of(self, widths: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor]:
        """Return the first slot, and the number of experts, of the layer of each column ``(columns,)``."""
        if widths not in self._columns:
            layers = [place for place, tap in enumerate(self._taps) for _ in range(tap.calls)]
            of_columns = [*np.repeat(layers, widths), len(self._taps)]
            starts, sizes = self._starts[:-1][of_columns], np.array(self._sizes)[of_columns]
            self._columns[widths] = torch.tensor(starts, device=device), torch.tensor(sizes, device=device)
        return self._columns[widths]

    def _empty(self) -> Tensor:
        device = next(self._decoder.parameters()).device
        return torch.zeros(int(self._starts[-1]), dtype=torch.int64, device="cpu" if device.type == "meta" else device)


def _is_backward() -> bool:
    """Whether autograd runs in this thread: what is computed then is computed again."""
    return torch._C._current_graph_task_id() != -1


def _argument(place: tuple[str, int] | None, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    if place is None:
        return None
    name, position = place
    return kwargs[name] if name in kwargs else args[position] if position < len(args) else None


def _padding(mask: Any, given: Tensor) -> Tensor | None:
    """Return which tokens are padding ``(rows,)``; None where no mask says it, as for packed sequences.

    A mask may begin before the tokens of this pass, where a cache holds those before them.
    """
    batch, tokens = given.shape[:2]
    if not isinstance(mask, Tensor) or mask.ndim != 2 or mask.shape[0] != batch or mask.shape[1] < tokens:
        return None
    return (mask[:, -tokens:] == 0).reshape(-1)


def _check_passes(passes: int, left_out: int, batches: int) -> None:
    """Refuse batches without a pass: none was counted, or hooks did not run."""
    if passes >= max(1, batches):
        return
    why = "no forward pass reached the hooks, as where a model was compiled before they came, or a step ended twice"
    if left_out:
        why = f"{left_out} forward passes were in evaluation mode or without gradients"
    message = f"{passes} forward passes were counted in {max(1, batches)} batches of training: {why}"
    raise ModelError(message)
