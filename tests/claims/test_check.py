"""Each verdict comes from the figures that its rule names, and a claim about something else does not apply."""

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moexray.claims.check import check_claims
from moexray.claims.claim import Study
from moexray.claims.report import CheckedClaim, ClaimsReport
from moexray.claims.study_file import shipped_study
from moexray.errors import AnalysisError
from moexray.signatures import Signatures
from moexray.studies.analysis import Analysis, analyze
from moexray.studies.codec import from_values
from moexray.views.markdown import markdown_page
from moexray.views.tables.claims import claims_document, claims_table, count_sentence

from .. import made

STUDY = shipped_study()
NAMES = ("code", "factual", "math", "story")
CENTRES = {"code": (0, 0), "factual": (0, 30), "math": (8, 0), "story": (30, 0)}


def signatures(**meta: Any) -> Signatures:
    """Five prompts of each category, 16 layers, every token to the first eight of 64 experts."""
    counts = np.zeros((20, 2, 16, 64), dtype=np.uint8)
    counts[:, 0, :, :8], counts[:, 1, :, :8] = 10, 31
    return made.signatures(
        counts=counts,
        tokens=(10, 31),
        top_k=8,
        categories=NAMES,
        meta={"model": STUDY.settings["model"], "max_new_tokens": 32, **meta},
    )


def summary(mean: float, ci: list[float]) -> dict[str, Any]:
    return {"mean": mean, "std": 0.1, "pairs": 9, "ci": ci}


def document(centres: Mapping[str, tuple[float, float]] = CENTRES) -> dict[str, Any]:
    """Return the JSON values of an analysis whose values are those of the study."""
    rng = np.random.default_rng(0)
    mean = {"std": 0.1, "pairs": 9}
    pairs = ["|".join(pair) for pair in combinations(NAMES, 2)]
    null = {"mean": 0.7, "ci": [0.69, 0.71], "within_above": True, "across_below": True}
    return {
        "signatures": {
            "prompts": 20, "categories": dict.fromkeys(NAMES, 5), "experts": 64, "phase": "all",
            "model": STUDY.settings["model"], "layers": list(range(16)), "top_k": [8] * 16, "by": "counts",
        },
        "settings": {"permutations": 199, "seed": 0, "folds": 5, "moexray": "0"},
        "similarity": {
            "within": {"mean": 0.84, "ci": [0.82, 0.86], **mean},
            "across": {"mean": 0.62, "ci": [0.60, 0.64], **mean},
            "cohens_d": 1.5,
            "cohens_d_ci": [1.25, 1.75],
            "by_category": {name: {"mean": 0.84, "ci": [0.82, 0.86], **mean} for name in NAMES},
            "by_pair": {pair: {"mean": 0.6, "ci": [0.57, 0.63], **mean} for pair in pairs},
            "auc": None,
            "auc_ci": None,
        },
        "permutation": {
            "observed": 0.22, "null_mean": 0.0, "null_std": 0.01, "p_value": 0.005, "permutations": 199,
        },
        "balance": {"uniform": dict(null), "load_matched": dict(null)},
        "classifier": classifier({"mean": 0.92, "std": 0.05, "ci": [0.87, 0.95]}, p_value=0.005),
        "controls": dict.fromkeys(("length", "lexical", "partial", "near_duplicates", "token_identity")),
        "phases": None,
        "pca": {
            "coordinates": [rng.normal(centres[name]).tolist() for name in NAMES * 5],
            "prompt_ids": [f"p{i}" for i in range(20)],
            "explained_variance_ratio": [0.5, 0.2],
            "silhouette": None,
        },
        "layers": [],
        "load": None,
        "depth": {"spearman": 0.8, "p_value": 0.001, "peak_layer": 13, "peak_layer_ci": [12, 14]},
        "notes": {},
    }  # fmt: skip


def classifier(accuracy: Mapping[str, Any], *, p_value: float) -> dict[str, Any]:
    return {
        "accuracy": {**accuracy, "folds": []}, "chance": 0.25, "p_value": p_value, "permutations": 199, "labels": [],
        "confusion": [],
    }  # fmt: skip


