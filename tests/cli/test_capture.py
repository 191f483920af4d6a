"""`moexray capture`: prompts and a model in, a file of signatures out, whole or not at all."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from moexray.prompts import read_prompts
from moexray.recording.capture import capture
from moexray.signatures import Signatures

Run = Callable[..., CompletedProcess[str]]


def write_prompts(folder: Path) -> Path:
    folder.mkdir()
    (folder / "first.txt").write_text("abcd\nxyz\n", encoding="utf-8")
    (folder / "second.jsonl").write_text('{"text": "mnopqrs", "id": "own"}\n', encoding="utf-8")
    return folder


def test_the_file_holds_what_the_library_records(run: Run, tmp_path: Path, tiny_olmoe_folder: str) -> None:
    prompts = write_prompts(tmp_path / "prompts")
    finished = run("capture", "--prompts", prompts, "--model", tiny_olmoe_folder, "--max-new-tokens", 3,
                   "--batch-tokens", 14, "--dtype", "float32", "--device", "cpu", "--out", "found.npz")  # fmt: skip
    assert (finished.returncode, finished.stderr) == (0, "next: moexray analyze found.npz\n")
    assert "recorded 3 prompts: 14 prompt tokens and 6 generated ones, 3 layers of 12 experts" in finished.stdout
    assert finished.stdout.endswith("wrote found.npz\n")
    found = Signatures.load(tmp_path / "found.npz")
    expected = capture(
        read_prompts(prompts), model=tiny_olmoe_folder, max_new_tokens=3, batch_tokens=14, dtype="float32", device="cpu"
    )
    np.testing.assert_array_equal(found.counts, expected.counts)
    assert found.prompts.ids == ("first-01", "first-02", "own")
    assert {**found.meta, "created": None} == {**expected.meta, "created": None}


def test_prompts_may_be_several_paths(run: Run, tmp_path: Path, tiny_olmoe_folder: str) -> None:
    prompts = write_prompts(tmp_path / "prompts")
    run("capture", "--prompts", prompts / "second.jsonl", "--prompts", prompts / "first.txt",
        "--model", tiny_olmoe_folder, "--max-new-tokens", 1)  # fmt: skip
    assert Signatures.load(tmp_path / "signatures.npz").prompts.ids == ("own", "first-01", "first-02")


def test_the_prompts_are_not_written_over(run: Run, tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "prompts") / "second.jsonl"
    finished = run("capture", "--prompts", prompts, "--model", "scale", "--out", tmp_path / "prompts/second.jsonl")
    assert (finished.returncode, "is a file of prompts: name another file with --out" in finished.stderr) == (1, True)
    assert prompts.read_text(encoding="utf-8").startswith('{"text"')


@pytest.fixture
def letters_to_verify(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verify on texts of letters: the tiny model's tokenizer knows nothing else."""
    monkeypatch.setattr("moexray.engines.transformers.verify._TEXTS", ("abcdefgh", "xyz"))


@pytest.mark.usefixtures("letters_to_verify")
@pytest.mark.parametrize(
    "asked",
    [
        ("--record", "trace,weights,coselection"),
        ("--record", "trace", "--record", "weights, coselection,trace"),
        ("--weights", "--trace", "--coselection"),
        ("--record", "coselection,weights", "--trace", "--weights"),
    ],
)
def test_everything_that_can_be_recorded_is_asked_for_by_one_option_or_its_aliases(
    run: Run, tmp_path: Path, tiny_olmoe_folder: str, asked: tuple[str, ...]
) -> None:
    finished = run("capture", "--prompts", write_prompts(tmp_path / "prompts"), "--model", tiny_olmoe_folder,
                   "--max-new-tokens", 0, *asked, "--verify", "--device", "cpu",
                   "--out", "out.npz")  # fmt: skip
    assert finished.stderr == "next: moexray analyze out.npz --trace out.trace.parquet\n"
    assert finished.stdout.startswith("verified: ")
    assert finished.stdout.endswith("wrote out.npz\nwrote out.trace.parquet\nwrote out.coselection.npz\n")
    found = Signatures.load(tmp_path / "out.npz")
    assert found.mass is not None
    assert found.meta["verified"]["recorded"] > 0
    with np.load(tmp_path / "out.coselection.npz", allow_pickle=False) as coselection:
        selected = coselection["pairs"].diagonal(axis1=2, axis2=3)
        np.testing.assert_array_equal(selected, found.counts.sum(axis=0))
    assert sorted(file.name for file in tmp_path.iterdir() if file.is_file()) == [
        "out.coselection.npz",
        "out.npz",
        "out.trace.parquet",
    ]


