"""An ablation finds what a model loses whose losses are known, and refuses what would say nothing."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from moexray.errors import AnalysisError, NotComputable
from moexray.stats.inference.jackknife import mean_interval
from moexray.studies.ablation import Ablated, Prompts, ablate
from moexray.studies.ablation_measured import Intervention, Outcome, Usage
from moexray.studies.ablation_result import Ablation

LABELS = ["a", "b"] * 12
PROMPTS = Prompts(LABELS, None, [f"p{i}" for i in range(24)], [f"text {i}" for i in range(24)], given=False)
DESCRIPTION: dict[str, Any] = {"model": "made", "fingerprint": None, "meaning": "replaced", "new_tokens": 4}
DESCRIPTION["normalisation"] = "native"


class MadeModel:
    """Each expert of a layer that is left out adds its worth to every token, and more for its own category."""

    layers, experts, top_k = (1, 3), (8, 8), (2, 2)

    def __init__(self, worth: NDArray[np.float64], use: NDArray[np.int64], of_a: NDArray[np.float64]) -> None:
        self.worth, self.use, self.of_a = worth, use, of_a
        self.learnt: list[int] = []
        self.scored: list[tuple[int, ...]] = []
        self.tokens = 3 + np.arange(24) % 5

    def usage(self, rows: NDArray[np.int64], *, norms: bool) -> Usage:
        self.learnt = rows.tolist()
        counts = np.repeat(self.use[None], len(rows), axis=0)
        for place, row in enumerate(rows):
            if LABELS[row] == "a":
                counts[place] = counts[place, :, ::-1]
        pairs = np.stack([np.diag(one) for one in counts.sum(axis=0)])
        return Usage(counts, self.use / 2.0, pairs, self.worth if norms else None)

    def run(self, rows: NDArray[np.int64], change: Intervention | None, *, write: bool) -> Outcome:
        self.scored.append(tuple(rows.tolist()))
        each = np.asarray(2.0 + 0.1 * rows, dtype=np.float64)
        if change is not None and change.kind == "without":
            for layer, experts in change.experts.items():
                for expert in experts:
                    each = each + self.worth[self.layers.index(layer), expert]
                    each = each + np.where(rows % 2 == 0, self.of_a[expert], 0)
        if change is not None and change.kind == "ranks":
            each = each + change.ranks * change.layers[0] * 0.01
        if change is not None and change.kind == "drawn":
            each = each + change.ranks * 0.002
        k = 2.0 if change is None or change.kind != "ranks" else 2.0 - change.ranks / 2
        written = tuple((1, 2, 3, 4 if change is None else 5) for _ in rows) if write else None
        texts = tuple("whole" if change is None else "other" for _ in rows) if write else None
        return Outcome(each * self.tokens[rows], self.tokens[rows], k, written, texts)


def made(worth: Any = None, use: Any = None, of_a: Any = None) -> MadeModel:
    """Return a model whose most used experts are worth most, unless that is given."""
    use = np.tile(np.arange(1, 9), (2, 1)) if use is None else use
    worth = 0.01 * use if worth is None else worth
    return MadeModel(np.asarray(worth, dtype=float), np.asarray(use), np.zeros(8) if of_a is None else of_a)


def of(model: MadeModel, **asked: Any) -> Ablation:
    return ablate(model, PROMPTS, Ablated(**asked), description=DESCRIPTION)


def test_rankings_are_learnt_on_one_half_and_scored_on_the_other() -> None:
    model = made()
    found = of(model, rankings=("coldest",))
    assert set(model.scored) == {model.scored[0]}
    assert not set(model.scored[0]) & set(model.learnt)
    assert sorted([*model.scored[0], *model.learnt]) == list(range(24))
    assert (found.prompts, found.learnt_prompts) == (12, 12)


def test_what_is_added_is_what_the_experts_are_worth() -> None:
    """A quarter of eight experts is two a layer; both categories together use experts 0 and 7 as much as 3 and 4."""
    model = made(use=np.tile([1, 2, 3, 4, 5, 6, 7, 30], (2, 1)), worth=np.tile(0.01 * np.arange(8), (2, 1)))
    found = of(model, rankings=("coldest", "lightest", "hottest", "category", "reap"), share=0.25)
    by_name = {one.policy: one for one in found.policies}
    assert by_name["lightest"].experts == {"1": (0, 1), "3": (0, 1)}
    assert by_name["lightest"].overall.mean == pytest.approx(2 * 0.01)
    assert by_name["reap"].experts == by_name["lightest"].experts
    assert by_name["least used by b"].experts == {"1": (0, 1), "3": (0, 1)}
    assert by_name["least used by a"].experts == {"1": (6, 7), "3": (6, 7)}
    assert by_name["least used by a"].overall.mean == pytest.approx(2 * 0.13)
    assert by_name["hottest"].experts == {"1": (0, 7), "3": (0, 7)}


def test_a_loss_is_that_of_its_tokens_and_its_interval_that_of_the_difference() -> None:
    """What is added is the same for every token here, so its interval has no width, though losses differ."""
    model = made()
    found = of(model, without={1: (7,)})
    (policy,) = found.policies
    tokens = model.tokens
    for name, rows in (("a", np.arange(0, 24, 2)), ("b", np.arange(1, 24, 2))):
        expected = ((2 + 0.1 * rows) * tokens[rows]).sum() / tokens[rows].sum()
        assert found.full.loss[name] == pytest.approx(expected)
        assert policy.loss[name].loss == pytest.approx(expected + 0.08)
        assert policy.loss[name].mean == pytest.approx(0.08)
        assert policy.loss[name].ci == pytest.approx((0.08, 0.08))
        interval = policy.loss[name].loss_ci
        assert interval is not None
        assert interval[0] < expected < interval[1]
    assert (policy.kind, found.learnt_prompts, found.prompts, found.tokens) == ("chosen", 0, 24, tokens.sum())


def test_a_policy_stands_among_draws_of_as_many_experts_of_the_same_layers() -> None:
    model = made(worth=np.tile(0.01 * np.arange(8), (2, 1)))
    found = of(model, without={3: (0, 7)}, draws=40)
    (policy,) = found.policies
    random = policy.random_overall
    assert policy.overall.mean == pytest.approx(0.07)
    assert random.mean == pytest.approx(2 * 0.035, abs=0.02)  # of two experts drawn from eight
    assert 0.01 <= random.least <= random.mean <= random.most <= 0.13
    assert random.excess == pytest.approx(policy.overall.mean - random.mean)
    assert 0 < random.cheaper < 40
    best, worst = (of(model, without={3: ids}, draws=40).policies[0] for ids in ((0, 1), (6, 7)))
    assert best.random_overall.cheaper == 0
    assert worst.random_overall.cheaper >= 39
    assert best.random_overall.excess < 0 < worst.random_overall.excess


@pytest.mark.parametrize(("of_use", "sign"), [(1, 1), (-1, -1), (0, 0)])
def test_the_result_says_whether_usage_predicts_loss(of_use: int, sign: int) -> None:
    use = np.tile([1, 1, 5, 5, 5, 5, 9, 9], (2, 1))
    use = np.stack([use[0], use[1]])
    model = made(use=use, worth=0.05 + 0.01 * of_use * (use - 5))
    model.usage = lambda rows, *, norms: Usage(  # type: ignore[method-assign]
        np.repeat(use[None], len(rows), axis=0), use / 2.0, np.stack([np.diag(one) for one in use])
    )
    found = of(model, rankings=("coldest", "hottest"))
    assert found.usage is not None
    assert found.usage.difference == pytest.approx(sign * 4 * 0.01 * 8)
    assert of(model, rankings=("coldest",)).usage is None


def test_texts_agree_up_to_the_first_token_that_differs() -> None:
    found = of(made(), without={1: (0,)})
    (policy,) = found.policies
    assert policy.agreement == pytest.approx(3 / 4)
    assert (found.full.text, policy.text) == ("whole", "other")
    assert found.example is not None
    assert (found.example.prompt, found.example.text) == ("p0", "text 0")
    silent = of(made(), without={1: (0,)}, write=False)
    assert silent.policies[0].agreement is None
    assert silent.new_tokens == 0


def test_selections_are_left_out_layer_by_layer() -> None:
    found = of(made(), active=(1,))
    assert found.active is not None
    assert [(one.layer, one.without) for one in found.active] == [(1, 1), (3, 1)]
    assert [one.added for one in found.active] == pytest.approx([0.01, 0.03])
    assert [one.random for one in found.active] == pytest.approx([0.002, 0.002])
    assert [one.excess for one in found.active] == pytest.approx([0.008, 0.028])
    assert found.active[1].excess_ci == pytest.approx((0.028, 0.028))
    assert found.policies == ()
    with pytest.raises(AnalysisError, match="layer 1 sends a token to 2 experts: 1 to 1 can be left out, not 2"):
        of(made(), active=(2,))


def test_equal_seeds_give_equal_results_and_the_file_holds_all_of_it(tmp_path: Any) -> None:
    found = of(made(), rankings=("coldest", "hottest"), without={1: (2,)}, active=(1,))
    assert found == of(made(), rankings=("coldest", "hottest"), without={1: (2,)}, active=(1,))
    found.save(tmp_path / "ablation.json")
    assert Ablation.load(tmp_path / "ablation.json") == found
    assert list(found.document["full"]["loss"]) == ["all", "a", "b"]
    assert list(found.document["policies"][0]["loss"]) == ["all", "a", "b"]
    assert {"policy", "mean_k", "normalisation", "loss", "agreement"} <= set(found.document["policies"][0])
    other = of(made(), without={1: (2,)}, seed=1).policies[0].random_overall
    assert other != of(made(), without={1: (2,)}).policies[0].random_overall


def test_an_interval_over_all_prompts_is_that_of_a_stratified_mean() -> None:
    """With equally many tokens a prompt, what is added is a mean of prompts, whose variance is Σ n_c s_c² / n²."""
    model = made()
    model.tokens = np.full(24, 5)
    losses = np.random.default_rng(0).normal(size=24)
    whole = model.run

    def run(rows: NDArray[np.int64], change: Intervention | None, *, write: bool) -> Outcome:
        found = whole(rows, None, write=write)
        return found if change is None else replace(found, losses=found.losses + 5 * losses[rows])

    model.run = run  # type: ignore[method-assign]
    (policy,) = of(model, without={1: (7,)}).policies
    assert policy.overall.mean == pytest.approx(losses.mean())
    assert policy.overall.ci == pytest.approx(mean_interval(losses, np.arange(24) % 2))


def test_a_category_without_a_scored_token_is_refused() -> None:
    model = made()
    model.tokens = np.where(np.arange(24) % 2 == 0, 0, 3)
    with pytest.raises(AnalysisError, match="no token of category 'a' is scored"):
        of(model, without={1: (7,)})
    nobody = Prompts([], None, [], [], given=False)
    with pytest.raises(AnalysisError, match="there are no prompts"):
        ablate(model, nobody, Ablated(without={1: (7,)}), description=DESCRIPTION)


def test_a_category_of_few_units_has_no_interval_and_a_note_says_so() -> None:
    few = Prompts(["a"] * 22 + ["b"] * 2, None, PROMPTS.ids, PROMPTS.texts, given=True)
    found = ablate(made(), few, Ablated(without={1: (0,)}), description=DESCRIPTION)
    assert found.policies[0].loss["a"].ci is not None
    assert found.policies[0].loss["b"].ci is None
    assert "fewer than three units" in found.notes["policies.ci"]
    assert found.scored == "outputs"


def test_groups_are_units() -> None:
    groups = [f"g{i // 4}" for i in range(24)]
    grouped = Prompts(LABELS, groups, PROMPTS.ids, PROMPTS.texts, given=False)
    model = made()
    ablate(model, grouped, Ablated(rankings=("coldest",)), description=DESCRIPTION)
    assert not {groups[i] for i in model.learnt} & {groups[i] for i in model.scored[0]}
    one = Prompts(LABELS, ["g"] * 24, PROMPTS.ids, PROMPTS.texts, given=False)
    with pytest.raises(NotComputable, match="all prompts are of one group"):
        ablate(model, one, Ablated(rankings=("coldest",)), description=DESCRIPTION)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "nothing is left out: name a ranking, experts or a number of selections"),
        ({"rankings": ("warmest",)}, "there is no ranking 'warmest': there are coldest, hottest, lightest, redundant"),
        ({"rankings": ("coldest",), "share": 0.1}, "`share` is 0.1, which is less than one of 8 experts"),
        ({"rankings": ("coldest",), "share": 0.9}, "1 experts would be left of layer 1, which selects 2 for a token"),
        ({"without": {2: (0,)}}, "layer 2 routes no token: the MoE layers are 1, 3"),
        ({"without": {1: (8,)}}, "layer 1 has experts 0 to 7, not 8"),
        ({"without": {1: (0, 0)}}, "an expert of layer 1 is named twice"),
        ({"forced": {1: (0, 1, 2)}}, "3 experts are forced in layer 1, which sends a token to 2"),
        ({"active": (1, 1)}, "a number of selections to leave out is named twice"),
        ({"without": {1: (0,)}, "draws": 9}, "`draws` is 9: fewer than 10"),
    ],
)
def test_what_would_say_nothing_is_refused(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(AnalysisError, match=said):
        of(made(), **asked)


def test_a_category_that_is_called_all_is_refused() -> None:
    named = Prompts(["all", "b"] * 12, None, PROMPTS.ids, PROMPTS.texts, given=False)
    with pytest.raises(AnalysisError, match="a category is called 'all', which stands for the prompts of all"):
        ablate(made(), named, Ablated(without={1: (0,)}), description=DESCRIPTION)


def test_layers_of_fewer_experts_lose_as_large_a_share() -> None:
    model = made()
    model.experts = (8, 4)
    found = of(model, rankings=("coldest",), share=0.25)
    assert {layer: len(experts) for layer, experts in found.policies[0].experts.items()} == {"1": 2, "3": 1}
    assert max(found.policies[0].experts["3"]) < 4


def test_experts_that_others_ranked_are_told_apart() -> None:
    learnt = {"coldest of other.npz": {1: (0,), 3: (1,)}}
    found = ablate(made(), PROMPTS, Ablated(), description=DESCRIPTION, learnt=learnt, notes={"learnt": "elsewhere"})
    assert [one.policy for one in found.policies] == ["coldest of other.npz"]
    assert found.learnt_prompts == 0
    assert found.notes["learnt"] == "elsewhere"


def test_what_no_token_uses_is_not_ranked() -> None:
    """Experts that are never counted are all used equally: the first of them would be left out as the coldest."""
    unused = made(use=np.stack([np.arange(1, 9), np.zeros(8, dtype=int)]))
    with pytest.raises(AnalysisError, match="no token whose use of experts is counted selects any in layer 3"):
        of(unused, rankings=("coldest",))

    class OfPictures(MadeModel):
        """Only prompts of category a hold tokens of the kind that is counted."""

        def usage(self, rows: NDArray[np.int64], *, norms: bool) -> Usage:
            found = super().usage(rows, norms=norms)
            return replace(found, counts=found.counts * (rows % 2 == 0)[:, None, None])

    model = made()
    found = of(OfPictures(model.worth, model.use, model.of_a), rankings=("coldest", "category"))
    assert [one.policy for one in found.policies] == ["coldest", "least used by a"]
    assert found.notes["policies.category"].startswith("b: no token that is learnt from selects experts")


def test_a_kind_that_no_scored_prompt_holds_is_noted() -> None:
    class OfText(MadeModel):
        def run(self, rows: NDArray[np.int64], change: Intervention | None, *, write: bool) -> Outcome:
            return replace(super().run(rows, change, write=write), kinds={"text": 2.0, "image": None})

    model = made()
    asked = Ablated(without={3: (1,)})
    found = ablate(
        OfText(model.worth, model.use, model.of_a), PROMPTS, asked, description={**DESCRIPTION, "kind": "image"}
    )
    assert found.notes["kind"].startswith("no scored prompt holds image tokens, so no routing changed")