def changed(path: str, value: Any) -> dict[str, Any]:
    return altered({path: value})


def altered(values: Mapping[str, Any]) -> dict[str, Any]:
    made = document()
    for path, value in values.items():
        *keys, last = path.split("/")
        part = made
        for key in keys:
            part = part[key]
        part[last] = value
    return made


def report(analysis: Mapping[str, Any], of: Signatures | None = None, study: Study = STUDY) -> ClaimsReport:
    return check_claims(of or signatures(), from_values(analysis, Analysis), study)


def checked(analysis: Mapping[str, Any], of: Signatures | None = None) -> dict[str, CheckedClaim]:
    return {claim.id: claim for claim in report(analysis, of).claims}


def test_the_values_of_the_study_with_small_errors_are_consistent_with_every_claim() -> None:
    found = report(document())
    assert {claim.id: claim.reason for claim in found.claims if claim.verdict != "consistent"} == {}
    assert count_sentence(found) == "Of 16 claims: 16 consistent."


OTHER: list[tuple[str, dict[str, Any]]] = [
    ("C3", {"similarity/within": summary(0.7, [0.69, 0.71])}),
    ("C4", {"similarity/across": summary(0.7, [0.69, 0.71])}),
    ("C5", {"similarity/cohens_d": 2.5, "similarity/cohens_d_ci": [2.3, 2.7]}),
    ("C6", {"similarity/by_category/math": summary(0.95, [0.94, 0.96])}),
    ("C7", {"similarity/by_pair": {key: summary(0.7, [0.69, 0.71]) for key in ("a|b", "a|c", "b|c")}}),
    ("C11", {"classifier/accuracy": {"mean": 0.6, "std": 0.1, "ci": [0.5, 0.7], "folds": []}}),
    ("C12", {"depth/peak_layer": 4, "depth/peak_layer_ci": [3, 5]}),
]


@pytest.mark.parametrize(("claim", "values"), OTHER)
def test_another_value_that_points_the_same_way_is_right_in_direction_only(claim: str, values: dict[str, Any]) -> None:
    found = checked(altered(values))[claim]
    assert found.verdict == "direction only", found.reason


@pytest.mark.parametrize(("claim", "values"), OTHER)
def test_another_value_is_different_where_chance_points_the_same_way_as_well(
    claim: str, values: dict[str, Any]
) -> None:
    by_chance = {"permutation/p_value": 0.05, "classifier/p_value": 0.05, "depth/p_value": 0.05}
    found = checked(altered({**values, **by_chance}))[claim]
    assert found.verdict == "different", found.reason


WIDE: list[tuple[str, dict[str, Any]]] = [
    ("C3", {"similarity/within/ci": [0.64, 1.0]}),
    ("C4", {"similarity/across/ci": [0.4, 0.8]}),
    ("C5", {"similarity/cohens_d_ci": [0.5, 2.5]}),
    ("C6", {"similarity/by_category/math": summary(0.84, [0.7, 0.98])}),
    ("C7", {"similarity/by_pair": {key: summary(0.6, [0.4, 0.8]) for key in ("a|b", "a|c", "b|c")}}),
    ("C10", {"permutation/p_value": 0.05}),
    ("C11", {"classifier/accuracy": {"mean": 0.92, "std": 0.1, "ci": [0.7, 0.98], "folds": []}}),
    ("C12", {"depth/peak_layer_ci": [1, 15]}),
    ("C12", {"depth/p_value": 0.05}),
]


@pytest.mark.parametrize(("claim", "values"), WIDE)
def test_the_published_value_itself_with_a_large_error_is_inconclusive(claim: str, values: dict[str, Any]) -> None:
    found = checked(altered(values))[claim]
    assert found.verdict == "inconclusive", found.reason
    assert found.detectable is not None
    assert found.detectable > 0


