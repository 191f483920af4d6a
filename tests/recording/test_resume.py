"""A capture that is killed, whenever, goes on and gives the very files of one that was not."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moexray.engines.transformers.engine import TransformersEngine
from moexray.errors import CaptureError, MoexrayError, OutOfMemory
from moexray.prompts import Prompt

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


@pytest.mark.parametrize(
    "wanted", [pytest.param(5, marks=pytest.mark.slow), pytest.param(30, marks=pytest.mark.nightly)]
)
def test_captures_killed_at_random_moments_end_as_one_that_was_not(
    tmp_path: Path, tiny_olmoe_folder: str, undisturbed: dict[str, bytes], wanted: int
) -> None:
    command = [sys.executable, killing.__file__, str(tmp_path), tiny_olmoe_folder, str(wanted)]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    kills = [int((folder / "kills").read_text()) for folder in tmp_path.iterdir() if folder.is_dir()]
    assert sum(kills) >= wanted
    assert max(kills) > 1, "no capture was killed while it went on: nothing of that is tested"
    for folder in tmp_path.iterdir():
        if folder.is_dir():
            assert {name: content for name, content in contents(folder).items() if name != "kills"} == undisturbed


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
        ({"batch_tokens": 401}, "`batch_tokens` 400 and not 401"),
        ({"dtype": "float64"}, "`dtype` 'float32' and not 'float64'"),
        ({"temperature": 0.5}, "`temperature` 0.0 and not 0.5"),
        ({"stop_at_eos": False}, "`stop_at_eos` True and not False"),
        ({"record": ()}, r"`record` \['coselection', 'trace'\] and not \[\]"),
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


def test_weights_that_changed_meanwhile_are_refused(unfinished: Path, tiny_olmoe_folder: str) -> None:
    weights = Path(tiny_olmoe_folder) / "model.safetensors"
    weights.touch()
    with pytest.raises(CaptureError, match="another checkpoint of that name"):
        run(unfinished, tiny_olmoe_folder)


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
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        with pytest.raises(MoexrayError, match="could not be written"):
            run(tmp_path, tiny_olmoe_folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
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
    """In float64, where batches cannot matter."""
    (tmp_path / "plain").mkdir()
    (tmp_path / "halved").mkdir()
    run(tmp_path / "plain", tiny_olmoe_folder, dtype="float64")
    monkeypatch.setattr(TransformersEngine, "run", holding(3))
    run(tmp_path / "halved", tiny_olmoe_folder, dtype="float64")
    assert contents(tmp_path / "halved") == contents(tmp_path / "plain")


def test_not_even_one_prompt_that_fits_is_one_sentence(
    tmp_path: Path, tiny_olmoe_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TransformersEngine, "run", holding(0))
    with pytest.raises(CaptureError, match="not even one prompt at a time fits into memory"):
        run(tmp_path, tiny_olmoe_folder)
