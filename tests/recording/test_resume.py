"""A capture that is killed, whenever, goes on and gives the very files of one that was not."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from moexray.engines.transformers.engine import TransformersEngine
from moexray.errors import CaptureError, MoexrayError, OutOfMemory
from moexray.merging import merge
from moexray.prompts import Prompt
from moexray.recording.capture import capture
from moexray.signatures import Signatures

from ..full_disk import full_disk
from . import killing
from .killing import PROMPTS, run

FILES = ["out.coselection.npz", "out.npz", "out.trace.parquet"]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, tiny_olmoe_folder: str) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    run(folder, tiny_olmoe_folder)
    found = contents(folder)
    assert list(found) == FILES
    return found


def killed(root: Path, model: str, kills: int, *batch_tokens: int) -> list[Path]:
    """Return the folders of captures that were killed so many times in all, and ended."""
    command = [sys.executable, killing.__file__, root, model, kills, *batch_tokens]
    subprocess.run(list(map(str, command)), check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    folders = [folder for folder in root.iterdir() if folder.is_dir()]
    lives = [int((folder / "kills").read_text()) for folder in folders]
    assert sum(lives) >= kills
    assert max(lives) > 1, "no capture was killed while it went on: nothing of that is tested"
    for folder in folders:
        (folder / "kills").unlink()
    return folders


@pytest.mark.parametrize(
    "wanted", [pytest.param(5, marks=pytest.mark.slow), pytest.param(30, marks=pytest.mark.nightly)]
)
def test_captures_killed_at_random_moments_end_as_one_that_was_not(
    tmp_path: Path, tiny_olmoe_folder: str, undisturbed: dict[str, bytes], wanted: int
) -> None:
    for folder in killed(tmp_path, tiny_olmoe_folder, wanted, 400):
        assert contents(folder) == undisturbed


def recorded(folder: Path) -> dict[str, Any]:
    """Return all that a capture recorded, but for what the shape of a batch rounds: weights, scores, their order."""
    signatures, trace = Signatures.load(folder / "out.npz"), parquet.read_table(folder / "out.trace.parquet")
    with np.load(folder / "out.coselection.npz") as coselection:
        arrays = {name: coselection[name].tolist() for name in coselection.files}
    return {
        **arrays,
        "counts": signatures.counts.tolist(),
        "tokens": signatures.tokens.tolist(),
        "outputs": signatures.prompts.outputs,
        "experts": [sorted(experts) for experts in trace["experts"].to_pylist()],
        "trace": trace.drop_columns(["gate_weights", "scores", "experts"]).to_pydict(),
    }


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        pytest.param("tiny", 3, marks=pytest.mark.slow),
        pytest.param("tiny", 30, marks=pytest.mark.nightly),
        pytest.param("scale", 30, marks=pytest.mark.nightly),
    ],
)
def test_captures_that_go_on_in_other_batches_record_the_same(
    tmp_path: Path, tiny_olmoe_folder: str, model: str, wanted: int
) -> None:
    """In float32, whatever batches were planned before each kill."""
    folders = killed(tmp_path, tiny_olmoe_folder if model == "tiny" else model, wanted, 400, 90, 2000)
    expected = recorded(tmp_path / "whole")
    for folder in folders:
        assert sorted(contents(folder)) == FILES
        assert recorded(folder) == expected
    used = [Signatures.open(folder / "out.npz").meta["batch_tokens"] for folder in folders]
    assert any(isinstance(one, list) for one in used), "no capture went on in other batches: nothing of that is tested"


def test_one_that_dies_while_it_writes_its_files_goes_on(
    tmp_path: Path, tiny_olmoe_folder: str, undisturbed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a killed process leaves half written is under a name that nobody reads, and is gone in the end."""
    (tmp_path / ".out.999999.partial.npz").write_bytes(b"half of a file")
    (tmp_path / ".out.trace.999999.partial.parquet").write_bytes(b"half of a file")
    with monkeypatch.context() as patch:
        patch.setattr("moexray.files.os.fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, tiny_olmoe_folder)
    assert "out.npz" not in contents(tmp_path)
    run(tmp_path, tiny_olmoe_folder)
    assert contents(tmp_path) == undisturbed


def test_what_was_done_is_not_done_again(
    tmp_path: Path, tiny_olmoe_folder: str, undisturbed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor told anew: progress begins where it was."""
    ran: list[str] = []
    plain = TransformersEngine.run

    def failing(self: TransformersEngine, prompts: list[Prompt], *args: Any, **options: Any) -> Any:
        if len(ran) >= 40 and not (tmp_path / "failed").exists():
            (tmp_path / "failed").touch()
            raise KeyboardInterrupt
        ran.extend(prompt.id for prompt in prompts)
        return plain(self, prompts, *args, **options)

    monkeypatch.setattr(TransformersEngine, "run", failing)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, tiny_olmoe_folder)
    done, told = len(ran), []
    run(tmp_path, tiny_olmoe_folder, on_progress=lambda report: told.append(report.prompts))
    assert sorted(ran) == sorted(prompt.id for prompt in PROMPTS)
    running = told[told.index(done) :]
    assert (running[0], running[-1]) == (done, len(PROMPTS))
    assert min(running) == done
    (tmp_path / "failed").unlink()
    assert contents(tmp_path) == undisturbed


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.fixture
def unfinished(tmp_path: Path, tiny_olmoe_folder: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder in which a capture has begun."""
    with monkeypatch.context() as patch:
        patch.setattr(TransformersEngine, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, tiny_olmoe_folder)
    return tmp_path


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"max_new_tokens": 5}, "`max_new_tokens` 3 and not 5"),
        ({"dtype": "float64"}, "`dtype` 'float32' and not 'float64'"),
        ({"temperature": 0.5}, "`temperature` 0.0 and not 0.5"),
        ({"stop_at_eos": False}, "`stop_at_eos` True and not False"),
        ({"record": ()}, r"`record` \['coselection', 'scores', 'trace'\] and not \[\]"),
    ],
)
def test_a_capture_of_something_else_is_refused_and_the_difference_named(
    unfinished: Path, tiny_olmoe_folder: str, options: dict[str, object], difference: str
) -> None:
    before = contents(unfinished)
    with pytest.raises(CaptureError, match=difference):
        run(unfinished, tiny_olmoe_folder, **options)
    assert contents(unfinished) == before


