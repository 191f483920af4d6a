"""The control of token identity: how much of a finding the tokens themselves explain."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from moexray.errors import NotComputable
from moexray.formats import listed, token_text, tokens_text
from moexray.segments import WORDLESS, places, selectors
from moexray.stats.inference.units import units_of
from moexray.stats.tokens.entropy import Bits
from moexray.stats.tokens.expected import OtherBlocks
from moexray.stats.tokens.information import routing_information
from moexray.stats.tokens.share import TokenShare, token_share
from moexray.studies.codec import optional
from moexray.studies.cohort import Cohort
from moexray.studies.notes import Notes
from moexray.studies.sections.expectation import (
    Expectation,
    LayerSeparation,
    Separation,
    expectation,
    with_residual_test,
)
from moexray.studies.sections.same_token import SameContext, SameToken, same_context, same_token, with_every_prompt
from moexray.studies.sections.tokens import Tokens, tokens_of


@dataclass(frozen=True)
class LayerInformation:
    """Mutual information in bits of a token's expert with what is known of the token, in one layer.

    See `moexray.stats.tokens.information.RoutingInformation`.
    """

    layer: int
    token: Bits
    category: Bits
    category_given_token: Bits | None
    position: Bits
    entropy: float
    covered: float
    covered_given_token: float
    category_given_token_p: float | None = optional()


@dataclass(frozen=True)
class TokenIdentity:
    """What token identity explains; a part is None where it could not be computed.

    Attributes
    ----------
    same_token
        The same id in prompts of one category, and of different ones.
    covered, observed, expected, residual, layers
        Expected from the same ids in other prompts: see `Expectation`.
    other_categories
        Expected from the same ids in other categories.
    share
        Share of the separation of categories that token identity explains, as a range.
    information
        Bits, layer by layer.
    same_context
        The same id after the same other id, in prompts of one category, and of different ones.
    """

    same_token: SameToken | None
    covered: float | None
    observed: Separation | None
    expected: Separation | None
    residual: Separation | None
    layers: tuple[LayerSeparation, ...] | None
    other_categories: Expectation | None
    share: TokenShare | None
    information: tuple[LayerInformation, ...] | None
    same_context: SameContext | None = optional(beside="same_token")


def token_identity(cohort: Cohort, notes: Notes) -> TokenIdentity:
    """Compare tokens with the same ids in other prompts, and signatures with what their token ids make one expect.

    Of more than 500 prompts all but the gain looks at 500 drawn at random.

    Raises
    ------
    NotComputable
        If there is no trace, or all tokens under study are placeholders, as of images.
    """
    trace = cohort.trace
    if trace is None:
        message = "it needs a trace: moexray capture --record trace, then moexray analyze SIGNATURES --trace TRACE"
        raise NotComputable(message)
    cohort = _with_words(cohort, notes)
    some = cohort.sample(cohort.limits.token_prompts, "controls.token_identity")
    notes.sampled(some, cohort)
    tokens = tokens_of(some, trace)
    gain = notes.attempt("same_token", lambda: same_token(some, tokens))
    if gain is not None and not some.complete:
        gain = with_every_prompt(gain, cohort, trace)
    units = units_of(tokens.labels, tokens.groups)
    other_prompts = OtherBlocks(tokens.rows, units.units, units.units)
    main = notes.attempt("expected", lambda: expectation(some, tokens, other_prompts, classified=notes))
    return TokenIdentity(
        same_token=gain,
        covered=None if main is None else main.covered,
        observed=None if main is None else main.observed,
        expected=None if main is None else main.expected,
        residual=None if main is None else _tested(main.residual, some, tokens, notes),
        layers=None if main is None else main.layers,
        other_categories=notes.attempt("other_categories", lambda: _from_other_categories(some, tokens, notes)),
        share=notes.attempt(
            "share", lambda: token_share(other_prompts, tokens.by_layer, tokens.labels, groups=tokens.groups)
        ),
        information=notes.attempt("information", lambda: _information(some, tokens)),
        same_context=notes.attempt("same_context", lambda: same_context(some, tokens)),
    )


def _with_words(cohort: Cohort, notes: Notes) -> Cohort:
    """Return the cohort without tokens whose ids are placeholders: one id for all tokens of all images is no identity.

    A prompt without any other token is left out.
    """
    signatures = cohort.signatures
    chosen, segments = signatures.places(cohort.tokens), signatures.segments
    held = signatures.tokens.sum(axis=0) > 0
    kinds = listed(
        sorted({segments[place].kind for place in chosen if segments[place].kind in WORDLESS and held[place]})
    )
    if not kinds:
        return cohort
    kept = tuple(place for place in chosen if segments[place].kind not in WORDLESS)
    left = {segments[place].kind for place in chosen if place not in kept and signatures.tokens[:, place].any()}
    if not left:
        return cohort
    kinds = listed(sorted(left))
    if not kept:
        message = f"{kinds} tokens share ids that do not say what they show: these explain nothing of their routing"
        raise NotComputable(message)
    named = next((name for name in selectors(segments) if places(name, segments) == kept), None)
    if named is None:
        message = f"{kinds} tokens have no identity, and the others have no common name: study one kind of tokens"
        raise NotComputable(message)
    there = np.flatnonzero(signatures.has_tokens(named))
    if not len(there):
        message = f"no prompt has any {token_text(named)}, and {kinds} tokens have no identity"
        raise NotComputable(message)
    notes.add("tokens", f"of {tokens_text(named)} alone: {kinds} tokens share ids that do not say what they show")
    return replace(cohort, tokens=named, signatures=signatures.take(there))


def _tested(residual: Separation, cohort: Cohort, tokens: Tokens, notes: Notes) -> Separation:
    return notes.attempt("residual", lambda: with_residual_test(residual, cohort, tokens)) or residual


def _from_other_categories(cohort: Cohort, tokens: Tokens, notes: Notes) -> Expectation:
    """Leave classifiers and the p of expected signatures out.

    What is expected of a prompt lacks its own category: a classifier could read the category from that, and permuted
    labels would be labels that had no part in making the signatures that they are tested on.
    """
    units = units_of(tokens.labels, tokens.groups)
    found = expectation(cohort, tokens, OtherBlocks(tokens.rows, units.categories, units.units))
    note = "labels chose the prompts from which routing is expected, so permuted labels are no null of it"
    notes.add("other_categories.expected.p_value", note)
    return replace(found, expected=replace(found.expected, p_value=None))


def _information(cohort: Cohort, tokens: Tokens) -> tuple[LayerInformation, ...]:
    routed = tokens.routed
    options: dict[str, Any] = {
        "width": tokens.width,
        "permutations": min(cohort.permutations, cohort.limits.information_permutations),
        "rng": cohort.rng("token_identity.information"),
        "groups": tokens.groups,
    }
    return tuple(
        LayerInformation(
            layer=layer,
            **vars(
                routing_information(
                    routed.token_ids, routed.prompts, routed.positions, chosen, tokens.labels, **options
                )
            ),
        )
        for layer, chosen in zip(tokens.layers, routed.experts.swapaxes(0, 1), strict=True)
    )
