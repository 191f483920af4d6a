"""Folds of cross-validation: stratified by category, groups never split."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable

# Training rows and test rows.
Split = tuple[NDArray[np.int64], NDArray[np.int64]]


def splits(truth: NDArray[np.integer], groups: NDArray[np.integer], folds: int, seed: int) -> Iterator[Split]:
    """Yield the training and test rows of each fold: stratified by category, groups never split.

    Parameters
    ----------
    truth
        The category of each prompt, by number.
    groups
        The group of each prompt, by number: see `moexray.stats.inference.labels.group_numbers`.
    folds
        Number of folds.
    seed
        Decides which prompts share a fold.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    rows = np.zeros(len(truth))
    if len(np.unique(groups)) < len(groups):
        yield from StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(rows, truth, groups)
    else:
        yield from StratifiedKFold(folds, shuffle=True, random_state=seed).split(rows, truth)


def check_folds(names: Sequence[str], truth: NDArray[np.integer], groups: NDArray[np.integer], folds: int) -> None:
    """Refuse categories too small for every fold to hold a prompt, or group, of each.

    Raises
    ------
    NotComputable
        If there is one category only, or one has fewer prompts, or groups, than there are folds.
    """
    if len(names) < 2:
        message = "there is one category only"
        raise NotComputable(message)
    for number, name in enumerate(names):
        units = len(np.unique(groups[truth == number]))
        if units < folds:
            message = f"category {name!r} has fewer prompts or groups ({units}) than the {folds} folds"
            raise NotComputable(message)
