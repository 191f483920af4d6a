"""Where a model keeps experts, by their names and by their structure: none is passed over for what it is called."""

import re
from collections.abc import Iterator, Sequence

from torch import nn

_LISTS = (nn.ModuleList, nn.ModuleDict)
_PARAMETER_LISTS = (nn.ParameterList, nn.ParameterDict)
# Kernels of convolutions are stacked as well, one for each channel.
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
# Heads of attention may be listed, stacked and gated one by one, as experts are.
_ATTENTION = re.compile(r"(^|[._])(self_?)?(attn|attention)s?([._]|$)", re.IGNORECASE)
_NUMBERED = re.compile(r"^(\D+?)_?\d+$")


def is_called_experts(path: str, module: nn.Module) -> bool:
    """Whether the name of a module's class, or of a module with several equal parts, says that it holds experts."""
    own, kind = path.rpartition(".")[2].lower(), type(module).__name__.lower()
    named = "expert" in kind or ("expert" in own and bool(_numbers_of_parts(module)))
    return named and "shared" not in own and "shared" not in kind


def is_built_as_experts(decoder: nn.Module, path: str, module: nn.Module) -> bool:
    """Whether a module holds equal parts, listed or stacked, and a router's matrix has a row for each of them.

    Parameters
    ----------
    decoder
        The decoder.
    path
        The module's name within the decoder.
    module
        The module.
    """
    if _ATTENTION.search(path) or "shared" in path.lower():
        return False
    numbers = _numbers_of_parts(module)
    parent = decoder.get_submodule(path.rpartition(".")[0])
    return bool(numbers) and any(len(matrix) in numbers for matrix in _matrices_beside(parent, module))


def bytes_of_expert(holders: Sequence[nn.Module], experts: int, *, width: int | None = None) -> int:
    """Return the memory that one expert of a layer takes, in bytes, as its weights are stored.

    Parameters
    ----------
    holders
        The modules that hold the layer's experts, stacked or one by one.
    experts
        Experts that the router chooses from; the last may compute nothing and have no weights.
    width
        Bytes of a number; by default as the weights have it.
    """
    tensors = [one for holder in holders for one in (*holder.parameters(), *holder.buffers())]
    stacked = [len(one) for holder in holders for one in holder.parameters(recurse=False) if one.ndim == 3]
    listed = [number for holder in holders for number in _numbers_of_parts(holder)]
    number = min([experts, *(stacked or listed)])
    return sum(one.numel() * (width or one.element_size()) for one in tensors) // number


def _numbers_of_parts(module: nn.Module) -> set[int]:
    """Return the numbers, two at least, of equal parts that a module holds as a list, one by one, or stacked."""
    if isinstance(module, _CONVOLUTIONS):
        return set()
    if isinstance(module, _PARAMETER_LISTS):
        shapes = {tuple(parameter.shape) for parameter in module.parameters(recurse=False)}
        numbers = {len(module)} if len(shapes) == 1 and len(next(iter(shapes))) >= 2 else set()
    elif isinstance(module, _LISTS):
        numbers = {_equal([part for _, part in module.named_children()])}
    else:
        families: dict[str, list[nn.Module]] = {}
        for name, part in module.named_children():
            if found := _NUMBERED.match(name):
                families.setdefault(found[1], []).append(part)
        numbers = {_equal(parts) for parts in families.values()}
        numbers |= {len(parameter) for parameter in module.parameters(recurse=False) if parameter.ndim == 3}
    return {number for number in numbers if number > 1}


def _equal(parts: Sequence[nn.Module]) -> int:
    """Return how many parts there are if all have matrices of the same shapes; otherwise 0."""
    kinds = {(type(part), tuple(tuple(parameter.shape) for parameter in part.parameters())) for part in parts}
    has_matrix = any(parameter.ndim >= 2 for part in parts[:1] for parameter in part.parameters())
    return len(parts) if len(kinds) == 1 and has_matrix else 0


def _matrices_beside(parent: nn.Module, module: nn.Module) -> Iterator[nn.Parameter]:
    """Yield the matrices of a module and of what lies beside it, other lists left out: a router's is among them."""
    for block in (parent, module):
        yield from (parameter for parameter in block.parameters(recurse=False) if parameter.ndim == 2)
        for name, part in block.named_children():
            if part is module or isinstance(block, _LISTS) or isinstance(part, _LISTS) or _ATTENTION.search(name):
                continue
            yield from (parameter for parameter in part.parameters() if parameter.ndim == 2)
