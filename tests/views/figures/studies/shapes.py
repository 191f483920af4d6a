"""Made-up results of every study at the ends of what figures must draw: 2 to 94 layers, 8 to 512 experts."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from moexray.claims.claim import Verdict
from moexray.claims.report import CheckedClaim, ClaimsReport, StudyHeader
from moexray.stats.categories.power import NeededNumber, PowerPoint
from moexray.stats.inference.pooling import PooledEffect
from moexray.stats.kinds.devices import MixedLoad
from moexray.stats.kinds.even import EvenLoad
from moexray.stats.layers.load import LayerLoad
from moexray.studies.ablation_result import AblatedPolicy, Ablation, ActiveLoss, AtRandom, Full, Loss
from moexray.studies.batch_curves import LayerCurve, MeanCurve
from moexray.studies.batch_groups import Grouped, Grouping
from moexray.studies.batch_report import Batching, Prefill
from moexray.studies.budget_result import Budget, FullRouting, LossChange, PolicyCost
from moexray.studies.cache_report import CacheLayer, CacheReport, CacheTotal
from moexray.studies.comparison import ComparedLayer, Comparison
from moexray.studies.coverage_report import Coverage, FewerPrompts, LayerCoverage, MostUsed, Rare
from moexray.studies.expert_report import Expert, ExpertReport, LayerOfExperts, Special
from moexray.studies.header import Header, Settings
from moexray.studies.kinds_result import KindDevices, KindLoad, Kinds, LayerKinds
from moexray.studies.placement_results import (
    ClosedForm,
    KindOfTokens,
    KindScore,
    Measure,
    PlacementScore,
    PlacementStudy,
)
from moexray.studies.pooling import Pooled, PooledCapture
from moexray.studies.power_result import Pilot, Power
from moexray.studies.rankings import LayerOverlap, Stability
from moexray.studies.results import Result

MODEL = "organisation-of-some-length/Mixture-of-Experts-235B-A22B-Instruct-2507-quantised-to-four-bits"
NAMES = ("programmes écrits en français", "математические доказательства", "code", "a$b_c", "<b>x</b>")
POLICIES = (
    "coldest",
    "hottest",
    "least for a category",
    "random",
    "uniform",
    "threshold",
    "layerwise",
    "top-p",
    "cascade",
)


def draws(size: int, low: float = 0.0, high: float = 1.0) -> list[float]:
    """Return numbers between two ends, the same every time."""
    return np.random.default_rng(size).uniform(low, high, size).tolist()


def along(line: Line2D) -> list[float]:
    """Return where the points of a line are along the axis below."""
    return [float(one) for one in np.asarray(line.get_xdata())]


def up(line: Line2D) -> list[float]:
    """Return where the points of a line are along the axis beside."""
    return [float(one) for one in np.asarray(line.get_ydata())]


def named(number: int, names: Sequence[str] = NAMES) -> tuple[str, ...]:
    """Return so many names: long ones, others in another script, and numbered ones."""
    return tuple(names[i] if i < len(names) else f"{names[i % len(names)]} {i}" for i in range(number))


def around(values: Sequence[float], half: float | None) -> tuple[tuple[float, float] | None, ...]:
    """Return intervals around values; None for each without a width."""
    return tuple(None if half is None else (one - half, one + half) for one in values)


def ablation(policies: int, *, layers: int = 4, ci: bool = True, model: str | None = MODEL) -> Ablation:
    added = draws(policies, -0.1, 2.0)

    def policy(name: str, one: float) -> AblatedPolicy:
        loss = Loss(one, (one - 0.2, one + 0.2) if ci else None, 3 + one, None)
        random = AtRandom(0.5, 0.3, 0.8, 3, one - 0.5, None)
        return AblatedPolicy(name, "ranking", "native", {}, 2.0, {"all": loss}, {"all": random})

    active = tuple(
        ActiveLoss(layer, without, 0.1 * without + 0.01 * layer, (0.0, 0.3) if ci else None, 0.05 * without, 0.0, None)
        for layer in range(layers)
        for without in range(1, 8)
    )
    names = named(policies, (*POLICIES, *NAMES))
    return Ablation(
        model=model, layers=tuple(range(layers)), experts=(8,) * layers, top_k=(2,) * layers, prompts=1_234,
        learnt_prompts=12, tokens=99, categories=("a",), scored="prompts", meaning="replaced", share=0.25, draws=10,
        new_tokens=8, seed=0, full=Full({"all": 3.0}, 2.0),
        policies=tuple(map(policy, names, added)), active=None if policies else active,
    )  # fmt: skip


def curve(kind: type, sizes: Sequence[int], most: int, *, half: float | None, **more: Any) -> Any:
    even = tuple(most * (1 - 0.9**size) for size in sizes)
    matched, found = (tuple(share * one for one in even) for share in (0.9, 0.8))
    return kind(
        sizes=tuple(sizes), observed=found, observed_ci=around(found, half), load_matched=matched,
        load_matched_ci=(None,) * len(sizes), uniform=even, **more,
    )  # fmt: skip


def batching(most: int, experts: int, *, prefill: bool = True, grouped: bool = True, ci: bool = True) -> Batching:
    sizes = [2**power for power in range(most.bit_length())]
    half, none = experts / 50 if ci else None, (None,) * len(sizes)
    mean = curve(
        MeanCurve, sizes, experts, half=half, skew=none, correlation=none, correlation_ci=none, share=none,
        tokens_per_expert=none, batches=(9,) * len(sizes),
    )  # fmt: skip
    layer = curve(LayerCurve, sizes, experts, half=half, layer=0, experts=experts, top_k=2)

    def group(share: float) -> Grouped:
        value = share * experts
        return Grouped(value, (value - experts / 60, value + experts / 60) if ci else None, None, None)

    grouping = Grouping(8, 80, 16, 0.7 * experts, *map(group, (0.55, 0.5, 0.45, 0.4, 0.02)))
    return Batching(
        model=MODEL, prompts=10_000, units=80, tokens="all", steps=32, layers=(layer,), mean=mean,
        prefill=Prefill((layer,), mean) if prefill else None, grouping=grouping if grouped else None,
    )  # fmt: skip


def budget(policies: int, shares: int, *, by_kind: bool = False, ci: bool = True) -> Budget:
    costs = []
    for place, name in enumerate(named(policies, POLICIES)):
        for step in range(shares):
            loss = (0.002 + 0.01 * place) * 4**step
            change = LossChange(loss, (loss / 2, loss * 2) if ci else None, 3 + loss)
            for kinds in ({"text": 40.0, "image": 80.0}, None) if by_kind else (None,):
                mean_k = 7.5 - step * 0.8 + 0.05 * place - (0.3 if kinds else 0)
                costs.append(
                    PolicyCost(
                        name, 50.0, mean_k, (mean_k,), "native", {}, {"all": change}, {}, None, None, {}, {}, {},
                        keep_kinds=kinds,
                    )
                )  # fmt: skip
    return Budget(
        model=MODEL, dtype=None, device=None, experts_implementation=(), layers=(0,), experts=(64,), top_k=(8,),
        prompts=80, learnt=40, scored=40, units=40, texts="given", new_tokens=0, tokens={}, policies=tuple(costs),
        full=FullRouting({"all": 3.0}, {}, 8.0, {}, {}),
    )  # fmt: skip


def caching(layers: int, experts: int, capacities: Sequence[int], *, ci: bool = True) -> CacheReport:
    names = ("belady", "lru_continued", "lfu", "lru", "static", "pinned", "chance")
    share = tuple(one / experts for one in capacities)
    rates = {name: tuple(one ** (0.3 + 0.1 * place) for one in share) for place, name in enumerate(names)}
    ends = {name: around(rate, 0.02 if ci else None) for name, rate in rates.items()}
    layer = CacheLayer(
        layer=0, experts=experts, top_k=8, capacities=tuple(capacities), hit_rate=rates, ci=ends, misses=rates,
        reuse=0.3, reuse_ci=None, reuse_chance=0.1,
    )  # fmt: skip
    total = CacheTotal(
        capacities=tuple(one * layers for one in capacities), share=share, hit_rate=rates, ci=ends, misses=rates
    )
    return CacheReport(
        model=MODEL, tokens="generated", prompts=80, learnt_prompts=40, scored_prompts=40, scored_tokens=1_280, seed=0,
        wanted=0.9, layers=(layer,) * layers, together=total, predictors=(), srp=(), capacity_for=(),
    )  # fmt: skip


def claims(number: int) -> ClaimsReport:
    verdicts = list(Verdict)

    def claim(place: int) -> CheckedClaim:
        value = (-1) ** place * 0.05 * place

        def difference(of: float) -> dict[str, Any]:
            return {"difference": {"value": of, "ci": [of - 0.1, of + 0.1], "equivalence_ci": [of - 0.08, of + 0.08]}}

        here: dict[str, Any] = difference(value)
        if place % 5 == 3:
            here = {name: difference(value + shift) for name, shift in zip("abcd", draws(4, -0.1, 0.1), strict=True)}
        if place % 5 == 4:
            here = {"tokens": 32}
        verdict = verdicts[place % len(verdicts)]
        applies = verdict is not Verdict.not_applicable
        return CheckedClaim(
            id=f"C{place + 1}", name=named(number)[place], text="t", kind="measured", needs=(), published="0.5",
            values={}, test="", here=here, shown="s", verdict=verdict, reason="r",
            margin=None if place % 5 == 4 else 0.1, as_if=None if applies or place % 2 else Verdict.different,
        )  # fmt: skip

    header = Header(80, {"a": 40, "b": 40}, (0, 1), 8, (2, 2), "all", "counts", MODEL)
    study = StudyHeader("Routing signatures of prompts in a mixture of experts, and what they tell", "arXiv:0", {})
    return ClaimsReport(study, header, Settings(99, 0, 5, "0"), tuple(map(claim, range(number))), {})


def comparison(
    layers: int, *, corpora: int = 0, agreement: bool = True, tested: bool = True, first: int = 0
) -> Comparison:
    found = [
        ComparedLayer(
            layer=layer,
            corpus=corpus,
            jensen_shannon=0.01 + 0.001 * layer + 0.002 * place,
            jensen_shannon_expected=0.012 if tested else None,
            p_value=0.001 if layer % 3 else 0.4,
            similarity=0.99 - 0.002 * layer - 0.01 * place,
            similarity_ci=(0.9 - 0.002 * layer, 0.995 - 0.002 * layer) if tested else None,
            agreement=0.8 - 0.001 * layer if agreement else None,
            agreement_ci=(0.75 - 0.001 * layer, 0.85) if agreement else None,
        )
        for layer in range(first, first + layers)
        for place, corpus in enumerate(named(corpora) or (None,))
    ]
    return Comparison(
        models=(MODEL, f"{MODEL}-trained-further"), prompts=None if corpora else 80, units=80, phase="all",
        layers=tuple(found), permutations=999, seed=0,
    )  # fmt: skip


def coverage(layers: int, experts: int, *, categories: bool = True, ci: bool = True) -> Coverage:
    numbers = tuple(2**power for power in range(experts.bit_length()))
    share = tuple((one / experts) ** 0.6 for one in numbers)
    overlaps = tuple(
        LayerOverlap(
            layer=layer,
            experts=experts // 2,
            halves=0.9 - 0.003 * layer,
            same_category=0.85 - 0.003 * layer if categories else None,
            other_category=0.6 if categories else None,
            chance=0.5,
            chance_range=(0.4, 0.6),
        )
        for layer in range(layers)
    )
    rare = Rare(3, 2.0, 1.0)
    used = MostUsed(
        numbers, share, around(share, 0.02 if ci else None), tuple(one**0.9 for one in share),
        tuple(one / experts for one in numbers),
    )  # fmt: skip
    return Coverage(
        model=MODEL, prompts=80, units=80, tokens="all", selected_tokens=9_999, below=10, experts=experts * layers,
        never=3, by_tokens=rare, by_prompts=rare, fewer_prompts=FewerPrompts((1,), (1.0,)), most_used=used,
        layers=tuple(LayerCoverage(layer, experts, 2, 0, rare, rare) for layer in range(layers)),
        stability=Stability(9, 0.9, None, None, None, None, None, None, None, 0.5, overlaps),
    )  # fmt: skip


def experts(layers: int, width: int, categories: int, *, tested: bool = True) -> ExpertReport:
    names = named(categories)

    def expert(number: int, layer: int) -> Expert:
        shares = dict(zip(names, draws(categories + number + layer, 0.1, 0.4)[:categories], strict=True))
        marks = [Special(name, 0.05 * (1 if place % 2 else -1) * (1 + number % 7)) for place, name in enumerate(names)]
        some = tuple(one for place, one in enumerate(marks) if (place + number) % 4 == 0)
        return Expert(number, 1 / width, number + 1, shares, some if tested else None)

    balance = LayerLoad(0.9, 0.1, 0.1, 1.5, 0)
    return ExpertReport(
        model=MODEL, categories=names, of="tokens", phase="all",
        layers=tuple(
            LayerOfExperts(layer, balance, tuple(expert(one, layer) for one in range(width))) for layer in range(layers)
        ),
    )  # fmt: skip


def kinds(
    layers: int, experts: int, *, devices: bool = False, ci: bool = True, names: tuple[str, str] = ("a", "b")
) -> Kinds:
    even = EvenLoad(0.97, 0.1, 1.2, 0.0)

    def layer(index: int) -> LayerKinds:
        bias: list[float | None] = [*draws(experts - 1), None]
        loads = tuple(
            KindLoad((1 / experts,) * experts, LayerLoad(0.95 - 0.002 * index - 0.05 * kind, 0.1, 0.1, 1.5, 0), even)
            for kind in (0, 1)
        )
        return LayerKinds(index, loads, tuple(bias), 0.4, 0.1, 0.2)  # type: ignore[arg-type]

    mixed = tuple(
        MixedLoad(share, 2 - share, (1.8 - share, 2.2 - share) if ci else None, 1.1, 1.3 + 0.2 * share if ci else None)
        for share in (0.0, 0.1, 0.25, 0.5, 0.9, 1.0)
    )
    return Kinds(
        model=MODEL, kinds=names, tokens=(99, 99), prompts=(8, 0, 0), msi=0.4, information_share=0.1, design="within",
        difference=None, layers=tuple(map(layer, range(layers))), permutations=9, seed=0,
        devices=KindDevices(8, 0.37, (), mixed) if devices else None,
    )  # fmt: skip


def placement(placements: int, parts: int, *, ci: bool = True) -> PlacementStudy:
    names = (
        "contiguous", "random", "eplb", "coactivation", "balanced_coactivation", "least_remote", "affinity", "grouped",
        "layered", "spectral", "greedy", "hierarchical",
    )[:placements]  # fmt: skip

    def measure(value: float, name: str) -> Measure:
        ends = (value - 0.03, value + 0.03)
        return Measure(value, ends if ci and name != "random" else None, ends if name == "random" else None)

    scores = {
        name: PlacementScore(measure(0.5 + 0.03 * place, name), None, measure(3 + 0.05 * place, name), None, None, None)
        for place, name in enumerate(names)
    }
    by_kind = tuple(
        KindOfTokens(
            tokens, 99, {name: KindScore(0, None, None, None, measure(0.3 + 0.05 * place, name)) for name in names}
        )
        for place, tokens in enumerate(("all", "prompt/text", "prompt/image", *NAMES)[:parts])
    )
    return PlacementStudy(
        model=MODEL, tokens="all", layers=(0,), experts=(64,), top_k=(8,), prompts=80, learnt=40, scored=40, devices=8,
        nodes=1, groups=None, redundant=0, batch=8, batches=9, draws=9, seed=0, placements=scores,
        closed_form=ClosedForm(5.3, 0.9, 0.9, sends=0.875) if ci else None, drift=None, by_kind=by_kind or None,
    )  # fmt: skip


def pool(captures: int, *, effect: bool = True) -> Pooled:
    each = tuple(
        PooledCapture(name, "f" * 64, d, (d - 0.3, d + 0.3) if effect else None, 0.01)
        for name, d in zip(named(captures, (MODEL, *NAMES)), draws(captures, 0.2, 1.4), strict=True)
    )
    return Pooled(
        captures=each, effect=PooledEffect(0.8, (0.3, 1.3), 0.1, 0.1, 0.25, (-0.2, 1.8)) if effect else None,
        p_value=0.001, prompts=80, units=80, categories={"a": 40, "b": 40}, phase="all", by="counts", permutations=999,
        seed=0, moexray="0", notes={},
    )  # fmt: skip


def power(sizes: Sequence[int], needed: int | None, *, pilot: bool = True) -> Power:
    curve = tuple(
        PowerPoint(
            size,
            4 * size,
            min(1.0, place / len(sizes)),
            (max(0, place / len(sizes) - 0.1), min(1.0, place / len(sizes) + 0.1)),
        )
        for place, size in enumerate(sizes, 1)
    )
    of = Pilot(MODEL, "all", 80, 80, "crossed", 0.1, (0.05, 0.2), 0.01, 0.1, 0.1, 300)
    return Power(
        effect=None if pilot else 0.8, pilot=of if pilot else None, categories=20,
        varied="groups" if pilot else "prompts",
        level=0.05, target=0.8, studies=200, permutations=99, seed=0, curve=curve,
        needed=NeededNumber(needed, None, None),
    )  # fmt: skip


# By the figure, results of a small and of a large shape, and what else may be missing.
SHAPES: dict[str, dict[str, Callable[[], Result]]] = {
    "ablation": {
        "small": lambda: ablation(1, ci=False),
        "large": lambda: ablation(12),
        "layers": lambda: ablation(0, layers=2, ci=False, model=None),
        "many layers": lambda: ablation(0, layers=94),
    },
    "batching": {
        "small": lambda: batching(2, 8, prefill=False, grouped=False, ci=False),
        "large": lambda: batching(4_096, 512),
    },
    "budget": {
        "small": lambda: budget(1, 1, ci=False),
        "usual": lambda: budget(4, 3),
        "large": lambda: budget(9, 6, by_kind=True),
    },
    "caching": {
        "small": lambda: caching(2, 8, [4], ci=False),
        "usual": lambda: caching(2, 64, [8, 16, 32]),
        "large": lambda: caching(94, 512, [8, 9, 10, 16, 32, 64, 128, 256, 384, 448, 512]),
    },
    "claims": {"small": lambda: claims(1), "usual": lambda: claims(9), "large": lambda: claims(40)},
    "comparison": {
        "small": lambda: comparison(2, agreement=False),
        "one": lambda: comparison(1, first=7),
        "large": lambda: comparison(94),
        "corpora": lambda: comparison(16, corpora=6, agreement=False, tested=False),
        "many corpora": lambda: comparison(16, corpora=20, agreement=False, tested=False),
    },
    "coverage": {
        "small": lambda: coverage(2, 8, categories=False, ci=False),
        "large": lambda: coverage(94, 512),
    },
    "experts": {
        "small": lambda: experts(1, 8, 2, tested=False),
        "one": lambda: experts(1, 1, 2),
        "usual": lambda: experts(4, 16, 4),
        "large": lambda: experts(4, 64, 20),
    },
    "kinds": {
        "small": lambda: kinds(2, 8),
        "large": lambda: kinds(94, 512, names=NAMES[:2]),
        "devices": lambda: kinds(16, 64, devices=True, names=("prompt", "generated")),
    },
    "kind_devices": {
        "small": lambda: kinds(2, 8, devices=True, ci=False),
        "large": lambda: kinds(2, 8, devices=True, names=NAMES[:2]),
    },
    "placement": {
        "small": lambda: placement(2, 0, ci=False),
        "large": lambda: placement(12, 0),
        "parts": lambda: placement(7, 3),
    },
    "placement_kinds": {"small": lambda: placement(2, 1, ci=False), "large": lambda: placement(12, 8)},
    "pool": {"small": lambda: pool(2, effect=False), "usual": lambda: pool(3), "large": lambda: pool(24)},
    "power": {
        "small": lambda: power([3], None, pilot=False),
        "usual": lambda: power([3, 4, 5, 7, 9, 12, 16], 12, pilot=False),
        "large": lambda: power([*range(3, 20), 40, 80, 160], 18),
    },
}  # fmt: skip
