"""Servers read the files of placements: each by a reader that follows the format's description, and not its writer.

The readers do what the servers' own code does with such a file: SGLang's `expert_location.py`, vLLM-Ascend's
`expert_load_balancer.py`, TensorRT-LLM's `MoeLoadBalancerConfig`, and the README of DeepSeek's EPLB.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from moexray.errors import AnalysisError, MoexrayError
from moexray.signatures import Signatures
from moexray.studies.placement import place
from moexray.studies.placement_files import FORMATS, check_file, write_file
from moexray.studies.placement_files.task import FileTask, file_task
from moexray.studies.placement_results import LayerMap, PlacementMap

from .. import made

DEVICES, REDUNDANT, EXPERTS = 4, 4, 8
# Of six decoder layers, two dense ones first and one among them.
LAYERS, DECODER_LAYERS = (2, 3, 5), 6


@pytest.fixture(scope="module")
def signatures() -> Signatures:
    return made.signatures(40, layers=LAYERS, experts=EXPERTS, effect=2)


@pytest.fixture(scope="module")
def task(signatures: Signatures) -> FileTask:
    study = place(signatures, devices=DEVICES, redundant=REDUNDANT, placement="eplb")
    return file_task(signatures, devices=DEVICES, decoder_layers=DECODER_LAYERS, study=study)


def held(task: FileTask) -> dict[int, list[list[int]]]:
    """Return what the study says each device of each layer holds."""
    return {layer.layer: [list(device) for device in layer.devices] for layer in task.map.layers}


def read_sglang(path: Path, *, ep_size: int, redundant: int, layers: int, experts: int) -> list[list[list[int]]]:
    """Return the experts of each rank of each decoder layer, as `init_by_mapping` and `_init_common` take a file."""
    assert path.name.endswith(".json")
    keywords = json.loads(path.read_text())
    assert list(keywords) == ["physical_to_logical_map"]  # all of them are arguments of init_by_mapping
    physical = np.array(keywords["physical_to_logical_map"])
    assert physical.shape == (layers, experts + redundant)
    assert (experts + redundant) % ep_size == 0
    local = (experts + redundant) // ep_size
    for row in physical:
        assert set(row.tolist()) == set(range(experts))  # a logical expert without a place would have none to go to
    return [[row[rank * local : (rank + 1) * local].tolist() for rank in range(ep_size)] for row in physical]


def read_sglang_count(path: Path, *, layers: int, experts: int) -> np.ndarray:
    """Return the loads, as `init_by_eplb` takes them: two axes become one step of three."""
    assert path.name.endswith(".json")
    document = json.loads(path.read_text())
    assert "physical_to_logical_map" not in document  # which would be read first
    logical = np.array(document["logical_count"])
    assert logical.shape == (layers, experts)
    assert (logical >= 0).all()
    return logical


def read_eplb(path: Path, *, gpus: int) -> list[list[list[int]]]:
    """Return the experts of each GPU of each layer, and check that the three arrays say the same."""
    with np.load(path, allow_pickle=False) as file:
        phy2log, log2phy, logcnt = (file[name] for name in ("phy2log", "log2phy", "logcnt"))
    assert phy2log.dtype == log2phy.dtype == logcnt.dtype == np.int64
    layers, replicas = phy2log.shape
    assert log2phy.shape[:2] == logcnt.shape
    assert log2phy.shape[2] == logcnt.max()
    for layer in range(layers):
        for expert in range(logcnt.shape[1]):
            places = [place for place in log2phy[layer, expert].tolist() if place != -1]
            assert len(set(places)) == len(places) == logcnt[layer, expert]
            assert all(phy2log[layer, place] == expert for place in places)
            assert (log2phy[layer, expert, len(places) :] == -1).all()
    assert (logcnt.sum(axis=1) == replicas).all()
    return phy2log.reshape(layers, gpus, replicas // gpus).tolist()


def read_ascend(path: Path, *, experts: int) -> list[list[list[int]]]:
    """Return the experts of each device of each MoE layer, as `generate_expert_placement_map` finds them."""
    data = json.loads(path.read_text())
    assert data["moe_layer_count"] == len(data["layer_list"])
    assert [layer["layer_id"] for layer in data["layer_list"]] == list(range(data["moe_layer_count"]))
    tensor = np.array([[device["device_expert"] for device in layer["device_list"]] for layer in data["layer_list"]])
    assert tensor.shape[1] == data["layer_list"][0]["device_count"]
    placement = np.full((*tensor.shape[:2], experts), -1)
    for layer in range(len(tensor)):
        for device in range(tensor.shape[1]):
            placement[layer, device, tensor[layer, device]] = np.arange(tensor.shape[2])
    # A second replica on one device would have taken the place of the first.
    assert ((placement >= 0).sum(axis=2) == tensor.shape[2]).all()
    assert ((placement >= 0).any(axis=1)).all()
    return [
        [np.argsort(np.where(row < 0, experts, row))[: tensor.shape[2]].tolist() for row in one] for one in placement
    ]


def read_tensorrt_llm(path: Path, *, ep_size: int) -> dict[int, list[list[int]]]:
    """Return the experts of each rank of each layer, as a strict model of three fields takes them."""
    config = pytest.importorskip("yaml").safe_load(path.read_text())
    assert set(config) == {"num_slots", "initial_global_assignments", "layer_updates_per_iter"}
    assert config["layer_updates_per_iter"] == 0
    slots = config["num_slots"]
    assert slots % ep_size == 0
    local = slots // ep_size
    found = {}
    for layer, row in config["initial_global_assignments"].items():
        assert type(layer) is int
        assert len(row) == slots
        assert all(type(expert) is int for expert in row)
        found[layer] = [row[rank * local : (rank + 1) * local] for rank in range(ep_size)]
    return found


def test_sglang_reads_the_map_of_every_decoder_layer(task: FileTask, tmp_path: Path) -> None:
    advice = write_file("sglang", tmp_path / "x.json", task)
    found = read_sglang(tmp_path / "x.json", ep_size=4, redundant=4, layers=6, experts=8)
    assert {layer: found[layer] for layer in LAYERS} == held(task)
    # A dense layer has the order that SGLang itself begins with: slot i holds expert i modulo 8.
    assert found[0] == found[1] == found[4] == [[0, 1, 2], [3, 4, 5], [6, 7, 0], [1, 2, 3]]
    assert "--ep-size 4 --ep-num-redundant-experts 4" in advice
    assert "6 decoder layers" in advice


def test_sglang_reads_loads_of_all_prompts(task: FileTask, tmp_path: Path, signatures: Signatures) -> None:
    write_file("sglang-count", tmp_path / "x.json", replace(task, map=None))
    found = read_sglang_count(tmp_path / "x.json", layers=6, experts=8)
    assert np.array_equal(found[list(LAYERS)], signatures.loads().sum(axis=0))
    assert not found[[0, 1, 4]].any()
    assert (found[list(LAYERS)].sum(axis=1) == signatures.tokens.sum() * 2).all()


def test_loads_are_of_the_tokens_that_were_studied(signatures: Signatures, tmp_path: Path) -> None:
    study = place(signatures, devices=2, tokens="generated")
    task = file_task(signatures, devices=2, decoder_layers=6, study=study)
    write_file("sglang-count", tmp_path / "x.json", task)
    found = read_sglang_count(tmp_path / "x.json", layers=6, experts=8)
    assert np.array_equal(found[list(LAYERS)], signatures.loads("generated").sum(axis=0))


def test_eplb_arrays_say_the_same_three_times(task: FileTask, tmp_path: Path) -> None:
    write_file("eplb", tmp_path / "x.npz", task)
    assert dict(zip(LAYERS, read_eplb(tmp_path / "x.npz", gpus=4), strict=True)) == held(task)
    with np.load(tmp_path / "x.npz") as file:
        assert file["layers"].tolist() == list(LAYERS)


def test_vllm_ascend_reads_moe_layers_in_their_order(signatures: Signatures, tmp_path: Path) -> None:
    study = place(signatures, devices=4, placement="categories")
    task = file_task(signatures, devices=4, study=study)
    write_file("ascend", tmp_path / "x.json", task)
    assert dict(zip(LAYERS, read_ascend(tmp_path / "x.json", experts=8), strict=True)) == held(task)


def test_tensorrt_llm_reads_moe_layers_by_their_index(task: FileTask, tmp_path: Path) -> None:
    write_file("tensorrt-llm", tmp_path / "x.yaml", task)
    assert read_tensorrt_llm(tmp_path / "x.yaml", ep_size=4) == held(task)


@pytest.mark.parametrize("server", FORMATS)
def test_equal_placements_are_equal_files(task: FileTask, tmp_path: Path, server: str) -> None:
    distinct = replace(task, map=with_slots([[[0, 1], [2, 3], [4, 5], [6, 7]]] * 3))
    for name in ("a.json", "b.json"):
        write_file(server, tmp_path / name, distinct)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def with_slots(layers: list[list[list[int]]]) -> PlacementMap:
    maps = (LayerMap(layer, tuple(map(tuple, held))) for layer, held in zip(LAYERS, layers, strict=True))
    return PlacementMap("made", tuple(maps))


def test_vllm_ascend_knows_one_replica_on_a_device(task: FileTask, tmp_path: Path) -> None:
    twice = replace(task, map=with_slots([[[0, 1, 0], [2, 3, 4], [4, 5, 1], [6, 7, 2]]] * 3))
    with pytest.raises(AnalysisError, match="device 0 holds expert 0 of layer 2 twice"):
        write_file("ascend", tmp_path / "x.json", twice)
    assert not (tmp_path / "x.json").exists()
    write_file("tensorrt-llm", tmp_path / "x.yaml", twice)  # which counts slots


def test_sglang_needs_the_number_of_layers_where_some_are_dense(task: FileTask, tmp_path: Path) -> None:
    for server in ("sglang", "sglang-count"):
        with pytest.raises(AnalysisError, match=r"MoE layers of this model are 2, 3, 5, .* give `decoder_layers`"):
            check_file(server, tmp_path / "x.json", replace(task, decoder_layers=None))
        with pytest.raises(AnalysisError, match="`decoder_layers` is 5, and layer 5 is among the MoE layers"):
            check_file(server, tmp_path / "x.json", replace(task, decoder_layers=5))


def test_sglang_takes_the_last_moe_layer_for_the_last_where_no_layer_is_dense(tmp_path: Path) -> None:
    signatures = made.signatures(40, layers=(0, 1, 2))
    task = file_task(signatures, devices=2, study=place(signatures, devices=2, placement="round_robin"))
    advice = write_file("sglang", tmp_path / "x.json", task)
    found = read_sglang(tmp_path / "x.json", ep_size=2, redundant=0, layers=3, experts=8)
    assert found == [[[0, 2, 4, 6], [1, 3, 5, 7]]] * 3
    assert "must have 3 decoder layers" in advice


def test_sglang_takes_a_file_by_its_suffix(task: FileTask, tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match=r"ends in \.json"):
        check_file("sglang", tmp_path / "x.txt", task)


@pytest.mark.parametrize("server", FORMATS)
def test_layers_of_different_widths_fit_no_file(server: str, tmp_path: Path) -> None:
    signatures = made.signatures(40, layers=(0, 1, 2), experts=(8, 16, 8))
    with pytest.raises(AnalysisError, match="layers have 8 to 16 experts"):
        check_file(server, tmp_path / "x.json", file_task(signatures, devices=2))


def test_a_server_that_is_not_known_is_refused(task: FileTask, tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="`server` is 'lmdeploy': there are sglang, sglang-count, eplb"):
        check_file("lmdeploy", tmp_path / "x.json", task)


def test_a_map_that_was_not_asked_for_cannot_be_written(task: FileTask, tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="give `placement`"):
        write_file("eplb", tmp_path / "x.npz", replace(task, map=None))


@pytest.mark.parametrize("server", FORMATS)
def test_a_folder_that_is_not_there_is_told_before(server: str, task: FileTask, tmp_path: Path) -> None:
    with pytest.raises(MoexrayError, match="is not a folder"):
        check_file(server, tmp_path / "no" / "x.json", task)
