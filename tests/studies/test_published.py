"""Real routing of OLMoE and Mixtral, as OLMoE's authors published it, gives the figures that it should.

The data are read from ../shared/olmoe_published beside the repository, or from where MOEXRAY_PUBLISHED says. They are
the authors' `scripts/routing_output` (github.com/allenai/OLMoE, Apache-2.0) as plain CSV and npz.
"""

import csv
import os
import subprocess
import sys
from collections import defaultdict
from itertools import combinations
from math import log2
from pathlib import Path

import numpy as np
import pytest

from moexray.corpus_counts import CorpusCounts, read_counts
from moexray.stats.experts.specialisation import domain_specialisation, vocabulary_specialisation
from moexray.stats.layers.load import layer_loads
from moexray.stats.pairs.similarity import similarity
from moexray.stats.tokens.entropy import table_information

pytestmark = pytest.mark.published

BESIDE = Path(__file__).parents[2] / ".." / "shared" / "olmoe_published"
OLMOE, MIXTRAL = "OLMoE-1B-7B-0924", "Mixtral-8x7B-v0.1"
SFT, DPO = "OLMoE-1B-7B-0924-SFT", "OLMoE-1B-7B-0924-Instruct (DPO)"
TEXT = ("arxiv", "book", "c4", "github", "wikipedia")
K = {OLMOE: 8, SFT: 8, DPO: 8, MIXTRAL: 2}


@pytest.fixture(scope="module")
def folder() -> Path:
    named = os.environ.get("MOEXRAY_PUBLISHED")
    found = Path(named) if named else BESIDE
    if not (found / "expert_counts.csv").is_file():
        message = f"{found} is not there: put OLMoE's published routing there, or name its folder in MOEXRAY_PUBLISHED"
        if named:
            pytest.fail(message)
        pytest.skip(message)
    return found


@pytest.fixture(scope="module")
def counts(folder: Path) -> dict[str, CorpusCounts]:
    return {found.model: found for found in read_counts(folder / "expert_counts.csv")}


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_domain_specialisation_is_plain_arithmetic_on_the_file(folder: Path, counts: dict[str, CorpusCounts]) -> None:
    total: dict[tuple[str, ...], int] = defaultdict(int)
    with (folder / "expert_counts.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        total[row["model"], row["corpus"], row["layer"]] += int(row["count"])
    for row in rows:
        of_model, k = counts[row["model"]], K[row["model"]]
        layer, corpus = of_model.layers.index(int(row["layer"])), of_model.corpora.index(row["corpus"])
        shares = domain_specialisation(of_model.counts[:, layer], of_model.selections // k)
        expected = int(row["count"]) / (total[row["model"], row["corpus"], row["layer"]] / k)
        assert shares[corpus, int(row["expert"])] == pytest.approx(expected)


def test_layers_add_up_to_the_tokens_of_the_corpora(counts: dict[str, CorpusCounts]) -> None:
    for model, found in counts.items():
        expected = [{"tulu": 205_243}.get(corpus, 208_896) * K[model] for corpus in found.corpora]
        assert found.selections.tolist() == expected
        assert found.layers == (0, 7, 15)


@pytest.mark.parametrize(("model", "cosines"), [(OLMOE, (0.689, 0.512, 0.512)), (MIXTRAL, (0.995, 0.994, 0.986))])
def test_corpora_are_routed_apart_with_depth_in_olmoe_and_alike_in_mixtral(
    counts: dict[str, CorpusCounts], model: str, cosines: tuple[float, ...]
) -> None:
    """Mean cosine over all pairs of five corpora, by a loop and by the similarity that prompts are compared with."""
    found = counts[model]
    for layer, expected in enumerate(cosines):
        loads = [found.corpus(corpus)[layer].astype(float) for corpus in TEXT]
        mean = np.mean([cosine(one, other) for one, other in combinations(loads, 2)])
        assert mean == pytest.approx(expected, abs=0.0006)
        assert similarity(np.array(loads), TEXT).across.mean == pytest.approx(mean)


@pytest.mark.parametrize("tuned", [SFT, DPO])
def test_fine_tuning_moves_loads_little(counts: dict[str, CorpusCounts], tuned: str) -> None:
    for before, after in zip(counts[OLMOE].corpus("tulu"), counts[tuned].corpus("tulu"), strict=True):
        assert cosine(before.astype(float), after.astype(float)) > 0.98


def test_olmoe_spreads_the_load_of_one_corpus_less_evenly_than_mixtral(counts: dict[str, CorpusCounts]) -> None:
    for corpus in TEXT:
        olmoe, mixtral = (layer_loads(counts[model].corpus(corpus)) for model in (OLMOE, MIXTRAL))
        assert all(one.cv > other.cv for one, other in zip(olmoe, mixtral, strict=True))
        assert all(one.dead_experts == 0 for one in mixtral)


@pytest.mark.parametrize(
    "name", ["olmoe_github", "olmoe_wikipedia", "mixtral_c4", "mixtral_github", "mixtral_wikipedia"]
)
def test_bits_of_expert_and_token_agree_with_an_independent_computation(folder: Path, name: str) -> None:
    """As entropy of the expert less that given the id, from a dictionary of counts and one logarithm at a time."""
    with np.load(folder / f"vocabulary_{name}.npz", allow_pickle=False) as file:
        rows = list(zip(*(file[key].tolist() for key in ("layer", "expert", "token_id", "count")), strict=True))
    for layer in sorted({row[0] for row in rows}):
        some = [row[1:] for row in rows if row[0] == layer]
        of_expert: dict[int, int] = defaultdict(int)
        of_id: dict[int, int] = defaultdict(int)
        for expert, token, count in some:
            of_expert[expert] += count
            of_id[token] += count
        total = sum(of_id.values())
        entropy = -sum(count / total * log2(count / total) for count in of_expert.values())
        given = -sum(count / total * log2(count / of_id[token]) for _, token, count in some)
        places = np.unique([token for _, token, _ in some], return_inverse=True)[1]
        table = np.zeros((len(of_id), max(of_expert) + 1), dtype=np.int64)
        table[places, [expert for expert, _, _ in some]] = [count for *_, count in some]
        assert table_information(table) == pytest.approx(entropy - given, abs=1e-9)


@pytest.mark.parametrize(("name", "k"), [("olmoe_github", 8), ("mixtral_github", 2)])
def test_a_token_goes_to_k_experts_and_to_none_twice(folder: Path, name: str, k: int) -> None:
    """So shares of an id's occurrences lie between 0 and 1, and add up to k."""
    with np.load(folder / f"vocabulary_{name}.npz", allow_pickle=False) as file:
        top = file["layer"] == 0
        token_ids, places = np.unique(file["token_id"][top], return_inverse=True)
        table = np.zeros((len(token_ids), int(file["expert"].max()) + 1), dtype=np.int64)
        table[places, file["expert"][top]] = file["count"][top]
    shares = vocabulary_specialisation(table, table.sum(axis=1) // k)
    assert shares.max() <= 1
    assert shares.sum(axis=1) == pytest.approx(k)


@pytest.mark.slow
def test_the_docs_show_what_the_script_prints(folder: Path) -> None:
    script = Path(__file__).parents[2] / "scripts" / "published_routing.py"
    printed = subprocess.run([sys.executable, str(script), str(folder)], capture_output=True, text=True, check=True)
    shown = (Path(__file__).parents[2] / "docs" / "experts.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in printed.stdout.splitlines() if line.startswith("|")]
    assert len(rows) == 27
    assert set(rows) <= set(shown)
