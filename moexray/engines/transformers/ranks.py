"""Sums over the processes of a distributed run."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from moexray.errors import ModelError


def summed_over_ranks(batches: Sequence[Tensor], numbers: Tensor, *, like: Tensor) -> tuple[NDArray[np.int64], Tensor]:
    """Return the counts of each batch ``(batches, counts)`` and some numbers, summed over all processes.

    In a run of one process they are its own. Of several, each must call this, with as many batches.

    Parameters
    ----------
    batches
        Counts of each batch ``(counts,)``.
    numbers
        Integers ``(numbers,)``.
    like
        A tensor of the length, type and device of a batch, where there may be none.

    Raises
    ------
    ModelError
        If processes differ in the number of batches.
    """
    found = torch.stack(list(batches)) if batches else like.new_zeros((0, len(like)))
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        # The greatest of n and of −n say whether all are the same, before they are summed.
        lengths = torch.tensor([len(batches), -len(batches)], device=like.device)
        dist.all_reduce(lengths, op=dist.ReduceOp.MAX)
        most, least = int(lengths[0]), -int(lengths[1])
        if most != least:
            message = f"a process has counted {least} batches, and another {most}: end batches together on all of them"
            raise ModelError(message)
        joined = torch.cat([found.reshape(-1), numbers.to(like.device)])
        dist.all_reduce(joined)
        found, numbers = joined[: found.numel()].view_as(found), joined[found.numel() :]
    return found.cpu().numpy(), numbers.cpu()
