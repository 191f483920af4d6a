"""How probable a given text is: the loss of each of its tokens after those before it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from moexray.errors import ModelError

# What forward passes call the number of last tokens whose logits they return; 0 asks for all.
_LOGITS_NAMES = ("logits_to_keep", "num_logits_to_keep")
# Tokens whose logits are normalised at once, in single precision.
_TOGETHER = 512


@contextmanager
def recorded_logits(model: nn.Module) -> Iterator[list[Tensor]]:
    """Yield a list to which each forward pass of the model appends the logits of all tokens ``(rows, tokens, ids)``."""
    kept: list[Tensor] = []

    def ask(_module: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
        return args, {name: 0 if name in _LOGITS_NAMES else value for name, value in kwargs.items()}

    def keep(_module: nn.Module, _args: Any, output: Any) -> None:
        kept.append(output.logits)

    handles = [
        model.register_forward_pre_hook(ask, with_kwargs=True),
        model.register_forward_hook(keep),
    ]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def losses_of(logits: Sequence[Tensor], row: int, token_ids: NDArray[np.int32], *, ran: int) -> NDArray[np.float32]:
    """Return the loss in nats of each token of a sequence, NaN for the first, float32 ``(tokens,)``.

    The loss of token t is −log softmax(logits at t − 1)[token t], in single precision or better.

    Parameters
    ----------
    logits
        Of one forward pass ``(rows, slots, ids)``, padded on the left.
    row
        The sequence's row.
    token_ids
        Its tokens; those that passed the model, and the one after them where there is one.
    ran
        How many of them passed the model.

    Raises
    ------
    ModelError
        If the model returned the logits of other tokens.
    """
    slots = logits[0].shape[1] if len(logits) == 1 and logits[0].ndim == 3 else 0
    if slots < ran:
        message = f"the model returned logits of {slots} tokens of {ran}: given text cannot be scored with it"
        raise ModelError(message)
    own = logits[0][row, slots - ran :][: len(token_ids) - 1]
    following = torch.from_numpy(token_ids[1:].astype(np.int64)).to(own.device)
    losses = np.full(len(token_ids), np.nan, dtype=np.float32)
    for start in range(0, len(own), _TOGETHER):
        some = slice(start, start + _TOGETHER)
        wide = own[some] if own.dtype == torch.float64 else own[some].float()
        found = wide.logsumexp(-1) - wide.gather(-1, following[some, None])[:, 0]
        losses[1 + start : 1 + start + len(found)] = found.cpu().numpy()
    return losses
