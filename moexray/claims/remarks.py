"""Remarks beside headline claims: how much of each token identity explains. They never change a verdict."""

from collections.abc import Callable, Mapping

from moexray.formats import p_text, percent, span
from moexray.studies.analysis import Analysis
from moexray.studies.sections.token_identity import TokenIdentity


def token_remark(kind: str, analysis: Analysis) -> str | None:
    """Return how much of a claim's value token identity explains; None where that is not known or not asked."""
    found = analysis.controls.token_identity
    return _REMARKS[kind](found) if found is not None and kind in _REMARKS else None


def _separation(found: TokenIdentity) -> str | None:
    if found.share is None:
        return None
    share = span((found.share.share, found.share.ci), (found.share.high, found.share.high_ci), write=percent)
    return f"token identity is {share} of the separation, on {_covered(found)}"


def _residual(found: TokenIdentity) -> str | None:
    if found.residual is None:
        return None
    return f"what tokens leave: {p_text(found.residual.p_value)}, on {_covered(found)}"


def _accuracy(found: TokenIdentity) -> str | None:
    expected, residual = found.expected, found.residual
    if expected is None or residual is None or expected.accuracy is None or residual.accuracy is None:
        return None
    shares = f"expected by token {percent(expected.accuracy)}, what tokens leave {percent(residual.accuracy)}"
    return f"{shares}, on {_covered(found)}"


def _covered(found: TokenIdentity) -> str:
    return f"the {percent(found.covered)} of tokens that occur often elsewhere"


_REMARKS: Mapping[str, Callable[[TokenIdentity], str | None]] = {
    "effect_size": _separation,
    "shuffled_labels": _residual,
    "accuracy": _accuracy,
}
