"""How often each verdict is given: small studies are inconclusive, and data never make a true claim fail.

Signatures have 24 dimensions: 1 + strength · centre + spread · U(0, 1), centres U(0, 1), spreads 0.6, 0.8, 1 and 1.2 by
category. The published study has 20 prompts of each of four categories and strength 0.8, which makes d = 1.75 or so.
"""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import moexray as mx
from moexray.claims.case import Case
from moexray.claims.check import check_claims
from moexray.claims.claim import Claim
from moexray.claims.study_file import shipped_study
from moexray.claims.tests import CLAIM_TESTS
from moexray.signatures import Signatures
from moexray.stats import Similarity, similarity
from moexray.studies.analysis import Analysis, analyze
from moexray.studies.codec import from_values
from moexray.studies.limits import Limits
from moexray.studies.sections.similarity import PairSimilarity

from ..stats.simulations import assert_share, simulated
from .test_check import document, signatures

SPREADS, DIMENSIONS, PUBLISHED = (0.6, 0.8, 1.0, 1.2), 24, 20
CLAIMS = {claim.kind: claim for claim in shipped_study().claims}
KINDS = ("similarity_within", "similarity_across", "effect_size")
OTHER = {"different", "direction only"}


def drawn(rng: np.random.Generator, centres: np.ndarray, strength: float, number: int) -> Similarity:
    category = np.repeat(np.arange(len(SPREADS)), number)
    noise = np.array(SPREADS)[category, None] * rng.uniform(size=(len(category), DIMENSIONS))
    return similarity(1 + strength * centres[category] + noise, [f"kind {c}" for c in category])


def claims_of(found: Similarity) -> list[Claim]:
    """Return what a study of these values would claim, with the margins of the shipped claims."""
    within, across = found.within, found.across
    values = ({"mean": within.mean, "std": within.std}, {"mean": across.mean, "std": across.std}, {"d": found.cohens_d})
    margin = ((within.mean or 0) - (across.mean or 0)) / 4
    margins = (margin, margin, 0.4)
    return [
        replace(CLAIMS[kind], values=value, margin=margin)
        for kind, value, margin in zip(KINDS, values, margins, strict=True)
    ]


def case_of(found: Similarity, number: int) -> Case:
    analysis = from_values(document(), Analysis)
    parts = {name: getattr(found, name) for name in ("within", "across", "cohens_d", "cohens_d_ci")}
    about = replace(analysis.signatures, prompts=4 * number, categories={f"kind {c}": number for c in range(4)})
    pairs = PairSimilarity(**parts, auc=None, auc_ci=None, by_category=found.by_category, by_pair=found.by_pair)
    return Case(signatures(), replace(analysis, signatures=about, similarity=pairs))


def verdicts(seed: int, strength: float, number: int) -> list[str]:
    """Return the verdicts of one pair of studies: within, across and d."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(size=(4, DIMENSIONS))
    claims = claims_of(drawn(rng, centres, 0.8, PUBLISHED))
    case = case_of(drawn(rng, centres, strength, number), number)
    return [str(CLAIM_TESTS[claim.kind].run(claim, case).verdict) for claim in claims]


NUMBERS = [3, 5, 10, 20, pytest.param(60, marks=pytest.mark.slow), pytest.param(200, marks=pytest.mark.nightly)]


@pytest.mark.slow
@pytest.mark.parametrize("number", NUMBERS)
@simulated(60, nightly=300)
def test_an_exact_replication_is_rarely_different_however_large(seeds: range, number: int) -> None:
    found = np.array([verdicts(seed, 0.8, number) for seed in seeds])
    for kind, column in zip(KINDS, found.T, strict=True):
        print(kind, number, Counter(column.tolist()))
        assert_share(np.isin(column, list(OTHER)), 0, 0.05)


@pytest.mark.slow
@simulated(60, nightly=300)
def test_an_exact_replication_is_the_more_consistent_the_larger_it_is(seeds: range) -> None:
    few, some, many = (np.array([verdicts(seed, 0.8, n) for seed in seeds]) == "consistent" for n in (3, 10, 60))
    for column in range(len(KINDS)):
        assert few[:, column].mean() <= some[:, column].mean() <= many[:, column].mean()
    assert_share(few[:, 2], 0, 0.1)
    assert_share(many[:, 2], 0.8, 1)


@pytest.mark.slow
@simulated(60, nightly=300)
def test_a_smaller_effect_is_inconclusive_in_small_studies_and_found_in_large_ones(seeds: range) -> None:
    """The true d is 1.28 here and 1.75 there, and the margin is 0.4."""
    few, many = (np.array([verdicts(seed, 0.65, n)[2] for seed in seeds]) for n in (3, 20))
    assert_share(few == "consistent", 0, 0.05)
    assert_share(few == "inconclusive", 0.6, 1)
    assert_share(many == "consistent", 0, 0.1)
    assert_share(many == "direction only", 0.8, 1)


def subsample(recorded: Signatures, number: int, seed: int) -> Signatures:
    rng = np.random.default_rng([seed, number])
    categories = np.array(recorded.prompts.categories)
    rows = [rng.choice(np.flatnonzero(categories == name), number, replace=False) for name in sorted(set(categories))]
    return recorded.take(np.sort(np.concatenate(rows)))


@pytest.mark.nightly
def test_fewer_prompts_of_one_model_make_no_claim_consistent() -> None:
    """The prompts of the example, subsampled: what 5 of a category leave open, 20 may decide, and not the reverse.

    Facts of the setup do not count: whether a prompt ended early depends on which are drawn.
    """
    recorded, _ = mx.example()
    limits = Limits(classifier_permutations=99, partial_permutations=9, phase_permutations=9)
    found: list[np.ndarray] = []
    for number in (5, 6, 10, 20):
        of = []
        for seed in range(12 if number < PUBLISHED else 1):
            some = subsample(recorded, number, seed)
            claims = check_claims(some, analyze(some, permutations=500, limits=limits)).claims
            of.append(sum(claim.as_if == "consistent" and claim.id not in {"C1", "C2"} for claim in claims))
        found.append(np.array(of))
    print([part.mean() for part in found])
    for few, many in pairwise(found):
        errors = np.sqrt(sum(part.var(ddof=1) / len(part) for part in (few, many) if len(part) > 1))
        assert few.mean() <= many.mean() + 2 * errors
    assert all(part.mean() <= found[-1].mean() for part in found)
