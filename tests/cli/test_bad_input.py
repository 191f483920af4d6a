"""Whatever a user gets wrong is one line that names it: exit status 1 or 2, no traceback, and no file touched."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
from transformers import LlamaConfig, OlmoeConfig

from moexray.cli.main import COMMANDS, function_of
from moexray.signatures import Signatures
from moexray.studies.analysis import analyze

from ..full_disk import full_disk

Run = Callable[..., CompletedProcess[str]]


def write_arrays(arrays: dict[str, Any]) -> None:
    np.savez("f.npz", **arrays)


def write(path: str, content: str | bytes) -> None:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())


def good_bytes() -> bytes:
    return Path("good.npz").read_bytes()


def changed_arrays(**changes: object) -> dict[str, object]:
    with np.load("good.npz") as opened:
        return {**opened, **changes}


def changed_meta(**changes: object) -> np.ndarray:
    with np.load("good.npz") as opened:
        meta = json.loads(opened["meta"].tobytes())
    return np.frombuffer(json.dumps(meta | changes).encode(), dtype=np.uint8)


def checkpoint(config: LlamaConfig | OlmoeConfig, architecture: str) -> None:
    config.architectures = [architecture]
    config.save_pretrained("model")


SMALL = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 8}


def counts() -> None:
    write("c.csv", "model,corpus,layer,expert,count\nm,x,0,0,3\n")


CAPTURE = ("capture", "--prompts", "prompts", "--model")

# What is made beforehand in a folder that holds prompts/, good.npz and out/, the command, and what its message names.
CASES: dict[str, tuple[Callable[[], object] | None, tuple[object, ...], str]] = {
    "prompts that are not there": (None, ("capture", "--prompts", "nowhere"), "nowhere does not exist"),
    "an empty folder of prompts": (lambda: Path("e").mkdir(), ("capture", "--prompts", "e"), "e holds no .txt"),
    "an empty file of prompts": (lambda: write("e.txt", ""), ("capture", "--prompts", "e.txt"), "e.txt is empty"),
    "a blank line": (lambda: write("b.txt", "one\n\ntwo\n"), ("capture", "--prompts", "b.txt"), "line 2 is empty"),
    "prompts that are not UTF-8": (
        lambda: write("l.txt", b"one\ncaf\xe9\n"), ("capture", "--prompts", "l.txt"), "l.txt line 2 is not UTF-8"
    ),
    "a broken line of JSON": (
        lambda: write("j.jsonl", '{"text": "a"}\n{"text"\n'), ("capture", "--prompts", "j.jsonl"), "line 2 is not JSON"
    ),
    "JSON that is no object": (lambda: write("j.jsonl", "3\n"), ("capture", "--prompts", "j.jsonl"), "1 holds int"),
    "JSON without a text": (
        lambda: write("j.jsonl", '{"id": "a"}\n'), ("capture", "--prompts", "j.jsonl"), 'line 1 has no "text"'
    ),
    "JSON with a misspelt key": (
        lambda: write("j.jsonl", '{"text": "a", "catgory": "b"}\n'),
        ("capture", "--prompts", "j.jsonl"),
        'unknown key "catgory"',
    ),
    "an id that occurs twice": (
        lambda: write("j.jsonl", '{"text": "a", "id": "x"}\n{"text": "b", "id": "x"}\n'),
        ("capture", "--prompts", "j.jsonl"),
        "j.jsonl line 2: the id 'x' is already taken by j.jsonl line 1",
    ),
    "the same prompts twice": (None, ("capture", "--prompts", "prompts", "--prompts", "prompts"), "already taken by"),
    "prompts in another format": (
        lambda: write("p.docx", "x"), ("capture", "--prompts", "p.docx"), "p.docx is neither a folder nor"
    ),
    "a name longer than names can be": (None, ("capture", "--prompts", "x" * 5000), "File name too long"),
    "a model folder that is not there": (None, (*CAPTURE, "./nowhere"), "there is no model folder ./nowhere"),
    "a model that is not to be had": (None, (*CAPTURE, "no/such-model"), "check its name, --revision and the network"),
    "a folder without a checkpoint": (lambda: Path("model").mkdir(), (*CAPTURE, "model"), "has no config.json"),
    "a file for a model": (None, (*CAPTURE, "good.npz"), "model good.npz has no config.json"),
    "a model's name longer than names can be": (None, (*CAPTURE, "x" * 5000), "model xxxxxxxxxxxxxxxxxxxx… is neither"),
    "a dense model": (
        lambda: checkpoint(LlamaConfig(**SMALL), "LlamaForCausalLM"), (*CAPTURE, "model"), "it has no experts"
    ),
    "a configuration that is not JSON": (
        lambda: write("model/config.json", "{"), (*CAPTURE, "model"), "could not be loaded from its folder"
    ),
    "an architecture that transformers does not know": (
        lambda: write("model/config.json", '{"model_type": "no-such"}'), (*CAPTURE, "model"), "model model"
    ),
    "code of its own that was not trusted": (
        lambda: write("model/config.json", '{"model_type": "own", "auto_map": {"AutoConfig": "own.Own"}}'),
        (*CAPTURE, "model"),
        "--trust-remote-code",
    ),
    "a model without a tokenizer": (
        lambda: checkpoint(OlmoeConfig(**SMALL), "OlmoeForCausalLM"), (*CAPTURE, "model"), "comes without a tokenizer"
    ),
    "weights cut short": (
        lambda: write("tiny/model.safetensors", Path("tiny/model.safetensors").read_bytes()[:1000]),
        (*CAPTURE, "tiny"),
        "could not be loaded",
    ),
    "a model larger than memory": (
        lambda: checkpoint(OlmoeConfig(hidden_size=2**15, intermediate_size=2**15), "OlmoeForCausalLM"),
        (*CAPTURE, "model", "--device", "cpu"),
        "GB free",
    ),
    "a prompt beyond the model's context": (
        lambda: write("long.txt", "abc\n" + "a" * 120 + "\n"),
        ("capture", "--prompts", "long.txt", "--model", "tiny"),
        "'long-02' has 120 tokens",
    ),
    "a device that there is not": (None, (*CAPTURE, "tiny", "--device", "abacus"), "device 'abacus' cannot be used"),
    "a dtype that there is not": (None, (*CAPTURE, "tiny", "--dtype", "float7"), "--dtype is 'float7': choose float64"),
    "a model without a name": (None, (*CAPTURE, ""), "model '' is no name: name a folder, a hub"),
    "a revision of the embedded model": (
        None, (*CAPTURE, "scale", "--revision", "x"), "model scale comes with moexray, and has no revisions: leave"
    ),
    "a revision of a folder": (None, (*CAPTURE, "tiny", "--revision", "x"), "tiny is a folder, and has no revisions"),
    "a share of probability where nothing is drawn": (
        None, (*CAPTURE, "tiny", "--top-p", "0.9"), "--top-p chooses among tokens that are drawn: give a --temperature"
    ),
    "a temperature where nothing is generated": (
        None,
        (*CAPTURE, "tiny", "--max-new-tokens", 0, "--temperature", 1),
        "nothing is generated with --max-new-tokens 0: leave out --temperature",
    ),
    "an end that nothing has": (
        None, (*CAPTURE, "tiny", "--max-new-tokens", 0, "--no-stop-at-eos"), "generated with --max-new-tokens 0: leave"
    ),
    **{
        f"{option} beside given outputs": (
            lambda: write("o.jsonl", '{"text": "a", "answer": "b"}\n'),
            (*("capture", "--model", "tiny", "--prompts", "o.jsonl", "--output-column", "answer"), option, value),
            f"the prompts come with their outputs, so nothing is generated: leave out {option}",
        )
        for option, value in (("--temperature", 1), ("--top-p", 0.5), ("--max-new-tokens", 8), ("--seed", 3))
    },
    "a folder for an output, not made yet": (
        None, (*CAPTURE, "tiny", "--out", "new/"), "new/ names a folder: name a file to write, such as new/NAME"
    ),
    "a folder for merged signatures": (None, ("merge", "good.npz", "other.npz", "--out", "n/"), "n/ names a folder"),
    "a folder for an analysis": (None, ("analyze", "good.npz", "--out", "new/"), "new/ names a folder"),
    "the page of a data set": (
        None,
        ("capture", "--prompts", "https://huggingface.co/datasets/owner/some.set/viewer"),
        "is the page of a data set, not its name: write hf:owner/some.set",
    ),
    "a shard that is not there": (None, ("capture", "--shard", "8/8"), "--shard is 8/8, which is not there: shards"),
    "a shard of nothing": (None, ("capture", "--shard", "8"), "--shard is '8': write which one, counted from 0"),
    "an address": (None, ("capture", "--prompts", "https://x.org/a.csv"), "x.org/a.csv is an address: download"),
    "a text that nobody sees": (
        lambda: write("z.txt", "one\n\u200b\u2060\n"), ("capture", "--prompts", "z.txt"), "z.txt line 2 is empty"
    ),
    "a text of JSON that nobody sees": (
        lambda: write("z.jsonl", '{"text": "\\u200b"}\n'),
        ("capture", "--prompts", "z.jsonl"),
        "\"text\" is '\\u200b': it must be a text that is not empty",
    ),
    "a category that is a fraction": (
        lambda: write("z.jsonl", '{"text": "a", "category": 1.5}\n'),
        ("capture", "--prompts", "z.jsonl"),
        '"category" is 1.5: it must be a text that is not empty, or a whole number',
    ),
    "a category of 5,000 digits": (
        lambda: write("z.jsonl", f'{{"text": "a", "category": {"7" * 5000}}}\n'),
        ("capture", "--prompts", "z.jsonl"),
        "z.jsonl line 1 cannot be read as JSON (a number has thousands of digits)",
    ),
    "a pipe for signatures": (lambda: os.mkfifo("f.npz"), ("info", "f.npz"), "f.npz is a pipe: name a file"),
    "a pipe for a table of counts": (lambda: os.mkfifo("f.csv"), ("info", "f.csv"), "f.csv is a pipe: name a file"),
    "a pipe for an analysis": (lambda: os.mkfifo("f.json"), ("info", "f.json"), "f.json is a pipe: name a file"),
    "a pipe for a Parquet file": (lambda: os.mkfifo("f.parquet"), ("info", "f.parquet"), "f.parquet is a pipe"),
    "fewer than no new tokens": (None, (*CAPTURE, "tiny", "--max-new-tokens", -1), "'--max-new-tokens'"),
    "a batch of none": (None, (*CAPTURE, "tiny", "--batch-tokens", "many"), "'--batch-tokens'"),
    "signatures that are not there": (None, ("analyze", "nowhere.npz"), "nowhere.npz does not exist"),
    "no signatures where they are looked for": (None, ("analyze",), "signatures.npz does not exist"),
    "a directory for a file of signatures": (None, ("analyze", "out"), "out is a directory: name a file"),
    "an empty file of signatures": (lambda: write("f.npz", ""), ("analyze", "f.npz"), "f.npz is damaged"),
    "text for signatures": (lambda: write("f.npz", "no zip"), ("info", "f.npz"), "f.npz is damaged"),
    "signatures cut short": (lambda: write("f.npz", good_bytes()[:-200]), ("analyze", "f.npz"), "f.npz is damaged"),
    "signatures with a byte changed": (
        lambda: write("f.npz", good_bytes()[:80] + bytes([good_bytes()[80] ^ 255]) + good_bytes()[81:]),
        ("analyze", "f.npz"),
        "f.npz is damaged",
    ),
    "somebody else's npz": (lambda: np.savez("f.npz", a=np.ones(3)), ("analyze", "f.npz"), "not a file of signatures"),
    "pickled arrays": (
        lambda: write_arrays(changed_arrays(counts=np.array([{}], dtype=object))),
        ("analyze", "f.npz"),
        "allow_pickle=False",
    ),
    "a single array": (
        lambda: np.save("f.npy", np.ones(3)), ("analyze", "f.npy"), "f.npy holds a single array, not signatures"
    ),
    "signatures of a newer schema": (
        lambda: write_arrays(changed_arrays(meta=changed_meta(schema=99))),
        ("plot", "f.npz", "--all"),
        "f.npz has schema 99",
    ),
    "counts that are not tokens times k": (
        lambda: write_arrays(changed_arrays(tokens=np.full((24, 2), 3, np.int32))),
        ("analyze", "f.npz"),
        "f.npz: ",
    ),
    "signatures that lack an array": (
        lambda: write_arrays({k: v for k, v in changed_arrays().items() if k != "top_k"}),
        ("analyze", "f.npz"),
        "top_k missing",
    ),
    "a phase that no prompt has a token in": (
        None, ("analyze", "good.npz", "--phase", "generated"), "no prompt has any generated token"
    ),
    "tokens that there are not": (
        None, ("analyze", "good.npz", "--phase", "later"), "no tokens are called 'later': there are all, prompt"
    ),
    "no shuffles": (None, ("analyze", "good.npz", "--permutations", 0), "'--permutations'"),
    "one fold": (None, ("analyze", "good.npz", "--folds", 1), "'--folds'"),
    "no figure named": (None, ("plot", "good.npz"), "name at least one figure"),
    "a suffix of no figure": (None, ("plot", "good.npz", "--pca", "--out", "x.gif"), "x.gif has no suffix of a figure"),
    "one file for all figures": (
        None, ("plot", "good.npz", "--all", "--out", "x.png"), "one file, but there are several figures"
    ),
    "figures for a folder that is not there": (None, ("plot", "good.npz", "--all", "--out", "x"), "x is not a folder"),
    "figures of a phase without tokens": (
        None, ("plot", "good.npz", "--all", "--phase", "generated"), "no prompt has any generated token"
    ),
    "files that share a prompt": (None, ("merge", "good.npz", "good.npz", "--out", "m.npz"), "0-0"),
    "files of two models": (None, ("merge", "good.npz", "other.npz", "--out", "m.npz"), "model"),
    "nothing to merge": (None, ("merge",), "Missing argument"),
    "an analysis that is none": (lambda: write("a.json", "{}"), ("info", "a.json"), "a.json is not an analysis"),
    "an analysis that is not JSON": (lambda: write("a.json", "{"), ("info", "a.json"), "a.json is not an analysis"),
    "an analysis that is not there": (None, ("info", "a.json"), "a.json could not be read"),
    "a file where the demo's folder should be": (None, ("demo", "--out", "good.npz"), "good.npz could not be made"),
    "a directory for an output": (None, ("analyze", "good.npz", "--out", "out"), "out is a directory"),
    "an output in a folder that is not there": (None, ("analyze", "good.npz", "--out", "no/a.json"), "no is not"),
    "an option of one model for all": (None, ("models", "--revision", "x"), "--revision is about one model: name it"),
    "code of no model": (None, ("models", "--trust-remote-code"), "--trust-remote-code is about one model: name it"),
    "a model of signatures": (None, ("experts", "good.npz", "--model", "m"), "--model names one of the models in a"),
    "two models of signatures": (
        None, ("compare", "good.npz", "other.npz", "--model", "m", "--model", "n"), "--model names models in tables of"
    ),
    **{
        f"{option} of a table of counts": (
            counts,
            (*command, option, *value),
            f"{option} needs signatures, not",
        )
        for command in (("experts", "c.csv"), ("compare", "c.csv", "c.csv"))
        for option, value in (("--tokens", ["prompt"]), ("--seed", [3]))
    },
    "prompts of a table of counts": (counts, ("compare", "c.csv", "c.csv", "--common"), "--common needs signatures"),
    "categories of a pilot": (None, ("power", "good.npz", "--categories", 4), "--categories goes with --effect"),
    "tokens of an effect": (None, ("power", "--effect", 1, "--tokens", "prompt"), "--tokens needs a pilot"),
    "two formats of a figure": (
        None, ("plot", "good.npz", "--pca", "--out", "x.png", "--format", "svg"), "ends in .png, and --format is svg"
    ),
    "a command that there is not": (None, ("analyse", "good.npz"), "No such command 'analyse'"),
    "an option that there is not": (None, ("analyze", "good.npz", "--shuffles", 3), "No such option"),
}  # fmt: skip


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


@pytest.fixture(scope="module")
def pantry(
    tmp_path_factory: pytest.TempPathFactory, made_up: Callable[..., Signatures], tiny_olmoe_folder: str
) -> Path:
    """Return a folder with good prompts, signatures and a model, and earlier results."""
    folder = tmp_path_factory.mktemp("pantry")
    write(f"{folder}/prompts/first.txt", "abcd\nxyz\n")
    made_up().save(folder / "good.npz")
    made_up(seed=1, model="another").save(folder / "other.npz")
    for earlier in ("signatures.json", "m.npz", "x.png", "out/kept.txt"):
        write(f"{folder}/{earlier}", "an earlier result")
    analyze(made_up(), permutations=9).save(folder / "analysis.json")
    shutil.copytree(tiny_olmoe_folder, folder / "tiny")
    return folder


@pytest.fixture
def kitchen(run: Run, tmp_path: Path, pantry: Path) -> Path:
    """Return a copy of the pantry, which is the working folder."""
    shutil.copytree(pantry, tmp_path, dirs_exist_ok=True)
    return tmp_path


def assert_one_line(finished: CompletedProcess[str], message: str) -> None:
    assert finished.returncode in {1, 2}
    assert finished.stdout == ""
    assert finished.stderr.startswith("error: ")
    assert finished.stderr.count("\n") == 1
    assert "Traceback" not in finished.stderr
    assert message in finished.stderr


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_one_line_and_no_file_is_touched(
    run: Run, kitchen: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    prepare, command, message = CASES[case]
    if prepare is not None:
        prepare()
    before = contents(kitchen)
    assert_one_line(run(*command), message)
    assert contents(kitchen) == before


WRITERS: dict[str, tuple[object, ...]] = {
    "capture": ("capture", "--prompts", "prompts", "--model", "tiny", "--out"),
    "analyze": ("analyze", "good.npz", "--permutations", "9", "--out"),
    "plot": ("plot", "good.npz", "--similarity", "--out"),
    "merge": ("merge", "good.npz", "third.npz", "--out"),
    "place": ("place", "good.npz", "--devices", "2", "--for", "eplb", "--out"),
}


@pytest.mark.parametrize("command", WRITERS)
def test_a_full_disk_leaves_the_earlier_result(
    run: Run, kitchen: Path, made_up: Callable[..., Signatures], command: str
) -> None:
    made_up(seed=3).save("third.npz")
    before = contents(kitchen)
    with full_disk(200):
        finished = run(*WRITERS[command], "x.png" if command == "plot" else "m.npz")
    finished.stderr = finished.stderr.removeprefix("read analysis.json: the matrix is computed with its options\n")
    # The journal of a capture is SQLite's, which does not say why it could not write.
    assert_one_line(finished, "could not be written" + ("" if command == "capture" else ": File too large"))
    assert contents(kitchen) == before


@contextmanager
def unprivileged(folder: Path) -> Iterator[None]:
    """Nobody may write into `folder`; root, whom no permission stops, becomes somebody else meanwhile."""
    folder.chmod(0o555)
    for name in COMMANDS:  # somebody else may not be allowed to read the package where the tests run
        function_of(name)
    if os.geteuid() == 0:
        os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        if os.getresuid()[2] == 0:
            os.setresuid(0, 0, 0)
        folder.chmod(0o755)


@pytest.fixture
def reachable_folder() -> Iterator[Path]:
    """Return a folder whose parents anybody may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize("command", WRITERS)
