"""`moexray place` prints what placements cost, draws their trade-off, and writes one for a server."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from moexray.cli.place import Server
from moexray.studies.placement_files import FORMATS

from .. import made

Run = Callable[..., CompletedProcess[str]]


def test_every_format_can_be_asked_for() -> None:
    assert [one.value for one in Server] == list(FORMATS)


@pytest.fixture
def files(run: Run) -> None:
    """Put signatures and their trace where a capture writes them."""
    made.trace(Path("signatures.trace.parquet"), prompts=40, layers=(0, 1, 2)).save("signatures.npz")


@pytest.mark.usefixtures("files")
def test_the_trace_beside_the_signatures_is_found(run: Run) -> None:
    finished = run("place", "--devices", 4, "--batch", 4, "--figure", "p.svg")
    assert finished.returncode == 0, finished.stderr
    assert "made-up, prompt and generated tokens: 8 experts a layer on 4 devices" in finished.stdout
    for word in ("balancedness", "devices touched", "moves", "uniform routing", "Drift of coactivation"):
        assert word in finished.stdout
    assert finished.stderr == "wrote p.svg\n"
    assert Path("p.svg").read_text(encoding="utf-8").startswith("<?xml")


@pytest.mark.usefixtures("files")
def test_json_has_a_measure_and_its_interval_for_every_placement(run: Run) -> None:
    document = json.loads(run("place", "--devices", 4, "--batch", 4, "--redundant", 4, "--json").stdout)
    assert {"placements", "closed_form", "drift", "notes", "fingerprint"} <= set(document)
    assert "map" not in document
    for name in ("contiguous", "random", "eplb", "coactivation"):
        for measure in ("balancedness", "devices_touched", "busiest", "moves"):
            assert set(document["placements"][name][measure]) >= {"value", "ci"}
    assert document["redundant"] == 4


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("server", "name"),
    [
        ("sglang", "x.json"),
        ("sglang-count", "x.json"),
        ("eplb", "x.npz"),
        ("ascend", "x.json"),
        ("tensorrt-llm", "x.yaml"),
    ],
)
def test_a_server_gets_its_file(run: Run, server: str, name: str) -> None:
    finished = run("place", "--devices", 4, "--batch", 4, "--for", server, "--out", name)
    assert finished.returncode == 0, finished.stderr
    assert f"wrote {name}: " in finished.stderr
    assert Path(name).stat().st_size


@pytest.mark.usefixtures("files")
def test_the_placement_that_is_written_is_the_one_that_was_scored(run: Run) -> None:
    options = ("--devices", 2, "--batch", 4, "--placement", "coactivation")
    document = json.loads(run("place", *options, "--for", "eplb", "--out", "x.npz", "--json").stdout)
    with np.load("x.npz") as file:
        written = file["phy2log"].reshape(3, 2, 4).tolist()
    assert written == [layer["devices"] for layer in document["map"]["layers"]]
    assert document["map"]["placement"] == "coactivation"


def test_signatures_alone_give_loads(run: Run) -> None:
    made.signatures(40).save("signatures.npz")
    finished = run("place", "--devices", 2)
    assert finished.returncode == 0, finished.stderr
    assert "balancedness" in finished.stdout
    assert "devices touched" not in finished.stdout
    assert "there is no trace" in " ".join(finished.stdout.split())
    assert "needs" not in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing option '--devices'"),
        (("--devices", 0), "'--devices'"),
        (("--devices", 3), "cannot be dealt evenly to --devices 3: use a divisor, or --redundant 1"),
        (("--devices", 9), "--devices is 9, and layer 1 has 8 experts"),
        (("--devices", 2, "--for", "eplb"), "give both"),
        (("--devices", 2, "--out", "x.npz"), "give both"),
        (("--devices", 2, "--for", "vllm", "--out", "x.npz"), "'--for'"),
        (("--devices", 2, "--for", "sglang", "--out", "x.json"), "give --decoder-layers, which is num_hidden_layers"),
        (("--devices", 2, "--for", "sglang-count", "--out", "x.json", "--placement", "eplb"), "writes loads"),
        (("--devices", 2, "--placement", "eplb"), "--placement names the map that --for writes and --json holds"),
        (("--devices", 2, "--decoder-layers", 4), "--decoder-layers is for the files of SGLang"),
        (("--devices", 2, "--placement", "random", "--json"), "--placement is random, of which 200 are drawn"),
        (("--devices", 2, "--placement", "graph", "--json"), "--placement is graph, which cannot be made"),
        (("--devices", 2, "--trace", "no.parquet"), "no.parquet is not there: `moexray capture --record trace` writes"),
        (("--devices", 2, "--figure", "no/x.png"), "no is not a folder"),
        (("--devices", 2, "--figure", "x.png"), "no figure of placements: there is no trace"),
        (("--devices", 2, "--for", "eplb", "--out", "no/x.npz"), "no is not a folder"),
        (
            ("--devices", 2, "--for", "eplb", "--out", "signatures.npz"),
            "signatures.npz is what is studied: name another",
        ),
        (("--devices", 2, "--figure", "signatures.npz"), "name another file with --figure"),
        (("--devices", 2, "--for", "eplb", "--out", "x.png", "--figure", "x.png"), "--out and --figure are both x.png"),
        (("--devices", 2, "--batch", 0), "'--batch'"),
        (("--devices", 2, "--tokens", "image"), "no tokens are called 'image'"),
    ],
)
def test_a_mistake_is_one_line(run: Run, arguments: tuple[object, ...], message: str) -> None:
    made.signatures(24).save("signatures.npz")
    finished = run("place", *arguments)
    assert finished.returncode in {1, 2}
    assert finished.stdout == ""
    assert finished.stderr.count("\n") == 1
    assert message in finished.stderr
    assert sorted(path.name for path in Path().iterdir()) == ["signatures.npz"]
