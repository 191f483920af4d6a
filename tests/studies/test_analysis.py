"""analyze(): every statistic once, the same bytes for the same seed, and null with a reason where there is nothing."""

import json
from pathlib import Path

import numpy as np
import pytest

from moexray.errors import AnalysisError, SignaturesError
from moexray.signatures import Signatures
from moexray.stats.categories.classifier import classify
from moexray.stats.pairs.similarity import similarity
from moexray.studies.analysis import Analysis, analyze

from .. import made


def signatures(prompts: int = 20, categories: str = "ab", seed: int = 0) -> Signatures:
    """Three layers of eight experts, k = 2; a category prefers its own half of them, in later layers more."""
    rng = np.random.default_rng(seed)
    texts = [" ".join(f"word{n}" for n in rng.integers(30, size=6)) for _ in range(prompts)]
    own = np.arange(8) // 4 == np.arange(len(categories))[:, None, None] % 2  # (categories, 1, experts)
    return made.signatures(
        prompts,
        layers=(1, 2, 3),
        categories=categories,
        preferences=np.log([1, 2, 3])[:, None] * own,
        length=(5, 14),
        texts=texts,
        outputs=texts[::-1],
        seed=seed,
    )


def without_generated(s: Signatures, *rows: int) -> Signatures:
    counts, tokens = s.counts.copy(), s.tokens.copy()
    counts[list(rows), 1] = 0
    tokens[list(rows), 1] = 0
    return s.replace(counts=counts, tokens=tokens)


def test_the_document_has_the_keys_of_the_design_and_nothing_that_is_not_computed() -> None:
    document = analyze(signatures(), permutations=20).document
    assert list(document) == [
        *(
            "schema",
            "signatures",
            "settings",
            "units",
            "similarity",
            "permutation",
            "location",
            "dispersion",
            "balance",
            "classifier",
            "controls",
        ),
        *("phases", "pca", "layers", "depth", "load", "generalisation", "specifications_p", "notes"),
    ]
    assert set(document["similarity"]) == {
        *("within", "across", "cohens_d", "cohens_d_ci", "auc", "auc_ci", "by_category", "by_pair"),
        *("balanced", "histogram"),
    }
    assert set(document["similarity"]["histogram"]["within"]) == {"start", "width", "pairs"}
    assert set(document["similarity"]["within"]) == {"mean", "std", "pairs", "ci"}
    assert set(document["permutation"]) == {"observed", "null_mean", "null_std", "p_value", "permutations"}
    assert set(document["balance"]["uniform"]) == {
        *("mean", "ci", "within_above", "across_below", "within", "across", "histogram")
    }
    assert set(document["balance"]["uniform"]["within"]) == {"mean", "ci", "observed", "observed_above"}
    assert {"accuracy", "chance", "p_value", "labels", "confusion"} <= set(document["classifier"])
    assert set(document["controls"]) == {"length", "lexical", "partial", "near_duplicates", "token_identity"}
    assert set(document["controls"]["length"]) == {"accuracy", "signatures_less_this"}
    assert set(document["pca"]) == {
        *("explained_variance_ratio", "coordinates", "prompt_ids", "silhouette", "categories")
    }
    assert set(document["layers"][0]) == {
        *("layer", "within", "across", "cohens_d", "cohens_d_ci", "p_value", "p_value_corrected"),
        *("accuracy", "accuracy_ci"),
    }
    assert set(document["depth"]) == {
        *("spearman", "p_value", "peak_layer", "peak_layer_ci", "slope", "slope_ci", "peak_layers")
    }
    assert set(document["load"][0]) == {"layer", "entropy", "gini", "cv", "max_over_mean", "dead_experts", "selections"}
    assert document["signatures"]["categories"] == {"a": 10, "b": 10}
    assert set(document["controls"]["lexical"]) == {
        *("accuracy", "signatures_less_this", "of", "words", "characters", "token_ids")
    }
    takes_a_trace = {"controls.lexical.token_ids", "controls.token_identity"}
    not_asked = {"generalisation", "specifications_p"}  # the first takes groups
    assert set(document["notes"]) == {*takes_a_trace, *not_asked}


@pytest.mark.parametrize("phase", ["prompt", "generated", "all"])
def test_the_figures_are_those_of_the_phase(phase: str) -> None:
    s = signatures()
    document = analyze(s, tokens=phase, permutations=20).document
    found = similarity(s.vectors(phase), s.prompts.categories)
    assert document["similarity"]["cohens_d"] == found.cohens_d
    assert document["classifier"]["accuracy"]["mean"] == classify(s.vectors(phase), s.prompts.categories).accuracy
    assert document["permutation"]["observed"] == pytest.approx(found.within.mean - found.across.mean)


def test_the_same_seed_gives_the_same_bytes_and_another_only_other_draws() -> None:
    first, again, other = (analyze(signatures(), permutations=50, seed=seed) for seed in (1, 1, 2))
    assert first.to_json() == again.to_json()
    assert first.to_json() != other.to_json()
    assert first.document["similarity"] == other.document["similarity"]
    assert first.document["permutation"]["null_mean"] != other.document["permutation"]["null_mean"]


def test_a_prompt_without_a_token_in_the_phase_is_left_out_and_named() -> None:
    whole = signatures()
    s = without_generated(whole, 3, 8)
    document = analyze(s, tokens="generated", permutations=20).document
    assert document["signatures"]["prompts"] == 18
    assert "p3, p8" in document["notes"]["signatures.prompts"]
    kept = whole.take([i for i, name in enumerate(whole.prompts.ids) if name not in {"p3", "p8"}])
    expected = analyze(kept, tokens="generated", permutations=20).document
    assert {**document, "signatures": {}, "notes": {}} == {**expected, "signatures": {}, "notes": {}}
    assert analyze(s, permutations=20).document["signatures"]["prompts"] == 20