@pytest.mark.parametrize(
    "others", [PROMPTS[1:], PROMPTS[::-1], [Prompt("another text", "a", "p0"), *PROMPTS[1:]]], ids=len
)
def test_other_prompts_are_refused(
    unfinished: Path, tiny_olmoe_folder: str, monkeypatch: pytest.MonkeyPatch, others: list[Prompt]
) -> None:
    monkeypatch.setattr(killing, "PROMPTS", others)
    with pytest.raises(CaptureError, match=r"with (other prompts|number of prompts 96 and not 95)"):
        run(unfinished, tiny_olmoe_folder)


@pytest.fixture
def copy_of_the_model(tmp_path_factory: pytest.TempPathFactory, tiny_olmoe_folder: str) -> Path:
    """Return a copy of the checkpoint, which has a chat template and may be changed."""
    folder = tmp_path_factory.mktemp("copies") / "model"
    shutil.copytree(tiny_olmoe_folder, folder)
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    return folder


def stopped(folder: Path, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin a capture that is stopped before anything has run."""
    with monkeypatch.context() as patch:
        patch.setattr(TransformersEngine, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(folder, model)


def one_number_changed(weights: Path) -> None:
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("model.safetensors", one_number_changed),
        ("chat_template.jinja", lambda file: file.write_text("Now: {{ messages[0]['content'] }}")),
        ("tokenizer_config.json", lambda file: file.write_text(file.read_text().replace("{", '{"new": 1, ', 1))),
        ("generation_config.json", lambda file: file.write_text('{"no_repeat_ngram_size": 3}')),
        ("added.model", lambda file: file.write_text("abc")),
        ("added.py", lambda file: file.write_text("1")),
    ],
)
def test_a_checkpoint_that_changed_meanwhile_is_refused_and_what_changed_is_named(
    tmp_path: Path, copy_of_the_model: Path, monkeypatch: pytest.MonkeyPatch, name: str, change: Callable[[Path], None]
) -> None:
    stopped(tmp_path, str(copy_of_the_model), monkeypatch)
    change(copy_of_the_model / name)
    part = {"model.safetensors": "weights", "chat_template.jinja": "chat_template"}.get(name, name)
    with pytest.raises(CaptureError, match=rf"another checkpoint of that name \(.*{part}.* changed\)"):
        run(tmp_path, str(copy_of_the_model))


def test_another_path_to_the_same_files_or_another_time_of_writing_goes_on(
    tmp_path: Path, copy_of_the_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy_of_the_model.parent)
    stopped(tmp_path, "./model", monkeypatch)
    for file in copy_of_the_model.iterdir():
        file.touch()
    assert len(run(tmp_path, str(copy_of_the_model))) == len(PROMPTS)


def test_another_model_is_refused_by_its_name(
    unfinished: Path, tiny_olmoe_folder: str, copy_of_the_model: Path
) -> None:
    one_number_changed(copy_of_the_model / "model.safetensors")
    with pytest.raises(CaptureError, match=f"`model` '{tiny_olmoe_folder}' and not '{copy_of_the_model}'"):
        run(unfinished, str(copy_of_the_model))


def test_a_template_gets_the_date_on_which_the_capture_began(
    tmp_path: Path, copy_of_the_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it is resumed on another day; the meta has it as the template had it."""
    template = "{{ strftime_now('%B') }}{{ messages[0]['content'] }}"
    (copy_of_the_model / "chat_template.jinja").write_text(template)
    stopped(tmp_path, str(copy_of_the_model), monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr("moexray.recording.batches.now", lambda: "2027-12-11T00:00:00+00:00")
        settings: dict[str, Any] = {"max_new_tokens": 3, "batch_tokens": 400, "dtype": "float32", "device": "cpu"}
        settings |= {"out": tmp_path / "out.npz", "record": killing.RECORD}
        found = capture(PROMPTS, model=str(copy_of_the_model), **settings)
    assert found.meta["template_date"] == "March"
    lengths = [len("March") + len(prompt.text) for prompt in PROMPTS]
    assert found.lengths("prompt").tolist() == lengths


def test_a_second_capture_into_the_same_file_is_refused_and_harms_nothing(
    tmp_path: Path, tiny_olmoe_folder: str, undisturbed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = TransformersEngine.run
    refused: list[str] = []

    def with_another_meanwhile(self: TransformersEngine, *args: Any, **options: Any) -> Any:
        with pytest.raises(CaptureError, match=r"another capture is writing .*out\.npz\.journal") as error:
            run(tmp_path, tiny_olmoe_folder)
        refused.append(str(error.value))
        return plain(self, *args, **options)

    monkeypatch.setattr(TransformersEngine, "run", with_another_meanwhile)
    run(tmp_path, tiny_olmoe_folder)
    assert refused
    assert contents(tmp_path) == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("size", [20_000, 60_000, 90_000])
def test_a_disk_that_fills_up_keeps_what_is_done(
    tmp_path: Path, tiny_olmoe_folder: str, undisturbed: dict[str, bytes], size: int
) -> None:
    """No file can grow beyond some size, as on a full disk; then there is room again."""
    with full_disk(size), pytest.raises(MoexrayError, match="could not be written"):
        run(tmp_path, tiny_olmoe_folder)
    assert "out.npz" not in contents(tmp_path)
    run(tmp_path, tiny_olmoe_folder)
    assert contents(tmp_path) == undisturbed


def holding(most: int) -> Callable[..., Any]:
    """Return the engine's run on a device that holds `most` prompts."""
    plain = TransformersEngine.run

    def small(self: TransformersEngine, prompts: list[Prompt], *args: Any, **options: Any) -> Any:
        if len(prompts) > most:
            raise OutOfMemory
        return plain(self, prompts, *args, **options)

    return small


@pytest.mark.slow
def test_a_batch_that_does_not_fit_is_halved_and_the_result_is_the_same(
    tmp_path: Path, tiny_olmoe_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float64, where batches cannot matter; the meta alone says what happened, also where the capture was killed."""
    (tmp_path / "plain").mkdir()
    (tmp_path / "halved").mkdir()
    run(tmp_path / "plain", tiny_olmoe_folder, dtype="float64")
    monkeypatch.setattr(TransformersEngine, "run", holding(3))
    run(tmp_path / "halved", tiny_olmoe_folder, dtype="float64")
    plain, halved = (contents(tmp_path / name) for name in ("plain", "halved"))
    assert {name for name in plain if plain[name] != halved[name]} == {"out.npz"}
    plain_file, halved_file = (Signatures.load(tmp_path / name / "out.npz") for name in ("plain", "halved"))
    np.testing.assert_array_equal(plain_file.counts, halved_file.counts)
    changed = {"created", "batches_halved"}
    assert halved_file.meta["batches_halved"] > 0
    assert {key: value for key, value in halved_file.meta.items() if key not in changed} == {
        key: value for key, value in plain_file.meta.items() if key not in changed
    }
    assert merge([plain_file.take([0, 1]), halved_file.take([2])]).meta["batches_halved"] is not None


def test_not_even_one_prompt_that_fits_is_one_sentence(
    tmp_path: Path, tiny_olmoe_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TransformersEngine, "run", holding(0))
    with pytest.raises(CaptureError, match="not even one prompt at a time fits into memory"):
        run(tmp_path, tiny_olmoe_folder)
