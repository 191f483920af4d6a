"""The embedded model: what ships, and the statistics of its signatures against independent definitions."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import moexray
from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import load_model
from moexray.examples import example
from moexray.prompts import bundled_prompts
from moexray.recording.capture import capture_with
from moexray.signatures import Signatures
from moexray.stats.categories.classifier import classify
from moexray.stats.pairs.shuffled import permutation_test
from moexray.stats.pairs.similarity import similarity

FOLDER = Path(moexray.__file__).parent / "scale_model"
TRAINING = json.loads((FOLDER / "training.json").read_text())


@pytest.fixture(scope="module")
def engine() -> TransformersEngine:
    return TransformersEngine(load_model("scale", device="cpu", dtype="float32"))


@pytest.fixture(scope="module")
def scale_signatures() -> Signatures:
    """Return the signatures that come with the package."""
    return example().signatures


@pytest.fixture(scope="module")
def recorded(engine: TransformersEngine) -> Signatures:
    return capture_with(engine, bundled_prompts())


def test_it_has_the_routing_geometry_of_olmoe(engine: TransformersEngine) -> None:
    assert engine.layout.layers == tuple(range(16))
    assert set(engine.layout.experts) == {64}
    assert set(engine.layout.top_k) == {8}


def test_what_ships_is_under_ten_megabytes() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 10_000_000


@pytest.mark.parametrize("category", ["code", "factual", "math", "story"])
def test_held_out_text_surprises_it_less_than_word_counts_would_allow(category: str) -> None:
    found = TRAINING["held_out"][category]
    assert found["loss"] < 0.85 * found["bigram_loss"]
    assert found["loss"] < 0.6 * found["unigram_loss"]
    assert found["perplexity"] == pytest.approx(np.exp(found["loss"]), rel=1e-2)


def test_no_expert_is_dead(scale_signatures: Signatures) -> None:
    assert TRAINING["load"]["dead_experts"] == 0
    assert (scale_signatures.loads().sum(axis=0) > 0).all()


@pytest.mark.slow
def test_the_signatures_that_come_with_the_package_are_those_recorded_today(
    scale_signatures: Signatures, recorded: Signatures
) -> None:
    """Another processor may send a token whose scores all but tie elsewhere, and a text may then go on otherwise."""
    assert scale_signatures.prompts.ids == recorded.prompts.ids
    same = np.array(scale_signatures.prompts.outputs) == np.array(recorded.prompts.outputs)
    assert same.mean() >= 0.95
    assert moved(scale_signatures.counts[same], recorded.counts[same]) <= 1e-3


@pytest.mark.slow
def test_a_batch_gives_each_prompt_what_it_gets_alone(engine: TransformersEngine, recorded: Signatures) -> None:
    """Up to the few selections whose scores all but tie in float32."""
    for row in range(0, 80, 20):
        alone = capture_with(engine, [bundled_prompts()[row]])
        together = recorded.take([row])
        assert alone.prompts.outputs == together.prompts.outputs
        assert moved(alone.counts, together.counts) <= 1e-3


def moved(first: np.ndarray, second: np.ndarray) -> float:
    """Return the share of selections that went to another expert."""
    return float(np.abs(first.astype(int) - second.astype(int)).sum() / 2 / first.sum())


def test_within_across_d_and_auc_equal_explicit_loops_over_pairs(scale_signatures: Signatures) -> None:
    vectors, labels = scale_signatures.vectors(), scale_signatures.prompts.categories
    within: list[float] = []
    across: list[float] = []
    for i, j in itertools.combinations(range(len(labels)), 2):
        cosine = vectors[i] @ vectors[j] / np.linalg.norm(vectors[i]) / np.linalg.norm(vectors[j])
        (within if labels[i] == labels[j] else across).append(cosine)
    found = similarity(vectors, labels)
    assert (found.within.pairs, found.across.pairs) == (len(within), len(across)) == (760, 2400)
    assert found.within.mean == pytest.approx(np.mean(within))
    assert found.across.std == pytest.approx(np.std(across, ddof=1))
    pooled = np.sqrt((759 * np.var(within, ddof=1) + 2399 * np.var(across, ddof=1)) / 3158)
    assert found.cohens_d == pytest.approx((np.mean(within) - np.mean(across)) / pooled)
    assert found.auc is not None
    assert found.auc.value == pytest.approx(np.mean([[w > a for a in across] for w in within]), abs=1e-9)


@pytest.mark.slow
def test_p_agrees_with_scipys_permutation_test(scale_signatures: Signatures) -> None:
    """On five prompts of each of two categories, all of whose labelings can be tried."""
    categories = np.array(scale_signatures.prompts.categories)
    chosen = np.flatnonzero(categories == "code")[:5].tolist() + np.flatnonzero(categories == "story")[:5].tolist()
    vectors = scale_signatures.vectors()[chosen]
    labels = categories[chosen].tolist()

    def difference(order: np.ndarray) -> float:
        found = similarity(vectors, [labels[int(i)] for i in order])
        assert found.within.mean is not None
        assert found.across.mean is not None
        return found.within.mean - found.across.mean

    exact = scipy.stats.permutation_test(
        (np.arange(10),), difference, permutation_type="pairings", n_resamples=2000, alternative="greater",
        vectorized=False, rng=np.random.default_rng(1),
    )  # fmt: skip
    ours = permutation_test(vectors, labels, permutations=20_000, rng=0)
    assert ours.observed == pytest.approx(exact.statistic)
    assert ours.p_value == pytest.approx(exact.pvalue, abs=4 * (float(exact.pvalue) / 2000) ** 0.5 + 1e-3)


def test_the_classifier_equals_scikit_learn_end_to_end(scale_signatures: Signatures) -> None:
    """There without the rotation to the span of the training rows."""
    model = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-8, max_iter=10_000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    truth = np.array(scale_signatures.prompts.categories)
    expected = cross_val_score(model, scale_signatures.vectors(), truth, cv=folds)
    found = classify(scale_signatures.vectors(), list(truth), repeats=1)
    assert found.fold_accuracies == pytest.approx(expected)
