"""A result of every kind, of data whose names do harm where they are not taken as texts."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from moexray.claims.check import check_claims
from moexray.claims.study_file import shipped_study
from moexray.replays.check import check
from moexray.signatures import Signatures
from moexray.studies.batching import study_batches
from moexray.studies.caching import study_caches
from moexray.studies.comparison import compare
from moexray.studies.coverage import study_coverage
from moexray.studies.experts import describe_experts
from moexray.studies.kinds import study_kinds
from moexray.studies.placement import place
from moexray.studies.pooling import pool
from moexray.studies.power import power_of_pilot
from moexray.studies.results import Result
from moexray.trace import Trace

from ... import made
from ..figures.studies import test_ablation
from ..test_budget import RESULT
from .conftest import HOSTILE, Opened


def signatures_with_trace(folder: Path) -> tuple[Signatures, Trace]:
    """Return signatures of a model whose name is markup, saved with their trace."""
    found = made.trace(folder / "signatures.trace.parquet", prompts=16)
    found = found.replace(meta={**found.meta, "model": HOSTILE[0]})
    found.save(folder / "signatures.npz")
    return found, Trace.open(folder / "signatures.trace.parquet", found)


def every_result(signatures: Signatures, trace: Trace, opened: Opened) -> Iterator[tuple[str, Result]]:
    """Yield a result of each command, with the command."""
    analysis = opened.analysis
    prompts = signatures.prompts
    names = dict(zip(sorted(set(prompts.categories)), (HOSTILE[0], HOSTILE[3]), strict=True))
    named = replace(prompts, categories=tuple(names[one] for one in prompts.categories))
    hostile, other = (
        signatures.replace(prompts=named),
        made.trace(trace.path.with_name("o.parquet"), prompts=16, seed=1),
    )
    yield "analyze", analysis
    yield "ablate", test_ablation.made_up()
    yield "batch", study_batches(trace, sizes=(1, 4), group_size=4)
    yield "budget", RESULT
    yield "cache", study_caches(trace, capacities=[2, 4])
    yield "check", replace(check(trace.path.with_name("signatures.npz"), model="none"), source=HOSTILE[2])
    study = replace(shipped_study(), title=HOSTILE[1])
    yield "claims", check_claims(opened.signatures, analysis, study)
    yield "compare", compare(hostile, other.replace(prompts=named), permutations=19)
    yield "coverage", study_coverage(signatures, below=3)
    yield "experts", describe_experts(hostile, permutations=19)
    yield "kinds", study_kinds(signatures, devices=2, permutations=19)
    yield "place", place(signatures, devices=2, trace=trace)
    yield "pool", pool([signatures, other], permutations=19)
    yield "power", power_of_pilot(signatures, studies=10, most=8)
