"""Routing rules carried out at the taps: hooks that change what the experts are handed, before anything is recorded."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.engines.rules import ByKind, FixedK, Given, PerLayer, Rule, Without, k_of_pass
from moexray.engines.transformers.by_kind import begin_by_kind
from moexray.engines.transformers.hooks import Tap
from moexray.engines.transformers.keeping import keep_of
from moexray.engines.transformers.places import Places
from moexray.engines.transformers.routers import Router, masked, narrowed
from moexray.engines.transformers.skipping import index_skipped
from moexray.engines.transformers.writing import (
    RuledLayer,
    check_number,
    fewest,
    forced,
    is_rescaled,
    maskable,
    narrowable,
    padded,
    refusal,
    some,
    writing,
)
from moexray.routing import RouterLayout


@dataclass(frozen=True)
class Ruling:
    """A rule that is being carried out.

    Attributes
    ----------
    taps
        The taps of all layers; they read what the rule made of the selections.
    places
        To be told which prompts run.
    banned
        By the place of a layer and a kind of tokens, None for all, experts that its router must not select for them.
    """

    taps: list[Tap]
    places: Places
    banned: Mapping[tuple[int, str | None], Sequence[int]]

    def check(self, experts: NDArray[np.int16]) -> None:
        """Refuse a router that selected an expert whose logit is minus infinity.

        Parameters
        ----------
        experts
            What was recorded of the batch that ran ``(prompts, slots, layers, k)``.

        Raises
        ------
        ModelError
            If there is one.
        """
        for (place, kind), banned in self.banned.items():
            chosen = experts[:, :, place]
            if kind is not None:
                chosen = chosen[self.places.of_kind(kind, experts.shape[1])]
            found = np.intersect1d(chosen, np.asarray(banned))
            if len(found):
                reason = (
                    f"the router selects expert {found[0]} though its logit is minus infinity (its group has too few "
                    "others, or a table decides): experts of this layer can be skipped, not replaced"
                )
                raise refusal(self.taps[place], reason)


@contextmanager
def carried_out(
    taps: Sequence[Tap], layout: RouterLayout, rule: Rule, routers: Sequence[Router | None]
) -> Iterator[Ruling]:
    """Let a model follow a rule that `moexray.engines.rule_checks.check_rule` accepts; afterwards it is as before.

    Parameters
    ----------
    taps, layout
        The taps of the model's MoE layers, and their layout.
    rule
        The rule.
    routers
        The router of each layer, where one was found.

    Raises
    ------
    ModelError
        If this model cannot follow it; the layer is named.
    """
    places, ruled = Places(layout.segments), list(taps)
    rule = _plain(rule, places)
    banned: dict[tuple[int, str | None], Sequence[int]] = {}
    with ExitStack() as stack:
        for place, (tap, k, router) in enumerate(zip(taps, k_of_pass(layout), routers, strict=True)):
            layer = RuledLayer(place, tap, k, router)
            parts: dict[str | None, Rule] = {None: rule}
            if isinstance(rule, ByKind):
                parts = dict(rule.rules.items())
            parts = {kind: one for kind, one in parts.items() if one.layers is None or tap.layer in one.layers}
            if isinstance(rule, ByKind):
                ruled[place] = begin_by_kind(stack, parts, layer, places)
            elif parts:
                ruled[place] = _begin(stack, rule, layer, places)
            for kind, one in parts.items():
                if isinstance(one, Without) and one.meaning == "replaced" and one.experts.get(tap.layer):
                    banned[place, kind] = one.experts[tap.layer]
        yield Ruling(ruled, places, banned)


def _plain(rule: Rule, places: Places) -> Rule:
    """Return the rule that all kinds have in common, where it is the same for each."""
    if not isinstance(rule, ByKind) or set(rule.rules) < set(places.kinds()):
        return rule
    first, *others = rule.rules.values()
    return first if all(one == first for one in others) else rule


def _begin(stack: ExitStack, rule: Rule, layer: RuledLayer, places: Places) -> Tap:
    """Begin a rule in one layer and return the tap that records it: the layer's own if nothing is changed there."""
    if isinstance(rule, FixedK | PerLayer):
        return _begin_fewer(stack, rule, layer, rule.k if isinstance(rule, FixedK) else rule.k[layer.place])
    if isinstance(rule, Given | Without):
        experts = rule.experts.get(layer.tap.layer, ())
        if not experts:
            return layer.tap
        if isinstance(rule, Given):
            check_number(layer, len(experts))
            return writing(stack, layer, forced(experts, k=layer.k, rescaled=is_rescaled(rule, layer)))
        if rule.meaning == "replaced":
            stack.enter_context(masked(maskable(layer), experts))
            return layer.tap
    keep = keep_of(rule, layer.tap, place=layer.place, k=layer.k, places=places)
    if keep is None:
        return layer.tap
    stack.enter_context(index_skipped(layer.tap.module))
    return writing(stack, layer, some(keep, rescaled=is_rescaled(rule, layer)))


def _begin_fewer(stack: ExitStack, rule: Rule, layer: RuledLayer, k: int) -> Tap:
    """Let a layer keep k selections: those that its own router selects then, or those of the greatest weights."""
    if k == layer.k:
        return layer.tap
    check_number(layer, k)
    if rule.normalisation != "native":
        return writing(stack, layer, fewest(k, of=layer.k, rescaled=is_rescaled(rule, layer)))
    stack.enter_context(narrowed(narrowable(layer), k))
    return padded(layer.tap, layer.k)