def test_one_category_leaves_what_needs_no_second_and_says_why_the_rest_is_null() -> None:
    document = analyze(signatures(categories="a"), permutations=20).document
    assert document["similarity"]["within"]["mean"] is not None
    assert document["similarity"]["across"]["mean"] is None
    assert document["load"] is not None
    for key in ("permutation", "classifier", "depth"):
        assert document[key] is None
        assert key in document["notes"]
    assert [layer["p_value"] for layer in document["layers"]] == [None] * 3
    assert "one category" in document["notes"]["layers.p_value"]


@pytest.mark.parametrize("prompts", [1, 2, 3, 5])
def test_a_handful_of_prompts_never_crashes_and_every_null_has_its_reason(prompts: int) -> None:
    made = analyze(signatures(prompts), permutations=20)
    for key, value in made.document.items():
        assert value is not None or key in made.notes
    json.loads(made.to_json())


def test_every_step_is_announced_before_it_runs() -> None:
    steps: list[str] = []
    analyze(signatures(), permutations=5, on_step=steps.append)
    controls = [f"controls.{name}" for name in ("length", "lexical", "partial", "near_duplicates", "token_identity")]
    steps_of_analysis = ["units", "similarity", "permutation", "location", "dispersion", "balance", "classifier"]
    assert steps == [*steps_of_analysis, *controls, "phases", "pca", "layers", "depth", "load", "generalisation"]


def test_planted_structure_that_grows_with_depth_is_found_to_do_so() -> None:
    document = analyze(signatures(40), permutations=500).document
    assert document["permutation"]["p_value"] == 1 / 501
    effects = [layer["cohens_d"] for layer in document["layers"]]
    assert effects == sorted(effects)
    assert document["depth"]["peak_layer"] == 3
    assert document["balance"]["load_matched"]["within_above"]


@pytest.mark.parametrize("option", [{"tokens": "decode"}, {"permutations": 0}, {"folds": 1}, {"seed": -1}])
def test_options_that_cannot_be_used_are_refused(option: dict[str, object]) -> None:
    with pytest.raises((AnalysisError, SignaturesError)):
        analyze(signatures(), **option)  # type: ignore[arg-type]


def test_a_phase_without_any_token_is_refused() -> None:
    with pytest.raises(AnalysisError, match="nothing to analyze"):
        analyze(without_generated(signatures(4), 0, 1, 2, 3), tokens="generated")


def test_an_analysis_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    made = analyze(signatures(), permutations=5)
    made.save(tmp_path / "analysis.json")
    assert Analysis.load(tmp_path / "analysis.json").document == made.document


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "not JSON"),
        ("\0\xff", "not JSON"),
        ("[]", "is not an analysis"),
        ("{}", "is not an analysis"),
        ('{"schema": 9, "similarity": 1}', "update moexray"),
    ],
)
def test_a_file_that_is_no_analysis_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "analysis.json").write_text(content, encoding="latin-1")
    with pytest.raises(AnalysisError, match=problem):
        Analysis.load(tmp_path / "analysis.json")


def test_a_missing_analysis_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="could not be read"):
        Analysis.load(tmp_path / "analysis.json")


def test_every_pair_of_categories_has_its_own_key_where_names_hold_a_bar() -> None:
    of_letter = {"w": "a", "x": "b|c", "y": "a|b", "z": "c"}
    plain = signatures(24, "wxyz")
    named = plain.replace(categories=tuple(of_letter[letter] for letter in plain.prompts.categories))
    found = analyze(named, permutations=9, folds=2).document["similarity"]["by_pair"]
    expected = analyze(plain, permutations=9, folds=2).document["similarity"]["by_pair"]
    assert found == {
        r"a|b\|c": expected["w|x"],
        r"a|a\|b": expected["w|y"],
        "a|c": expected["w|z"],
        r"a\|b|b\|c": expected["x|y"],
        r"b\|c|c": expected["x|z"],
        r"a\|b|c": expected["y|z"],
    }


@pytest.mark.parametrize("load", [[3, 2, 1, 1, 4, 5, 2, 2], [4, 2, 5, 1, 2, 2, 3, 1], [2, 5, 1, 4, 1, 2, 3, 2]])
@pytest.mark.parametrize("prompts", [8, 11, 12])
def test_signatures_that_are_the_same_have_means_within_their_intervals(load: list[int], prompts: int) -> None:
    """Rounding makes cosines of more than 1 of such counts."""
    alike = signatures(2 * prompts)
    counts = np.broadcast_to(np.array(load, dtype=np.uint16), alike.counts.shape)
    alike = alike.replace(counts=counts, tokens=np.full((2 * prompts, 2), 10, dtype=np.int32))
    document = analyze(alike, permutations=9, folds=2).document
    found = document["similarity"]
    for one in (found["within"], found["across"], *found["by_category"].values(), *found["by_pair"].values()):
        low, high = one["ci"]
        assert all(isinstance(number, float) for number in (low, one["mean"], high))
        assert low <= one["mean"] <= high <= 1
        assert low == pytest.approx(1)
    assert all(layer["within"] <= 1 and layer["across"] <= 1 for layer in document["layers"])