def test_the_difference_has_the_errors_of_both_studies() -> None:
    """20 prompts here with d = 1.5 ± 0.25, 80 there: 0.25 · √(20 / 16) = 0.280 and 0.25 · √(20 / (80 − 8)) = 0.132."""
    found = checked(document())["C5"]
    difference = (found.here or {})["difference"]
    assert difference["value"] == pytest.approx(1.5 - 1.44)
    assert difference["ci"] == pytest.approx((0.06 - 0.309, 0.06 + 0.309), abs=5e-4)
    assert found.detectable == pytest.approx(0.309, abs=5e-4)
    assert found.detects == "0.31"
    assert found.explanation.endswith("; detectable from 0.31")


def test_the_error_of_a_published_mean_has_the_published_deviation() -> None:
    """The deviation over pairs is 0.0879 there and 0.1 here: 0.02 · √(20 / 16) and 0.02 · 0.879 · √(20 / 72)."""
    found = checked(document())["C3"]
    assert found.detectable == pytest.approx(np.hypot(0.02 * np.sqrt(20 / 16), 0.02 * 0.879 * np.sqrt(20 / 72)))


def test_without_an_error_of_the_published_value_nothing_is_consistent_or_different() -> None:
    claims = tuple(replace(claim, error=None) for claim in STUDY.claims if claim.error is not None)
    study = replace(STUDY, claims=claims)
    for values in (document(), altered({key: value for _, part in OTHER for key, value in part.items()})):
        found = report(values, study=study).claims
        assert {claim.verdict for claim in found} == {"inconclusive"}
        assert all("gives no error of the published value" in claim.reason for claim in found)


def test_without_a_margin_nothing_is_consistent_and_another_value_is_still_another() -> None:
    study = replace(STUDY, claims=tuple(replace(claim, margin=None) for claim in STUDY.claims if claim.margin))
    found = {claim.id: str(claim.verdict) for claim in report(document(), study=study).claims}
    assert {key for key, verdict in found.items() if verdict != "inconclusive"} == {"C10"}
    for key, values in OTHER:
        verdicts = {claim.id: claim.verdict for claim in report(altered(values), study=study).claims}
        assert verdicts[key] == "direction only", key


def test_labels_that_separate_nothing_are_different_only_where_an_effect_is_excluded() -> None:
    chance = {"permutation/p_value": 0.5, "similarity/cohens_d": 0.05}
    assert checked(altered({**chance, "similarity/cohens_d_ci": [-0.05, 0.15]}))["C10"].verdict == "different"
    assert checked(altered({**chance, "similarity/cohens_d_ci": [-0.15, 0.25]}))["C10"].verdict == "inconclusive"


def test_most_pairs_of_categories_are_more_than_half() -> None:
    pairs = {f"a|{pair}": summary(*((0.6, [0.59, 0.61]) if pair < "e" else (0.7, [0.69, 0.71]))) for pair in "bcdefg"}
    assert checked(altered({"similarity/by_pair": pairs}))["C7"].verdict == "direction only"
    pairs["a|e"] = summary(0.6, [0.59, 0.61])
    assert checked(altered({"similarity/by_pair": pairs}))["C7"].verdict == "consistent"


def null(low: float, high: float) -> dict[str, Any]:
    return {"mean": (low + high) / 2, "ci": [low, high], "within_above": False, "across_below": False}


@pytest.mark.parametrize(
    ("uniform", "matched", "within", "across"),
    [
        ((0.69, 0.71), (0.7, 0.72), "consistent", "consistent"),
        ((0.69, 0.71), (0.89, 0.91), "direction only", "consistent"),
        ((0.89, 0.91), (0.9, 0.92), "different", "consistent"),
        ((0.69, 0.71), (0.6, 0.9), "direction only", "direction only"),
        ((0.8, 0.9), (0.9, 0.92), "inconclusive", "consistent"),
        ((0.5, 0.6), (0.4, 0.5), "consistent", "different"),
    ],
)
def test_similarity_is_above_or_below_both_baselines_one_or_neither(
    uniform: tuple[float, float], matched: tuple[float, float], within: str, across: str
) -> None:
    found = checked(altered({"balance": {"uniform": null(*uniform), "load_matched": null(*matched)}}))
    assert (found["C8"].verdict, found["C9"].verdict) == (within, across)


