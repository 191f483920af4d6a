"""The kinds of test that a claim can name: functions in `moexray.claims.tests`, each with its rule beside it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from moexray.claims.case import Case
from moexray.claims.claim import Claim, Finding

Run = Callable[[Claim, Case], Finding]


@dataclass(frozen=True)
class ClaimTest:
    """A test of claims.

    Attributes
    ----------
    run
        Returns the finding; raises `NotComputable` where the analysis lacks a value.
    rule
        What decides, in words.
    values
        The values that a claim must give, each with what it is: ``number``, ``count``, ``name`` or ``two names``.
    more
        Values that it may give as well.
    compares
        Whether it compares with a published value, so that a claim may state the error of that.
    tolerates
        Whether a claim may state a margin.
    """

    run: Run
    rule: str
    values: Mapping[str, str]
    more: Mapping[str, str]
    compares: bool
    tolerates: bool


_TESTS: dict[str, ClaimTest] = {}
CLAIM_TESTS: Mapping[str, ClaimTest] = MappingProxyType(_TESTS)
_NONE: Mapping[str, str] = MappingProxyType({})


def claim_test(
    kind: str,
    *,
    rule: str,
    values: Mapping[str, str] = _NONE,
    more: Mapping[str, str] = _NONE,
    compares: bool = False,
    tolerates: bool = False,
) -> Callable[[Run], Run]:
    """Return a decorator that makes a function the test of a kind of claims; see `ClaimTest`."""

    def register(run: Run) -> Run:
        _TESTS[kind] = ClaimTest(run, rule, values, more, compares, compares or tolerates)
        return run

    return register