def test_a_folder_that_may_not_be_written_to_is_refused_before_the_work(
    run: Run, kitchen: Path, reachable_folder: Path, command: str
) -> None:
    """Before: in a folder that holds none of what these commands read."""
    with unprivileged(reachable_folder):
        finished = run(*WRITERS[command], reachable_folder / "x.png")
    assert_one_line(finished, f"no permission to write in {reachable_folder}")


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (("info", "s.npz"), "s.npz' is not readable"),
        (("capture", "--prompts", "p.txt"), "p.txt could not be read: Permission denied"),
        (("info", "a.json"), "a.json' is not readable"),
    ],
)
def test_a_file_that_may_not_be_read_is_named(
    run: Run, kitchen: Path, reachable_folder: Path, command: tuple[str, ...], problem: str
) -> None:
    *arguments, name = command
    file = reachable_folder / name
    write(str(file), "x")
    file.chmod(0)
    os.chdir(reachable_folder)
    out = ("--out", "/tmp/never-written.npz") if command[0] == "capture" else ()
    with unprivileged(reachable_folder):
        finished = run(*arguments, file, *out)
    assert_one_line(finished, problem)


def test_a_folder_that_may_not_be_entered_is_named(run: Run, kitchen: Path, reachable_folder: Path) -> None:
    closed = reachable_folder / "closed"
    closed.mkdir()
    closed.chmod(0)
    with unprivileged(reachable_folder):
        finished = run("analyze", "good.npz", "--out", closed / "a.json")
    assert_one_line(finished, f"{closed / 'a.json'} cannot be written: Permission denied")