@pytest.mark.usefixtures("letters_to_verify")
def test_a_model_that_fails_the_check_is_not_captured(
    run: Run, tmp_path: Path, tiny_olmoe_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of one whose logits do not move whatever experts are scrambled."""
    monkeypatch.setattr("moexray.engines.transformers.verify._differs", lambda *_: False)
    finished = run(
        "capture", "--model", tiny_olmoe_folder, "--prompts", write_prompts(tmp_path / "prompts"), "--verify"
    )
    assert finished.returncode == 1
    assert "were recorded but take no part in the logits" in finished.stderr
    assert [file for file in tmp_path.iterdir() if file.is_file()] == []


def test_a_trace_without_pyarrow_says_what_to_install_before_the_model_is_loaded(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    finished = run("capture", "--model", "no/such/model", "--trace")
    assert finished.stderr == "error: a trace is a Parquet file, which needs pyarrow: pip install 'moexray[parquet]'\n"


@pytest.mark.nightly
def test_a_capture_that_is_killed_leaves_the_earlier_file_or_a_new_whole_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "moexray", "capture", "--prompts", str(write_prompts(tmp_path / "prompts")),
               "--model", "scale", "--device", "cpu"]  # fmt: skip
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    output = tmp_path / "signatures.npz"
    whole = Signatures.load(output)
    for seconds in (1.0, 4.0, 6.0):
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        process.kill()
        process.wait()
        np.testing.assert_array_equal(Signatures.load(output).counts, whole.counts)


@pytest.mark.slow
def test_a_process_killed_while_it_writes_never_leaves_half_a_file(tmp_path: Path) -> None:
    """It does nothing but write, so that nearly every kill meets it writing."""
    program = """if True:
        import numpy as np
        from moexray.prompt_table import PromptTable
        from moexray.signatures import Signatures
        counts = np.random.default_rng(0).multinomial(4000, np.ones(64) / 64, size=(50, 2, 16)).astype(np.uint16)
        made = Signatures(
            counts=counts, tokens=np.full((50, 2), 500, np.int32),
            prompts=PromptTable(list(map(str, range(50))), "a" * 50),
            layers=np.arange(16, dtype=np.int16), top_k=np.full(16, 8, np.int16),
        )
        made.save("signatures.npz")
        print("ready", flush=True)
        while True:
            made.save("signatures.npz")
    """
    met_writing = 0
    for _ in range(10):
        process = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(random.Random(process.pid).uniform(0, 0.1))
            process.send_signal(signal.SIGKILL)
        assert len(Signatures.load(tmp_path / "signatures.npz")) == 50
        partial = list(tmp_path.glob(".*.partial.npz"))
        met_writing += bool(partial)
        for file in partial:
            file.unlink()
    assert met_writing > 0


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["max_model_len"], "--engine-option is 'max_model_len': write NAME=VALUE"),
        (["a=1", "a=2"], "--engine-option names a twice"),
        (["max_model_len=5"], "engine transformers takes no --engine-option: leave it out"),
    ],
)
def test_options_of_an_engine_are_names_and_values(run: Run, tmp_path: Path, options: list[str], problem: str) -> None:
    prompts = write_prompts(tmp_path / "prompts")
    named = [part for option in options for part in ("--engine-option", option)]
    finished = run("capture", "--prompts", prompts, "--model", "scale", *named)
    assert (finished.returncode, problem in finished.stderr) == (1, True)