def test_an_effect_that_falls_with_depth_is_different_wherever_it_peaks() -> None:
    assert checked(altered({"depth/spearman": -0.8}))["C12"].verdict == "different"


def test_categories_that_lie_on_each_other_are_no_clusters_and_no_neighbours() -> None:
    found = checked(document({"code": (0, 0), "factual": (0, 0), "math": (30, 30), "story": (0, 30)}))
    assert {key: str(found[key].verdict) for key in ("C13", "C14", "C15", "C16")} == {
        "C13": "inconclusive",  # by five prompts, two clusters of one centre may be two
        "C14": "consistent",
        "C15": "different",
        "C16": "inconclusive",
    }


def test_neighbours_that_cannot_be_told_apart_are_not_shown_to_differ() -> None:
    found = checked(document({**CENTRES, "math": CENTRES["code"]}))["C15"]
    assert found.verdict == "inconclusive"
    assert "cannot be told apart" in found.reason


def test_the_closest_two_of_six_by_chance_are_inconclusive() -> None:
    """Four centres in a square of side 1: which are closest is chance, as any two are in one of three studies."""
    found = checked(document({"code": (0, 0), "factual": (0, 1), "math": (1, 0), "story": (1, 1)}))["C15"]
    assert found.verdict == "inconclusive"
    assert 0.05 < (found.here or {})["certainty"] < 0.95


def test_a_cluster_that_few_shuffles_cannot_prove_is_inconclusive() -> None:
    found = checked(altered({"settings/permutations": 10}))
    assert {str(found[key].verdict) for key in ("C13", "C14", "C15", "C16")} == {"inconclusive"}
    assert "p = 0.091" in found["C13"].reason


def test_another_layout_and_shorter_texts_are_different() -> None:
    fewer = signatures().replace(top_k=np.full(16, 9, dtype=np.int16), meta={**signatures().meta,
                                                                             "router_may_drop": True})  # fmt: skip
    found = checked(document(), fewer)["C1"]
    assert (found.verdict, found.reason) == ("different", "top_k is 9, not 8")
    counts, tokens = signatures().counts.copy(), signatures().tokens.copy()
    tokens[3, 1] = 4
    counts[3, 1, :, :8] = 4
    ended = checked(document(), signatures().replace(counts=counts, tokens=tokens))
    assert ended["C2"].reason == "1 of 20 prompts ended before 32 tokens, the shortest after 5"
    assert (ended["C2"].verdict, ended["C3"].verdict) == ("different", "consistent")


def test_other_settings_leave_the_layout_and_the_setting_itself_to_be_judged() -> None:
    found = checked(document(), signatures(max_new_tokens=64))
    assert (found["C1"].verdict, found["C2"].verdict) == ("consistent", "different")
    assert (found["C3"].verdict, found["C3"].as_if) == ("not applicable", "consistent")
    assert found["C3"].reason == "other settings: max_new_tokens is 64, not 32"


def test_signatures_that_do_not_say_their_settings_are_not_taken_for_the_studys() -> None:
    found = checked(document(), signatures(max_new_tokens=None))
    assert found["C2"].verdict == found["C3"].verdict == "not applicable"
    assert found["C3"].reason == "the signatures do not say their max_new_tokens"


def test_of_another_model_every_figure_is_shown_with_what_its_test_says_and_no_claim_applies() -> None:
    found = report(document(), signatures(model="scale"))
    for result in found.claims:
        assert (result.verdict, result.reason, result.as_if) == (
            "not applicable", "another model: scale", "consistent",
        )  # fmt: skip
        assert result.here
        assert result.as_if_reason
    sentence = count_sentence(found)
    assert sentence == "Of 16 claims: 16 not applicable. If they applied, the same tests would say: 16 consistent."


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("code", "math"), "other categories: there is no factual and no story"),
        ((*NAMES, "poem"), "other categories: poem as well"),
    ],
)
def test_other_categories_make_other_figures(names: tuple[str, ...], reason: str) -> None:
    found = checked(changed("signatures/categories", dict.fromkeys(names, 4)))
    assert {result.reason for key, result in found.items() if key not in {"C1", "C2"}} == {reason}
    assert found["C1"].verdict == "consistent"


