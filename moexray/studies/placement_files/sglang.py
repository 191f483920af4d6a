"""SGLang's ``--init-expert-location``: ``{"physical_to_logical_map": [[expert of each slot] of each decoder layer]}``.

The slots of a device follow each other. There is no other key: the server passes all of them on as arguments.
"""

import json
from pathlib import Path

from moexray.files import whole_file
from moexray.studies.placement_files.task import FileTask


def write(task: FileTask, path: Path) -> None:
    """Write the map; a dense layer, which is never looked up, has the order that SGLang has by default."""
    rows = task.held.reshape(len(task.layers), -1).tolist()
    slots, experts = len(rows[0]), task.experts[0]
    every = task.decoder_rows(rows, [slot % experts for slot in range(slots)])
    with whole_file(path) as partial:
        partial.write_text(json.dumps({"physical_to_logical_map": every}) + "\n", encoding="utf-8")


def advice(task: FileTask, path: Path) -> str:
    """Return the options that go with the file."""
    return (
        f"start SGLang with --init-expert-location {path} --ep-size {task.devices} --ep-num-redundant-experts "
        f"{task.redundant}; it must have {len(task.decoder_rows(task.layers, 0))} decoder layers"
    )
