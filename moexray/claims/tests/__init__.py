"""The tests of claims. A new one is a function in one of these files, or in a new file that is named here."""

from moexray.claims.claim_tests import CLAIM_TESTS
from moexray.claims.tests import chance, depth, plane, ranges, setup, values  # noqa: F401  # importing a file registers its tests

__all__ = ["CLAIM_TESTS"]