@pytest.mark.parametrize(
    ("claim", "path", "note"),
    [
        ("C5", "similarity/cohens_d", "similarity.cohens_d"),
        ("C10", "permutation", "permutation"),
        ("C8", "balance", "balance"),
        ("C11", "classifier", "classifier"),
        ("C12", "depth", "depth"),
        ("C14", "pca", "pca"),
    ],
)
def test_a_figure_that_there_is_not_has_no_verdict_but_the_reason_of_the_notes(
    claim: str, path: str, note: str
) -> None:
    analysis = changed(path, None)
    analysis["notes"] = {note: "there were too few"}
    found = checked(analysis)[claim]
    assert (found.verdict, found.as_if, found.shown) == ("not applicable", None, None)
    assert found.reason == "not computed: there were too few"


@pytest.mark.parametrize(
    ("claim", "path"),
    [
        ("C3", "similarity/within/ci"),
        ("C5", "similarity/cohens_d_ci"),
        ("C6", "similarity/by_category/math/ci"),
        ("C12", "depth/peak_layer_ci"),
    ],
)
def test_a_value_without_an_interval_is_shown_and_inconclusive(claim: str, path: str) -> None:
    analysis = changed(path, None)
    analysis["notes"] = {path.replace("/", "."): "there were too few"}
    found = checked(analysis)[claim]
    assert (found.verdict, found.detectable) == ("inconclusive", None)
    assert found.shown is not None
    assert "there were too few" in found.reason


def test_a_direction_that_was_not_tested_is_not_taken_for_granted() -> None:
    values = OTHER[2][1]
    found = checked(altered({**values, "permutation": None, "notes": {"permutation": "there was one category"}}))["C5"]
    assert (found.verdict, "there was one category" in found.reason) == ("different", True)


def with_location(p: float, own: float) -> dict[str, Any]:
    found = {"squared_distance": 0.1, "error": 0.05, "statistic": 2.0, "p_value": p, "permutations": 199}
    return altered({**OTHER[2][1], "location": {**found, "share_of_difference": 0.9}, "permutation/p_value": own})


def test_the_direction_follows_the_test_of_location_and_says_where_the_studys_own_statistic_disagrees() -> None:
    only_own, only_location = (checked(with_location(*p)) for p in ((0.4, 0.005), (0.005, 0.4)))
    assert [str(only_own[key].verdict) for key in ("C5", "C10")] == ["different", "inconclusive"]
    assert [str(only_location[key].verdict) for key in ("C5", "C10")] == ["direction only", "consistent"]
    assert "location p = 0.400, while permuted labels of the study's own statistic give p = 0.005" in (
        only_own["C5"].reason
    )
    assert "while" not in checked(with_location(0.005, 0.005))["C5"].reason
    assert (only_own["C10"].here or {})["location_p_value"] == 0.4


@pytest.mark.parametrize("prompts", [1, 2, 4, 6])
def test_a_handful_of_prompts_never_crashes(prompts: int) -> None:
    few = signatures().take(range(prompts))
    found = check_claims(few, analyze(few, permutations=9), STUDY)
    assert len(found.claims) == 16
    assert all(claim.reason for claim in found.claims)


def test_markdown_is_one_row_a_claim_whatever_is_written_in_it() -> None:
    claim = replace(STUDY.claims[0], text="a | b\nc")
    found = report(document(), study=replace(STUDY, claims=(claim,)))
    rows = [line for line in markdown_page(claims_document(found)).splitlines() if line.startswith("| C")]
    assert len(rows) == 1
    assert "a \\| b c" in rows[0]


