"""A budget study measures what an engine under each rule gives, learns on one half and scores the other."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from moexray.engines.rules import FixedK, OnDemand, PerLayer, RandomDrop, Skip, TopP, described
from moexray.engines.transformers.engine import TransformersEngine
from moexray.errors import CaptureError, ModelError, NotComputable
from moexray.generation import Generation
from moexray.interventions.budget import BudgetOptions, measure_budget
from moexray.interventions.policies import Learnt, means_of, options_of, rule_of
from moexray.prompts import Prompt
from moexray.recording.scoring import score, write
from moexray.routing import RouterLayout
from moexray.studies.budget_result import Budget
from moexray.studies.halves import halves_of

from ..tiny_models import loaded

LAYOUT = RouterLayout(layers=(0, 1), experts=(8, 8), top_k=(8, 4))
OPTIONS = BudgetOptions(keep=(100 / 3, 100), new_tokens=4, batches=(1, 3), turns=1, layer_prompts=4, timed_tokens=2)


def prompts() -> list[Prompt]:
    texts = ["aQwe", "zXcvbn", "poiu", "lkjhgf", "mnb", "rtyui", "dfghj", "wsx", "edcr", "tgbyh", "ujm", "ikol"]
    return [Prompt(text, category="ab"[i % 2], id=f"p{i}") for i, text in enumerate(texts)]


@pytest.fixture(scope="module")
def engine() -> Iterator[TransformersEngine]:
    with TransformersEngine(loaded("olmoe", "float64")) as opened:
        yield opened


@pytest.fixture(scope="module")
def found(engine: TransformersEngine) -> Budget:
    return measure_budget(engine, prompts(), OPTIONS)


def test_keeping_all_changes_nothing(found: Budget) -> None:
    whole = [one for one in found.policies if one.keep == 100]
    assert [one.policy for one in whole] == ["k", "top-p", "skip", "entropy", "layers", "random"]
    for one in whole:
        assert one.loss["all"].mean == 0.0
        assert one.mean_k == 3.0
        assert one.agreement is not None
        assert (one.agreement.tokens, one.agreement.texts) == (1.0, 1.0)
        assert one.distinct == found.full.distinct


def test_a_policy_is_scored_on_the_texts_that_the_full_model_writes(engine: TransformersEngine, found: Budget) -> None:
    """Written again here: prompts of the scored half, the model's text without its last token, one expert a token."""
    halves = halves_of([one.category for one in prompts()], None, 0)
    some = [prompts()[place] for place in halves.scored]
    written = dict(write(engine, some, Generation(4)))
    texts = [
        replace(one, output=tuple(written[place].token_ids[written[place].prompt_length :].tolist()))
        for place, one in enumerate(some)
    ]
    full = dict(score(engine, texts))
    with engine.ruled(FixedK(1)):
        fewer = dict(score(engine, texts))
        others = dict(write(engine, some, Generation(4)))
    tokens = sum(len(one.losses) - 1 for one in full.values())
    change = sum(float((fewer[place].losses - full[place].losses)[1:].sum()) for place in full) / tokens
    policy = next(one for one in found.policies if (one.policy, round(one.keep)) == ("k", 33))
    assert policy.loss["all"].mean == pytest.approx(change, rel=1e-5)
    assert policy.mean_k == 1.0
    assert policy.agreement is not None
    same = np.mean([others[place].output == written[place].output for place in written])
    assert policy.agreement.texts == pytest.approx(same)
    assert sum(found.tokens.values()) == tokens
    assert found.texts == "written by the model"


def test_all_policies_of_a_share_keep_about_as_many(found: Budget) -> None:
    for one in found.policies:
        if one.keep < 100:
            assert one.mean_k == pytest.approx(1.0, abs=0.2), one.policy
            assert one.rule["normalisation"] == "native"
            assert set(one.seconds_ratio) == {"1", "3"}
    assert found.notes["layers"].startswith("each layer was measured alone on 4 of")


