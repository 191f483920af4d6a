"""`moexray plot`: every figure there is, in the three formats."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from moexray.signatures import Signatures
from moexray.views.figures.listing import FIGURES

Run = Callable[..., CompletedProcess[str]]

SIGNS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.mark.parametrize("format", SIGNS)
def test_all_draws_every_figure_into_a_folder(
    run: Run, made_up: Callable[..., Signatures], tmp_path: Path, format: str
) -> None:
    made_up().save(tmp_path / "signatures.npz")
    (tmp_path / "figures").mkdir()
    finished = run("plot", "--all", "--out", "figures", "--format", format)
    assert (finished.returncode, finished.stderr) == (0, "")
    written = {path.name: path.read_bytes()[:5] for path in (tmp_path / "figures").iterdir()}
    assert set(written) == {f"{name}.{format}" for name in FIGURES}
    assert all(head.startswith(SIGNS[format]) for head in written.values())
    assert finished.stdout.splitlines() == [f"wrote figures/{name}.{format}" for name in FIGURES]


@pytest.mark.parametrize("name", FIGURES)
def test_each_figure_is_asked_for_by_its_name(
    run: Run, made_up: Callable[..., Signatures], tmp_path: Path, name: str
) -> None:
    made_up().save(tmp_path / "signatures.npz")
    assert run("plot", f"--{name}").stdout == f"wrote {name}.png\n"
    assert (tmp_path / f"{name}.png").read_bytes().startswith(SIGNS["png"])


def test_one_figure_may_be_named_as_a_file(run: Run, made_up: Callable[..., Signatures], tmp_path: Path) -> None:
    made_up().save(tmp_path / "signatures.npz")
    assert run("plot", "--load", "--out", "balance.pdf", "--phase", "prompt").stdout == "wrote balance.pdf\n"
    assert (tmp_path / "balance.pdf").read_bytes().startswith(SIGNS["pdf"])


def test_token_identity_is_drawn_where_there_is_a_trace(
    run: Run, write_trace: Callable[..., Signatures], tmp_path: Path
) -> None:
    write_trace(tmp_path / "trace.parquet").save(tmp_path / "signatures.npz")
    assert run("plot", "--tokens", "--trace", "trace.parquet").stdout == "wrote tokens.png\n"
    assert (tmp_path / "tokens.png").read_bytes().startswith(SIGNS["png"])
    assert run("plot", "--all", "--trace", "trace.parquet").stdout.splitlines()[-1] == "wrote tokens.png"
    without = run("plot", "--tokens")
    assert without.returncode == 2
    assert "moexray capture --trace" in " ".join(without.stderr.split())
