"""The scores that a router ranks when it selects, read where they are ranked.

Whatever a router makes of its logits (softmax, sigmoid, corrections, scores of groups), it hands the result to `topk`,
`argmax` or `sort`. Those calls are noted while a router runs. They share no code with the taps.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from transformers import PreTrainedModel

from .zoo_checks import logits, routers_of

# Modules that rank what their router returns.
_RANK_AFTER = {"DbrxFFN": "router"}


@dataclass(frozen=True)
class Ranking:
    """What one call ranked: scores ``(tokens, candidates)``, and how many were taken."""

    scores: Tensor
    k: int

    def gaps(self) -> Tensor:  # (tokens,)
        """Return the gap between the last taken and the first left out, in units of the spread of a token's scores."""
        if self.k >= self.scores.shape[1]:
            return torch.full((len(self.scores),), torch.inf, dtype=torch.float64)
        ordered = self.scores.double().sort(dim=1, descending=True).values
        finite = ordered.masked_fill(~ordered.isfinite(), torch.nan)
        spread = finite[:, 0] - finite.nan_to_num(torch.inf).amin(dim=1)
        return (ordered[:, self.k - 1] - ordered[:, self.k]) / spread


def selected_by(run: Sequence[Ranking], k: int) -> Tensor:  # (tokens, k)
    """Return what the last calls of a run took, k in all: most routers take them in one."""
    taken = [ranking.scores.topk(ranking.k, dim=1).indices for ranking in run]
    first = len(run)
    while first and sum(ranking.k for ranking in run[first:]) < k:
        first -= 1
    return torch.cat(taken[first:], dim=1) if taken[first:] else torch.empty(0, 0)


def least_gap(runs: Sequence[Sequence[Ranking]], token: int) -> float:
    """Return the least gap of a token in what a router ranked: experts, and groups of them where it ranks those."""
    return min(float(ranking.gaps()[token]) for run in runs for ranking in run)


@dataclass
class _Notes(TorchFunctionMode):
    """Notes rankings of two dimensions while a router runs."""

    running: list[str] = field(default_factory=list)
    rankings: dict[str, list[list[Ranking]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if self.running:
            k = _taken(func, args, kwargs or {})
            scores = args[0] if args else None
            if k is not None and isinstance(scores, Tensor) and scores.ndim >= 2:
                flat = scores.detach()[0] if scores.ndim == 3 and len(scores) == 1 else scores.detach()
                if flat.ndim == 2:
                    self.rankings[self.running[-1]][-1].append(Ranking(flat, k))
        return result


def _taken(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> int | None:
    name = getattr(func, "__name__", "")
    if name == "topk":
        found: int = kwargs["k"] if "k" in kwargs else args[1]
        return found
    return 1 if name in ("argmax", "max") else None


@torch.no_grad()
def rankings_of(model: PreTrainedModel, ids: Sequence[int]) -> list[list[list[Ranking]]]:
    """Return what `rankings_during` does, of one pass of the sequence, alone and without a cache."""
    return rankings_during(model, lambda: logits(model, ids))


def rankings_during(model: PreTrainedModel, run: Callable[[], object]) -> list[list[list[Ranking]]]:
    """Return, of each router in the order of the layers, of each of its runs, what it ranked: last the experts."""
    with _noted(model) as notes:
        run()
    return [runs for runs in notes.rankings.values() if any(runs)]


@contextmanager
def _noted(model: PreTrainedModel) -> Iterator[_Notes]:
    notes = _Notes()
    handles = []
    for path, module in _ranking(model):

        def enter(_module: nn.Module, _args: object, path: str = path) -> None:
            notes.running.append(path)
            notes.rankings.setdefault(path, []).append([])

        def leave(_module: nn.Module, _args: object, _output: object) -> None:
            notes.running.pop()

        handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
    try:
        with notes:
            yield notes
    finally:
        for handle in handles:
            handle.remove()


def _ranking(model: PreTrainedModel) -> list[tuple[str, nn.Module]]:
    """Return the modules in which experts are ranked: most are routers."""
    blocks = {path: module for path, module in model.named_modules() if type(module).__name__ in _RANK_AFTER}
    within = {f"{path}.{_RANK_AFTER[type(module).__name__]}" for path, module in blocks.items()}
    return [*((path, module) for path, module in routers_of(model) if path not in within), *blocks.items()]
