"""Which prompts are left out together when a classifier is tried on what it has not seen."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable

# Rows to learn from, and rows to predict.
Split = tuple[NDArray[np.int64], NDArray[np.int64]]


def splits(truth: NDArray[np.integer], whole: NDArray[np.integer], folds: int, seed: int) -> Iterator[Split]:
    """Yield each fold as rows to learn from and rows to predict: stratified by category, groups never split.

    Parameters
    ----------
    truth
        The category of each prompt, by number.
    whole
        The group of each prompt, by number: see `moexray.stats.inference.labels.group_numbers`.
    folds
        How many folds there are.
    seed
        Decides which prompts share one.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    rows = np.zeros(len(truth))
    if len(np.unique(whole)) < len(whole):
        yield from StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(rows, truth, whole)
    else:
        yield from StratifiedKFold(folds, shuffle=True, random_state=seed).split(rows, truth)


def check_folds(names: Sequence[str], truth: NDArray[np.integer], whole: NDArray[np.integer], folds: int) -> None:
    """Refuse what cannot be split so that every fold holds a prompt, or group, of every category.

    Raises
    ------
    NotComputable
        If there is one category only, or one has fewer prompts, or groups, than there are folds.
    """
    if len(names) < 2:
        message = "there is one category only"
        raise NotComputable(message)
    for number, name in enumerate(names):
        units = len(np.unique(whole[truth == number]))
        if units < folds:
            message = f"category {name!r} has {units} prompts or groups, fewer than the {folds} folds"
            raise NotComputable(message)
