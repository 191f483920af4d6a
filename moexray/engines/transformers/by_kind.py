"""A rule by kind of token in one layer: what each kind's rule makes of the selections goes to the rows of that kind."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from moexray.engines.rules import FixedK, Given, PerLayer, Rule, Without
from moexray.engines.transformers.hooks import Tap
from moexray.engines.transformers.keeping import keep_of
from moexray.engines.transformers.places import Cursor, Places
from moexray.engines.transformers.routers import Rows, also_narrowed, masked
from moexray.engines.transformers.skipping import index_skipped
from moexray.engines.transformers.writing import (
    RuledLayer,
    Write,
    Written,
    forced,
    is_rescaled,
    maskable,
    narrowable,
    some,
    spread,
    writing,
)


def begin_by_kind(stack: ExitStack, rules: Mapping[Any, Rule], layer: RuledLayer, places: Places) -> Tap:
    """Begin a rule for each kind of token in one layer, and return the tap that records it.

    All rows keep their k columns: a selection that is left out stands as expert E, or has weight 0. Rows of padding,
    and of kinds without a rule, go to the experts as they come.

    Parameters
    ----------
    stack
        Ends the rules.
    rules
        By the kind of token.
    layer, places
        The layer, and what its rows are.

    Raises
    ------
    ModelError
        If the layer cannot follow one of them.
    """
    writes = []
    for kind, rule in rules.items():
        number = places.kinds().index(kind)
        if isinstance(rule, Without) and rule.meaning == "replaced":
            experts = rule.experts.get(layer.tap.layer, ())
            if experts:
                stack.enter_context(masked(maskable(layer), experts, _rows(number, layer.tap, places)))
            continue
        write = _write(stack, rule, layer, places)
        if write is not None:
            writes.append((number, write))
    if not writes:
        return layer.tap
    stack.enter_context(index_skipped(layer.tap.module))
    return writing(stack, layer, _each(writes, Cursor(places, layer.tap.path, layer.tap.calls)))


def _rows(kind: int, tap: Tap, places: Places) -> Rows:
    cursor = Cursor(places, tap.path, tap.calls)
    return lambda rows: torch.from_numpy(cursor.kinds(rows) == kind)


def _write(stack: ExitStack, rule: Rule, layer: RuledLayer, places: Places) -> Write | None:
    """Return what a rule makes of all rows; None where it changes none."""
    if isinstance(rule, Given | Without):
        experts = rule.experts.get(layer.tap.layer, ())
        if not experts:
            return None
        if isinstance(rule, Given):
            return _forced(experts, layer, rescaled=is_rescaled(rule, layer))
    if isinstance(rule, FixedK | PerLayer) and rule.normalisation == "native":
        k = rule.k if isinstance(rule, FixedK) else rule.k[layer.place]
        return None if k == layer.k else _narrow(stack, layer, k)
    keep = keep_of(rule, layer.tap, place=layer.place, k=layer.k, places=places)
    return None if keep is None else some(keep, rescaled=is_rescaled(rule, layer))


def _narrow(stack: ExitStack, layer: RuledLayer, k: int) -> Write:
    """Hand over what the layer's own router selects with k, and the weights that it gives them."""
    found = stack.enter_context(also_narrowed(narrowable(layer), k))

    def write(module: nn.Module, experts: Tensor, weights: Tensor) -> Written:
        fewer, their = found[-1]
        return spread(module, fewer.to(experts.dtype), their.to(weights.dtype), experts)

    return write


def _forced(given: Sequence[int], layer: RuledLayer, *, rescaled: bool) -> Write:
    plain = forced(given, k=layer.k, rescaled=rescaled)

    def write(module: nn.Module, experts: Tensor, weights: Tensor) -> Written:
        found = plain(module, experts, weights)
        return spread(module, found.experts, found.weights, experts)

    return write


def _each(writes: Sequence[tuple[int, Write]], cursor: Cursor) -> Write:
    """Give the rows of each kind what is written for it."""

    def write(module: nn.Module, experts: Tensor, weights: Tensor) -> Written:
        kinds = torch.from_numpy(cursor.kinds(len(experts))).to(experts.device)[:, None]
        found = Written(experts, weights, experts, weights)
        for kind, of_kind in writes:
            one, own = of_kind(module, experts, weights), kinds == kind
            found = Written(
                one.experts.where(own, found.experts),
                one.weights.where(own, found.weights),
                one.recorded.where(own, found.recorded),
                one.recorded_weights.where(own, found.recorded_weights),
            )
        return found

    return write
