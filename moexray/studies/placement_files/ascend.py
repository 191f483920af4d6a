"""vLLM-Ascend's ``expert_map_path``: for each MoE layer, in their order, the experts of each device.

The server finds a layer by its place among MoE layers, so ``layer_id`` is that place, as where it writes such a file.
"""

import json
from pathlib import Path

from moexray.errors import AnalysisError
from moexray.files import whole_file
from moexray.studies.placement_files.task import FileTask


def write(task: FileTask, path: Path) -> None:
    """Write the map.

    Raises
    ------
    AnalysisError
        If a device holds an expert twice, of which the server would know one.
    """
    for layer in task.placement.layers:
        for device, experts in enumerate(layer.devices):
            if len(set(experts)) < len(experts):
                twice = next(one for one in experts if experts.count(one) > 1)
                message = (
                    f"device {device} holds expert {twice} of layer {layer.layer} twice, and vLLM-Ascend knows one "
                    "replica of an expert on a device: use another `redundant`"
                )
                raise AnalysisError(message)
    document = {
        "moe_layer_count": len(task.layers),
        "layer_list": [
            {
                "layer_id": place,
                "device_count": task.devices,
                "device_list": [
                    {"device_id": device, "device_expert": list(experts)}
                    for device, experts in enumerate(layer.devices)
                ],
            }
            for place, layer in enumerate(task.placement.layers)
        ],
    }
    with whole_file(path) as partial:
        partial.write_text(json.dumps(document) + "\n", encoding="utf-8")


def advice(task: FileTask, path: Path) -> str:
    """Return the option that goes with the file."""
    return f"name {path} as expert_map_path in vLLM-Ascend's additional configuration, for {task.devices} devices"
