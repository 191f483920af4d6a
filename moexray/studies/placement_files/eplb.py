"""The tensors that DeepSeek's EPLB returns, as arrays of an ``.npz`` file: ``phy2log``, ``log2phy``, ``logcnt``.

Beside them ``layers`` holds the index of each row's layer in the model.
"""

from pathlib import Path

import numpy as np

from moexray.files import whole_file
from moexray.stats.workloads.slots import Slots
from moexray.studies.placement_files.task import FileTask


def write(task: FileTask, path: Path) -> None:
    """Write the arrays; `log2phy` is padded by −1."""
    slots = Slots(task.held, np.array(task.experts))
    places = [slots.places(layer) for layer in range(len(task.layers))]
    widest = max(one.shape[1] for one in places)
    log2phy = [np.pad(one, ((0, 0), (0, widest - one.shape[1])), constant_values=-1) for one in places]
    with whole_file(path) as partial, partial.open("wb") as file:
        np.savez_compressed(
            file,
            phy2log=task.held.reshape(len(task.layers), -1),
            log2phy=np.array(log2phy, dtype=np.int64),
            logcnt=slots.replicas,
            layers=np.array(task.layers, dtype=np.int64),
        )


def advice(task: FileTask, path: Path) -> str:
    """Return what the arrays are."""
    return f'np.load("{path}") holds phy2log, log2phy and logcnt, a row for each of {len(task.layers)} MoE layers'
