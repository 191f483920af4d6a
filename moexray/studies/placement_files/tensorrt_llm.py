"""TensorRT-LLM's load balancer (``moe_config.load_balancer``), in YAML: a placement that stays as it is.

``initial_global_assignments`` has a key for each MoE layer, its index in the model, and the expert of each slot, rank
by rank.
"""

from pathlib import Path

from moexray.files import whole_file
from moexray.studies.placement_files.task import FileTask


def write(task: FileTask, path: Path) -> None:
    """Write the map: whole numbers, and lists of them, which JSON and YAML write alike."""
    rows = task.held.reshape(len(task.layers), -1).tolist()
    lines = [f"num_slots: {len(rows[0])}", "initial_global_assignments:"]
    lines += [f"  {layer}: {row}" for layer, row in zip(task.layers, rows, strict=True)]
    with whole_file(path) as partial:
        partial.write_text("\n".join([*lines, "layer_updates_per_iter: 0", ""]), encoding="utf-8")


def advice(task: FileTask, path: Path) -> str:
    """Return the options that go with the file."""
    return (
        f"name {path} as moe_config.load_balancer of TensorRT-LLM, with an expert parallelism of {task.devices}; "
        "layers of multi-token prediction are not in it"
    )
