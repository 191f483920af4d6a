"""Files beside the signatures belong to one capture each."""

from pathlib import Path

import numpy as np
import pytest

from moexray.errors import CaptureError
from moexray.files import find_companion
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.recording.capture import capture_with
from moexray.recording.recorders.trace import TRACE
from moexray.signatures import Signatures
from moexray.trace import Trace

from .made_engine import MadeEngine

RECORD = ("trace", "coselection")


def record(out: Path, text: str) -> Signatures:
    return capture_with(MadeEngine(), [Prompt(text, "a", "p")], Generation(max_new_tokens=2), out=out, record=RECORD)


def trace_of(signatures: Path) -> Trace:
    found = find_companion(signatures, TRACE.suffix)
    assert found is not None
    return Trace.open(found, Signatures.open(signatures))


def test_captures_whose_names_differ_after_a_dot_have_a_trace_each(tmp_path: Path) -> None:
    texts = {"t0.5": "abc", "t0.7": "xyzw", "olmoe.v1.npz": "h"}
    for name, text in texts.items():
        record(tmp_path / name, text)
    for name, text in texts.items():
        (block,) = trace_of(tmp_path / name).blocks()
        assert block.token_ids.tolist()[: len(text)] == [ord(letter) for letter in text]
    names = {file.name for file in tmp_path.iterdir()}
    assert {"t0.5.coselection.npz", "t0.7.coselection.npz", "olmoe.v1.coselection.npz"} <= names
    assert len(names) == 9


def test_the_trace_of_another_capture_is_not_replaced(tmp_path: Path) -> None:
    """The names run and run.npz differ, but those of their traces do not."""
    record(tmp_path / "run.npz", "abc")
    before = (tmp_path / "run.trace.parquet").read_bytes()
    with pytest.raises(CaptureError, match=r"run\.trace\.parquet may belong to .*run\.npz"):
        record(tmp_path / "run", "xyz")
    assert (tmp_path / "run.trace.parquet").read_bytes() == before
    record(tmp_path / "run.npz", "xyz")  # its own is
    assert (tmp_path / "run.trace.parquet").read_bytes() != before


def test_a_capture_writes_where_a_link_leads_and_keeps_its_journal_there(tmp_path: Path) -> None:
    """It goes on by whichever of the names it is called."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "out.npz").symlink_to(Path("disk") / "real.npz")
    engine = MadeEngine("own", stop_after=1)
    prompts = [Prompt("abc", "a", "p"), Prompt("defg", "a", "q")]
    with pytest.raises(KeyboardInterrupt):
        capture_with(engine, prompts, out=tmp_path / "out.npz")
    assert (tmp_path / "disk" / "real.npz.journal").exists()
    engine = MadeEngine("own")
    found = capture_with(engine, prompts, out=tmp_path / "disk" / "real.npz")
    assert engine.ran == [["q"]]
    assert (tmp_path / "out.npz").is_symlink()
    np.testing.assert_array_equal(Signatures.open(tmp_path / "out.npz").counts, found.counts)
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["disk", "out.npz", "real.npz"]
