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
    own = _own(logits, row, len(token_ids), ran)
    following = torch.from_numpy(token_ids[1:].astype(np.int64)).to(own.device)
    losses = np.full(len(token_ids), np.nan, dtype=np.float32)
    for start in range(0, len(own), _TOGETHER):
        some = slice(start, start + _TOGETHER)
        wide = _wide(own[some])
        found = wide.logsumexp(-1) - wide.gather(-1, following[some, None])[:, 0]
        losses[1 + start : 1 + start + len(found)] = found.cpu().numpy()
    return losses


def divergences_of(
    before: Sequence[Tensor], after: Sequence[Tensor], row: int, tokens: int, *, ran: int
) -> NDArray[np.float64]:  # (tokens,)
    """Return how far the prediction of each token moved, in nats, NaN for the first.

    It is the Kullback–Leibler divergence Σ p log(p / q) of the distribution q over all ids after a change from the
    distribution p before it.

    Parameters
    ----------
    before, after
        Logits of one forward pass each ``(rows, slots, ids)``, padded on the left.
    row, tokens, ran
        The sequence's row, how many tokens it has, and how many of them passed the model; see `losses_of`.

    Raises
    ------
    ModelError
        If the model returned the logits of other tokens.
    """
    one, other = (_own(logits, row, tokens, ran) for logits in (before, after))
    found = np.full(tokens, np.nan)
    for start in range(0, len(one), _TOGETHER):
        some = slice(start, start + _TOGETHER)
        was, now = (_wide(logits[some]).log_softmax(-1) for logits in (one, other))
        # An id that is ruled out has probability 0 and adds nothing.
        terms = (was.exp() * (was - now)).where(was > -torch.inf, 0)
        of_some = terms.sum(-1, dtype=torch.float64)
        found[1 + start : 1 + start + len(of_some)] = of_some.clamp_min(0).cpu().numpy()  # below 0 by rounding only
    return found


def _own(logits: Sequence[Tensor], row: int, tokens: int, ran: int) -> Tensor:
    """Return the logits from which the tokens of a row but the first are predicted ``(tokens − 1, ids)``."""
    slots = logits[0].shape[1] if len(logits) == 1 and logits[0].ndim == 3 else 0
    if slots < ran:
        message = f"the model returned logits of {slots} tokens of {ran}: given text cannot be scored with it"
        raise ModelError(message)
    return logits[0][row, slots - ran :][: tokens - 1]


def _wide(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()