def with_token_identity(**parts: Any) -> dict[str, Any]:
    names = ("same_token", "covered", "observed", "expected", "residual", "layers", "other_categories", "share",
             "information")  # fmt: skip
    return changed("controls/token_identity", {**dict.fromkeys(names), **parts})


def test_what_is_the_tokens_themselves_stands_beside_the_headline_claims_and_moves_no_verdict() -> None:
    effect = dict.fromkeys(("within", "across", "cohens_d", "cohens_d_ci"))
    found = with_token_identity(
        covered=0.626,
        share={"share": 0.166, "ci": [0.1, 0.232], "by_layer": [], "high": 0.395, "high_ci": [0.296, 0.494]},
        expected={**effect, "accuracy": 0.388},
        residual={**effect, "accuracy": 0.7, "p_value": 0.0005},
    )
    plain, traced = checked(document()), checked(found)
    said = {name: claim.tokens for name, claim in traced.items() if claim.tokens is not None}
    assert said == {
        "C5": "token identity is 16.6 % [10.0 %, 23.2 %] to 39.5 % [29.6 %, 49.4 %] of the separation, "
        "on the 62.6 % of tokens that occur often elsewhere",
        "C10": "what tokens leave: p < 0.001, on the 62.6 % of tokens that occur often elsewhere",
        "C11": "expected by token 38.8 %, what tokens leave 70.0 %, on the 62.6 % of tokens that occur often elsewhere",
    }
    assert traced["C5"].explanation == f"{plain['C5'].explanation}; {said['C5']}"
    assert {name: replace(claim, tokens=None) for name, claim in traced.items()} == plain
    assert said["C5"] in markdown_page(claims_document(report(found)))


def test_the_share_of_an_earlier_version_is_said_without_a_second_end() -> None:
    found = with_token_identity(covered=0.626, share={"share": 0.166, "ci": [0.1, 0.232], "by_layer": []})
    assert str(checked(found)["C5"].tokens).startswith("token identity is 16.6 % [10.0 %, 23.2 %] of the separation")


def test_what_a_control_could_not_compute_is_not_said() -> None:
    assert {claim.tokens for claim in checked(with_token_identity()).values()} == {None}


def test_a_report_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    found = report(document(), signatures(model="scale"))
    found.save(tmp_path / "claims.json")
    read = ClaimsReport.load(tmp_path / "claims.json")
    assert read.document == found.document
    assert [claim.verdict for claim in read.claims] == [claim.verdict for claim in found.claims]
    assert "16 claims: 16 not applicable" in repr(read)


def test_a_report_of_before_is_refused_with_the_way_out(tmp_path: Path) -> None:
    found = report(document()).document
    old = {**found, "schema": 1, "claims": [{**claim, "verdict": "reproduced"} for claim in found["claims"]]}
    (tmp_path / "claims.json").write_text(json.dumps(old), encoding="utf-8")
    with pytest.raises(AnalysisError, match=r"schema 1, of an earlier moexray, .*: make it anew with `moexray claims"):
        ClaimsReport.load(tmp_path / "claims.json")


def test_the_parts_of_a_value_stand_on_lines_of_their_own_and_intervals_are_whole() -> None:
    found = report(document(), signatures(model="scale"))
    claims = (
        replace(found.claims[0], shown="layer 2 [1, 15], Spearman -0.04"),
        replace(found.claims[1], shown="0.752–0.885; 2 of 4 meet it"),
        replace(found.claims[2], shown=None),
    )
    here = [row[3] for row in claims_table(replace(found, claims=claims)).rows]
    assert here == ["layer 2 [1, 15],\nSpearman -0.04", "0.752–0.885;\n2 of 4 meet it", "–"]


def test_of_one_category_no_pair_of_categories_is_judged() -> None:
    one = made.signatures(6, categories=["code"])
    found = {claim.id: claim for claim in check_claims(one, analyze(one, permutations=9)).claims}["C7"]
    assert (found.verdict, found.as_if) == ("not applicable", None)