def test_given_outputs_are_scored_and_texts_are_still_compared(engine: TransformersEngine) -> None:
    given = [replace(one, output="hello") for one in prompts()]
    options = replace(OPTIONS, policies=("random",), keep=(50,), batches=())
    found = measure_budget(engine, given, options)
    assert found.texts == "given"
    assert found.tokens["generated"] == 5 * found.scored
    assert found.policies[0].agreement is not None
    assert found.policies[0].mean_k == pytest.approx(1.5, abs=0.1)
    assert found.notes["seconds"] == "nothing was timed"
    alone = measure_budget(engine, prompts(), replace(options, new_tokens=0))
    assert alone.texts == "none"
    assert alone.tokens["generated"] == 0
    assert alone.policies[0].agreement is None


def test_another_seed_scores_other_prompts_and_the_same_gives_the_same(engine: TransformersEngine) -> None:
    options = replace(OPTIONS, policies=("top-p", "random"), keep=(50,), batches=())
    one, again, other = (measure_budget(engine, prompts(), replace(options, seed=seed)) for seed in (0, 0, 1))
    assert one == again
    assert one.full.loss != other.full.loss


def test_a_fixed_k_that_is_no_whole_number_is_noted(engine: TransformersEngine) -> None:
    options = replace(OPTIONS, policies=("k", "random"), keep=(50,), batches=())
    found = measure_budget(engine, prompts(), options)
    assert [one.policy for one in found.policies] == ["random"]
    assert found.notes["k at 50 %"] == "50 % of the experts is 1.5 a token, and a fixed k is a whole number"
    with pytest.raises(CaptureError, match=r"no policy can be measured: 50 % of the experts is 1\.5"):
        measure_budget(engine, prompts(), replace(options, policies=("k",)))


def test_a_context_that_is_too_short_to_time_costs_the_times_only(engine: TransformersEngine) -> None:
    long = [replace(one, text=(one.text * 64)[:127]) for one in prompts()]
    options = replace(OPTIONS, policies=("k",), keep=(100,), new_tokens=0, batches=(1,))
    found = measure_budget(engine, long, options)
    assert found.full.seconds == {"1": None}
    assert "exceeds the model's context of 128" in found.notes["seconds.1"]


