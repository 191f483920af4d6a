"""The router of a layer: told to select fewer experts, asked what it would select then, and its logits masked."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from moexray.errors import ModelError

# Functions that may multiply hidden states by the router's matrix.
_PRODUCTS = (F.linear, torch.matmul, torch.mm, Tensor.matmul, Tensor.mm, Tensor.__matmul__)
_CHOICES = (torch.topk, Tensor.topk)

# From the number of rows of a call of a router to which of them are meant, bool ``(rows,)``.
Rows = Callable[[int], Tensor]


@dataclass(frozen=True)
class Router:
    """The module that selects a layer's experts.

    Attributes
    ----------
    module
        The module; its output holds the selections and their weights as they reach the experts.
    holder, name, k
        The object and attribute that hold k, and its value; `narrowed` changes it during the module's calls.
    native
        How it weighs fewer selections: ``kept`` or ``rescaled``; None for another way.
    places
        Where its output holds the selections and the weights.
    product
        The place, among the products in a call, of the one that makes the logits; None if none does.
    experts
        Experts that it selects from.
    """

    module: nn.Module
    holder: Any
    name: str
    k: int
    native: str | None
    places: tuple[int, int]
    product: int | None
    experts: int


@contextmanager
def narrowed(router: Router, k: int) -> Iterator[None]:
    """Let a router select `k` experts; the attribute is changed while the router runs, since others may read it."""

    def begin(_module: nn.Module, _args: object) -> None:
        setattr(router.holder, router.name, k)

    def end(_module: nn.Module, _args: object, _output: object) -> None:
        setattr(router.holder, router.name, router.k)

    handles = [
        router.module.register_forward_pre_hook(begin),
        router.module.register_forward_hook(end, always_call=True),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        setattr(router.holder, router.name, router.k)


@contextmanager
def also_narrowed(router: Router, k: int) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Yield a list that holds, after each call of a router, what it would have selected with a smaller k.

    The selections and their weights ``(rows, k)``; the router's own output stays as it is.
    """
    found: list[tuple[Tensor, Tensor]] = []

    def ask(module: nn.Module, args: Any, kwargs: Any, _output: object) -> None:
        setattr(router.holder, router.name, k)
        try:
            output = module.forward(*args, **kwargs)
        finally:
            setattr(router.holder, router.name, router.k)
        found[:] = [(output[router.places[0]], output[router.places[1]])]

    handle = router.module.register_forward_hook(ask, with_kwargs=True)
    try:
        yield found
    finally:
        handle.remove()


@contextmanager
def masked(router: Router, experts: Sequence[int], rows: Rows | None = None) -> Iterator[None]:
    """Let a router choose among the other experts: the logits of these are minus infinity.

    So are the scores among which it selects: a bias may have been added to them.

    Parameters
    ----------
    router, experts
        The router, and the experts that it must not select.
    rows
        Which rows of a call this holds for; all by default.

    Raises
    ------
    ModelError
        While the model runs, if the router's logits are not in the rows of its tokens.
    """
    active: list[Masking] = []

    def begin(_module: nn.Module, _args: object) -> None:
        active.append(Masking(router.product, experts, router.experts, rows))
        active[-1].__enter__()  # type: ignore[no-untyped-call]

    def end(_module: nn.Module, _args: object, _output: object) -> None:
        if active:
            active.pop().__exit__(None, None, None)  # type: ignore[no-untyped-call]

    handles = [
        router.module.register_forward_pre_hook(begin),
        router.module.register_forward_hook(end, always_call=True),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        while active:  # a hook is not called where the user interrupts: what stays on would mask all that runs later
            end(router.module, None, None)


class Masking(TorchFunctionMode):
    """Sets some of `width` experts to minus infinity in one product and in what is selected from."""

    def __init__(self, product: int | None, experts: Sequence[int], width: int, rows: Rows | None = None) -> None:
        super().__init__()
        self._rows, self._chosen = rows, list[Tensor]()
        self._product, self._experts, self._width = product, list(experts), width
        self.shapes: list[tuple[int, ...]] = []

    def __torch_function__(
        self, function: Callable[..., Any], _types: object, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call the function, and mask its result if it is the product that makes the logits."""
        if function in _CHOICES and self._product is not None and args and args[0].shape[-1] == self._width:
            args = (self._masked(args[0]), *args[1:])
        found = function(*args, **(kwargs or {}))
        if function in _PRODUCTS:
            self.shapes.append(tuple(found.shape))
            if len(self.shapes) - 1 == self._product:
                found = self._masked(found)
        return found

    def _masked(self, values: Tensor) -> Tensor:
        columns = torch.tensor(self._experts, dtype=torch.long, device=values.device)
        if self._rows is None:
            return values.index_fill(-1, columns, -torch.inf)
        flat = values.reshape(-1, values.shape[-1])
        if not self._chosen:  # once for each call of the router
            self._chosen.append(self._rows(len(flat)).to(values.device))
        if len(self._chosen[0]) != len(flat):
            message = "a router's logits and what it selects from have different rows: it cannot be masked by kind"
            raise ModelError(message)
        banned = torch.zeros(flat.shape[-1], dtype=torch.bool, device=values.device)
        banned[columns] = True
        return flat.masked_fill(self._chosen[0][:, None] & banned, -torch.inf).view(values.shape)
