"""What the routing counts that OLMoE's authors published show, as the tables of docs/experts.md.

    python scripts/published_routing.py FOLDER

FOLDER holds `expert_counts.csv` (model, corpus, layer, expert, count), and may hold vocabulary_*.npz with arrays
`layer`, `expert`, `token_id` and `count`: the authors' `scripts/routing_output` (github.com/allenai/OLMoE), written
so from their pickles.
"""

from itertools import combinations
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from scipy.stats import entropy

from moexray.corpus_counts import CorpusCounts, read_counts
from moexray.stats.layers.load import layer_loads
from moexray.stats.pairs.divergence import jensen_shannon
from moexray.stats.tokens.entropy import table_information


def shares_of(counts: CorpusCounts, corpora: list[str], layer: int) -> NDArray[np.float64]:  # (corpora, experts)
    """Return the share of each corpus's selections in one layer that an expert gets."""
    loads = np.array([counts.corpus(name)[layer] for name in corpora], dtype=np.float64)
    return np.asarray(loads / loads.sum(axis=1, keepdims=True))


def cosine(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the cosine of two loads."""
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def of_corpora(counts: CorpusCounts, corpora: list[str]) -> None:
    """Print how far apart a model routes the corpora, and how far experts specialise in one of them."""
    for layer, number in enumerate(counts.layers):
        shares = shares_of(counts, corpora, layer)
        alike = np.mean([cosine(*pair) for pair in combinations(shares, 2)])
        apart = np.mean([jensen_shannon(*pair) for pair in combinations(shares, 2)])
        special = shares / shares.mean(axis=0)
        corpus, expert = np.unravel_index(np.argmax(special), special.shape)
        doubled = np.mean(special.max(axis=0) > 2)
        balance = layer_loads(counts.counts[:, layer].sum(axis=0, keepdims=True))[0]
        typer.echo(
            f"| {counts.model} | {number} | {alike:.3f} | {apart:.3f} | {doubled:.0%} | expert {expert}: "
            f"{special[corpus, expert]:.1f} × in {corpora[corpus]} | {balance.gini:.2f} | {balance.max_over_mean:.1f} |"
        )


def of_tuning(before: CorpusCounts, after: CorpusCounts, corpus: str) -> None:
    """Print how far tuning moved the loads of one corpus."""
    for layer, number in enumerate(before.layers):
        one, other = (shares_of(counts, [corpus], layer)[0] for counts in (before, after))
        moved = int(np.argmax(np.abs(other - one)))
        typer.echo(
            f"| {after.model} | {number} | {cosine(one, other):.4f} | {jensen_shannon(one, other):.4f} | "
            f"expert {moved}: {one[moved]:.3f} to {other[moved]:.3f} |"
        )


def of_vocabulary(path: Path) -> None:
    """Print how many bits an expert, one of a token's k, carries about the token's id.

    Bits from counts are too large, by some (experts − 1) / 2n ln 2 for an id with n selections: so also of those ids
    that were sent to each expert twenty times on average, where that is at most 0.04.
    """
    with np.load(path, allow_pickle=False) as file:
        columns = {name: file[name] for name in ("layer", "expert", "token_id", "count")}
    for layer in np.unique(columns["layer"]):
        here = columns["layer"] == layer
        token_ids, places = np.unique(columns["token_id"][here], return_inverse=True)
        table = np.zeros((len(token_ids), int(columns["expert"].max()) + 1), dtype=np.int64)
        table[places, columns["expert"][here]] = columns["count"][here]
        often = table[table.sum(axis=1) >= 20 * table.shape[1]]
        typer.echo(
            f"| {path.stem.removeprefix('vocabulary_')} | {layer} | {_bits(table)} | {len(token_ids):,} | "
            f"{_bits(often)} | {len(often):,} | {often.sum() / table.sum():.0%} |"
        )


def _bits(table: NDArray[np.int64]) -> str:
    return f"{table_information(table):.2f} of {entropy(table.sum(axis=0), base=2):.2f}"


def main(folder: Annotated[Path, typer.Argument(help="Of the published counts.")]) -> None:
    """Print the tables in Markdown."""
    models = read_counts(folder / "expert_counts.csv")
    pretrained = [found for found in models if len(found.corpora) > 1]
    corpora = [name for name in pretrained[0].corpora if all(name in found.corpora for found in pretrained)]
    text = [name for name in corpora if name != "tulu"]
    typer.echo(f"Corpora: {', '.join(text)}")
    for counts in pretrained:
        of_corpora(counts, text)
    for counts in models:
        if len(counts.corpora) == 1:
            of_tuning(pretrained[0], counts, counts.corpora[0])
    for path in sorted(folder.glob("vocabulary_*.npz")):
        of_vocabulary(path)


if __name__ == "__main__":
    typer.run(main)