def test_parameters_are_learnt_from_all_categories_whatever_the_batches(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where there are more tokens than are looked at: here six, with two prompts a run."""
    monkeypatch.setattr("moexray.interventions.budget_learning._MOST_TOKENS", 6)
    monkeypatch.setattr("moexray.interventions.budget_learning._TOGETHER", 2)
    sorted_prompts = sorted(prompts(), key=lambda one: one.category)
    options = replace(OPTIONS, policies=("skip",), keep=(50,), new_tokens=0, batches=())
    rules = [
        measure_budget(engine, sorted_prompts, replace(options, batch_tokens=size)).policies[0].rule
        for size in (None, 1)
    ]
    assert rules[0] == rules[1]
    found = measure_budget(engine, sorted_prompts, options)
    assert found.notes["rule"] == "parameters were learnt from the gate weights of 6 tokens"


def test_a_category_that_is_not_scored_is_noted(engine: TransformersEngine) -> None:
    found = measure_budget(engine, prompts()[:2], replace(OPTIONS, policies=("k",), keep=(100,), batches=()))
    (scored,) = set(found.full.loss) - {"all"}
    (other,) = {"a", "b"} - {scored}
    assert found.notes["loss"] == f"{other}: of one unit, which is learnt from, so it is not scored"
    assert found.policies[0].loss["all"].ci is None
    assert "fewer than three scored units" in found.notes["ci"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"keep": (25,)}, "25 % of the 3 experts that layer 0 selects for a token is below one expert: `keep` 33.33"),
        ({"keep": (0,)}, "`keep` is 0: a share of the experts is above 0"),
        ({"keep": (101,)}, "`keep` is 101"),
        ({"keep": ()}, "name at least one `policy`, and one share"),
        ({"keep": (50, 50)}, "named twice"),
        (
            {"policies": ("k", "magic")},
            "`policy` 'magic' is none of k, top-p, skip, ",
        ),
        ({"batches": (0,)}, "`batches` holds 0"),
        ({"new_tokens": -1}, "`new_tokens` is at least 0"),
        ({"turns": 0}, "at least 1"),
    ],
)
def test_what_cannot_be_asked_is_refused(engine: TransformersEngine, change: dict[str, object], reason: str) -> None:
    with pytest.raises(CaptureError) as refusal:
        measure_budget(engine, prompts(), replace(OPTIONS, **change))  # type: ignore[arg-type]
    assert reason in str(refusal.value)


def test_what_cannot_be_measured_is_refused(engine: TransformersEngine) -> None:
    with pytest.raises(NotComputable, match="all prompts are of one group"):
        measure_budget(engine, [replace(one, category="a", group="g") for one in prompts()], OPTIONS)
    with pytest.raises(CaptureError, match="comes without its output"):
        measure_budget(engine, [replace(prompts()[0], output="x"), *prompts()[1:]], OPTIONS)
    named = [replace(one, category="all" if one.category == "a" else "b") for one in prompts()]
    with pytest.raises(CaptureError, match="a category is called 'all', which stands for the prompts of all"):
        measure_budget(engine, named, OPTIONS)
    short = [replace(one, text=one.text[0]) for one in prompts()]
    for policy in ("k", "layers"):
        with pytest.raises(CaptureError, match="no token is scored in half of the prompts"):
            measure_budget(engine, short, replace(OPTIONS, new_tokens=0, policies=(policy,)))
    with TransformersEngine(loaded("olmoe", "float32")) as without:
        without.capabilities = without.capabilities - {"rules"}
        with pytest.raises(CaptureError, match="does not offer rules"):
            measure_budget(without, prompts(), OPTIONS)


def test_a_share_is_of_what_each_layer_selects() -> None:
    assert means_of(LAYOUT, 25) == [2.0, 1.0]
    assert options_of(LAYOUT, [25, 60]) == [[1, 2, 4, 5, 8], [1, 2, 3, 4]]
    with pytest.raises(CaptureError, match="layer 1"):
        means_of(LAYOUT, 20)


@pytest.mark.parametrize("k", range(1, 13))
def test_a_rounded_share_is_a_whole_number_of_experts(k: int) -> None:
    """Of six experts, 16.67 % is one and 33.3 % two, so a fixed k can keep them; what is further off stays as it is."""
    layout = RouterLayout(layers=(0,), experts=(16,), top_k=(k,))
    for number in range(1, k + 1):
        for digits in (1, 2, 4):
            assert means_of(layout, round(100 * number / k, digits)) == [number]
    with pytest.raises(CaptureError, match=f"`keep` {100 / k:.4g} or more"):
        means_of(layout, 100 / k - 0.06)
    assert means_of(RouterLayout(layers=(0,), experts=(16,), top_k=(8,)), 12.6) == [pytest.approx(1.008)]


def test_every_policy_has_its_rule() -> None:
    rng = np.random.default_rng(0)
    weights = rng.random((200, 2, 8)).astype(np.float16)
    weights[:, 1, 4:] = 0
    costs = ({1: 1.0, 4: 0.9, 8: 0.0}, {1: 0.1, 2: 0.05, 4: 0.0})
    learnt = Learnt(weights, costs)

    def rule(policy: str, keep: float = 50) -> object:
        return rule_of(policy, keep, LAYOUT, learnt, normalisation="kept", seed=7)

    assert rule("k") == PerLayer((4, 2), normalisation="kept")
    assert isinstance(rule("top-p"), TopP)
    assert isinstance(rule("skip"), Skip)
    assert isinstance(rule("entropy"), OnDemand)
    assert rule("random", 60) == RandomDrop((4.8, 2.4), 7, normalisation="kept")
    # 6 experts of 12: 4 and 2 cost 0.95; no other choice sums to 6.
    assert rule("layers") == PerLayer((4, 2), normalisation="kept")
    # 9 of 12: 8 and 1 cost 0.1.
    assert rule("layers", 75) == PerLayer((8, 1), normalisation="kept")
    with pytest.raises(NotComputable, match="sums to"):
        rule("layers", 60)
    assert described(RandomDrop((1.0, 2.0)))["mean_k"] == [1.0, 2.0]


def test_a_router_that_cannot_be_narrowed_is_refused_by_name() -> None:
    with TransformersEngine(loaded("olmoe", "float64")) as engine:
        engine._routers = [None] * 3
        with pytest.raises(ModelError, match=r"mlp\.experts: .*name `kept` or `rescaled`"):
            measure_budget(engine, prompts(), replace(OPTIONS, policies=("k",), batches=()))
        kept = replace(OPTIONS, policies=("k", "skip"), batches=(), normalisation="kept")
        assert measure_budget(engine, prompts(), kept).policies[0].normalisation == "kept"
