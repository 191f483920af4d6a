"""SGLang's ``--init-expert-location`` with loads, of which its own EPLB makes a placement.

``{"logical_count": [[selections of each expert] of each decoder layer]}``.
"""

import json
from pathlib import Path

from moexray.files import whole_file
from moexray.studies.placement_files.task import FileTask


def write(task: FileTask, path: Path) -> None:
    """Write the loads; a dense layer has none."""
    experts = task.experts[0]
    every = task.decoder_rows(task.loads[:, :experts].tolist(), [0] * experts)
    with whole_file(path) as partial:
        partial.write_text(json.dumps({"logical_count": every}) + "\n", encoding="utf-8")


def advice(task: FileTask, path: Path) -> str:
    """Return the options that go with the file."""
    return (
        f"start SGLang with --init-expert-location {path}, and any --ep-size and --ep-num-redundant-experts; it must "
        f"have {len(task.decoder_rows(task.layers, 0))} decoder layers"
    )
