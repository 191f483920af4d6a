"""The tests of claims. A new one is a function in one of these files, or in a new file that is named here."""

from moexray.claims.claim_tests import CLAIM_TESTS

# Importing a file registers its tests.
from moexray.claims.tests import chance, depth, measured, plane, ranges, setup, values  # noqa: F401

__all__ = ["CLAIM_TESTS"]
