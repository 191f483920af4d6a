"""What a router takes its top k of, at full precision, and another choice in the place of its own.

Both happen where ``topk`` is called, as in `moexray.engines.transformers.scores`. Whatever a router does with its own
choice it does with the other one as well: weights, their normalisation and biases need no rule here.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from moexray.engines.engine import Chooser
from moexray.engines.transformers.hooks import Tap

_TOP_K = (torch.topk, Tensor.topk)
# What routers call the number of groups that experts are chosen within.
_GROUP_NAMES = ("n_group", "num_expert_group", "num_expert_groups", "n_groups")


@contextmanager
def chosen(model: nn.Module, taps: Sequence[Tap], top_k: Sequence[int], chooser: Chooser | None) -> Iterator["Noted"]:
    """Yield what is noted of each layer while a model runs, and let `chooser` change what its routers take.

    Parameters
    ----------
    model, taps
        The model, and the taps of its MoE layers.
    top_k
        Experts that each layer selects for a token.
    chooser
        Makes the choice; None leaves each router its own.
    """
    noted: list[list[NDArray[np.float32]]] = [[] for _ in taps]
    with ExitStack() as hooks:
        for place, (tap, k) in enumerate(zip(taps, top_k, strict=True)):
            block = model.get_submodule(tap.path.rpartition(".")[0])
            choosing = _Choosing(place, tap.experts, k, groups=_groups_of(block), chooser=chooser, noted=noted[place])
            hooks.callback(choosing.end)  # no hook is called where the user interrupts
            hooks.callback(block.register_forward_pre_hook(choosing.on_begin).remove)
            # Also where the block fails: what stays on would listen to the rest of the process.
            hooks.callback(block.register_forward_hook(choosing.on_end, always_call=True).remove)
            if not tap.after:
                hooks.callback(tap.module.register_forward_pre_hook(choosing.on_end, prepend=True).remove)
        yield noted


# Of each layer, the scores of each top k that was taken of all its experts (tokens, experts).
Noted = list[list[NDArray[np.float32]]]


class _Choosing(TorchFunctionMode):
    """While it is on, notes the scores that a layer's top k is taken of, and changes what is taken."""

    def __init__(
        self,
        place: int,
        experts: int,
        k: int,
        *,
        groups: int | None,
        chooser: Chooser | None,
        noted: list[NDArray[np.float32]],
    ) -> None:
        super().__init__()
        self._place, self._experts, self._k = place, experts, k
        self._groups, self._chooser, self._noted = groups, chooser, noted
        self._is_on = False

    def __torch_function__(
        self, function: Any, types: object, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call the function; a top k of all experts, or of all groups, may come out otherwise."""
        found = function(*args, **(kwargs or {}))
        scores = (args[0] if args else (kwargs or {}).get("input")) if function in _TOP_K else None
        if not isinstance(scores, Tensor) or not scores.is_floating_point():
            return found
        width, k = scores.shape[-1], found.indices.shape[-1]
        if width == self._experts and k == self._k:
            self._noted.append(_rows(scores))
            if self._chooser is not None:
                own = _rows(found.indices)
                return _replaced(found, scores, self._chooser.experts(self._place, self._noted[-1], own))
        elif width == self._groups and scores.ndim == 2 and self._chooser is not None:
            other = self._chooser.groups(self._place, _rows(scores), _rows(found.indices))
            return _replaced(found, scores, other)
        return found

    def on_begin(self, *_call: object) -> None:
        """Switch on."""
        self.end()
        self.__enter__()  # type: ignore[no-untyped-call]  # torch does not type it
        self._is_on = True

    def on_end(self, *_call: object) -> None:
        """Switch off, as a hook."""
        self.end()

    def end(self) -> None:
        """Switch off."""
        if self._is_on:
            self._is_on = False
            self.__exit__(None, None, None)  # type: ignore[no-untyped-call]


def _rows(values: Tensor) -> NDArray[Any]:
    """Return values as float32, or indices, one row a token."""
    rows = values.detach().reshape(-1, values.shape[-1])
    return (rows.float() if rows.is_floating_point() else rows).cpu().numpy()


def _replaced(found: Any, scores: Tensor, other: NDArray[np.integer]) -> Any:
    """Return a top k with other indices in the rows that differ, by falling score, and the scores of these."""
    width = found.indices.shape[-1]
    indices = found.indices.reshape(-1, width)
    wanted = torch.from_numpy(np.asarray(other, dtype=np.int64)).to(indices.device)
    changed = (wanted != indices).any(dim=1)
    if not bool(changed.any()):
        return found
    order = scores.detach().reshape(-1, scores.shape[-1]).gather(1, wanted).argsort(dim=1, descending=True)
    indices = torch.where(changed[:, None], wanted.gather(1, order), indices).reshape(found.indices.shape)
    return torch.return_types.topk((scores.gather(-1, indices), indices))


def _groups_of(block: nn.Module) -> int | None:
    """Return how many groups a layer's experts are chosen within; None where its code names none."""
    for module in block.modules():
        for holder in (module, getattr(module, "config", None)):
            for name in _GROUP_NAMES if holder is not None else ():
                value = vars(holder).get(name)
                if isinstance(value, int) and not isinstance(value, bool) and value > 1:
                    return value
    return None
