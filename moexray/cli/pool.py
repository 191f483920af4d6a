"""`moexray pool`."""

from pathlib import Path
from typing import Annotated

import typer

from moexray.cli.options import (
    JsonOption,
    PermutationsOption,
    SeedOption,
    TokensOption,
    WeightingName,
    WeightingOption,
)
from moexray.signatures import Signatures


def pool(
    files: Annotated[list[Path], typer.Argument(help="Signatures of the same prompts, two or more.")],
    *,
    tokens: TokensOption = "all",
    by: WeightingOption = WeightingName.counts,
    permutations: PermutationsOption = 10_000,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Summarise several captures of the same prompts, as of several models, seeds or checkpoints.

    Example: moexray pool olmoe.npz qwen.npz mixtral.npz
    """
    from moexray.cli.render import print_page, print_result
    from moexray.studies.pooling import pool as run
    from moexray.views.tables.pooled import pooled_page

    found = run(
        [Signatures.open(file) for file in files],
        tokens=tokens,
        weighting=by.value,
        permutations=permutations,
        seed=seed,
    )
    if json:
        print_result(found)
    else:
        print_page(pooled_page(found))
