"""A result is written whole or not at all."""

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from moexray.errors import MoexrayError
from moexray.files import (
    check_writable,
    companion,
    find_companion,
    is_lfs_pointer,
    owner_of_companions,
    remove_partials,
    whole_file,
)


def test_a_block_that_succeeds_replaces_the_file(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    path.write_text("old")
    with whole_file(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    path.write_text("old")

    def fail() -> None:
        with whole_file(path) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_sentence_and_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    path.write_text("old")

    def fill() -> None:
        with whole_file(path) as partial:
            partial.write_text("half")
            raise OSError(28, os.strerror(28))

    with pytest.raises(MoexrayError, match="No space left on device"):
        fill()
    assert path.read_text() == "old"


def test_what_cannot_be_written_later_is_refused_now(tmp_path: Path) -> None:
    for folder in (tmp_path, Path(), Path(), Path("/"), Path("..")):
        with pytest.raises(MoexrayError, match="is a directory"):
            check_writable(folder)
    with pytest.raises(MoexrayError, match="is not a folder"):
        check_writable(tmp_path / "missing" / "out.json")


def make_device(path: Path) -> None:
    """Make a device like /dev/null; who may not make one gets a link to /dev/null, which he may not replace either."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        path.symlink_to("/dev/null")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


SPECIAL: dict[str, Callable[[Path], None]] = {
    "a device": make_device,
    "a pipe": os.mkfifo,
    "a socket": make_socket,
    "a directory": Path.mkdir,
}


@pytest.mark.parametrize("by_link", [False, True])
@pytest.mark.parametrize("kind", SPECIAL)
def test_what_is_no_ordinary_file_is_refused_and_stays_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, *, by_link: bool
) -> None:
    """A file that is renamed to it would take its place, for root even that of a device."""
    monkeypatch.chdir(tmp_path)  # names of sockets must be short
    SPECIAL[kind](Path("special"))
    path = Path("special")
    if by_link:
        path = Path("link")
        path.symlink_to("special")
    before = path.stat()
    with pytest.raises(MoexrayError, match=kind), whole_file(path) as partial:
        partial.write_text("new")
    assert os.path.samestat(path.stat(), before)
    assert path.is_symlink() == by_link


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path, *, there: bool) -> None:
    """Over two links and in another folder, also where nothing is there yet."""
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "real.json", tmp_path / "link.json"
    if there:
        target.write_text("old")
    (tmp_path / "far" / "between").symlink_to("real.json")
    link.symlink_to(Path("far") / "between")
    with whole_file(link) as partial:
        partial.write_text("new")
    assert link.is_symlink()
    assert (target.is_symlink(), target.read_text()) == (False, "new")
    assert sorted(file.name for file in (tmp_path / "far").iterdir()) == ["between", "real.json"]


def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "lost").symlink_to(Path("no") / "such" / "out.json")
    with pytest.raises(MoexrayError, match="leads back to itself"):
        check_writable(tmp_path / "loop")
    with pytest.raises(MoexrayError, match="is not a folder"):
        check_writable(tmp_path / "lost")


def test_a_name_that_leaves_no_room_for_a_temporary_one_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(MoexrayError, match="File name too long"):
        check_writable(tmp_path / f"{'x' * 250}.npz")


def test_only_a_files_own_partials_are_removed(tmp_path: Path) -> None:
    others = [".run.b.7.partial.npz", ".run.7.partial.json", ".run.x.partial.npz", ".run.7.partial", "run.npz"]
    for name in (*others, ".run.7.partial.npz"):
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to("run.npz")
    remove_partials(tmp_path / "link")
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([*others, "link"])


@pytest.mark.parametrize(
    ("signatures", "trace"),
    [
        ("run.npz", "run.trace.parquet"),
        ("run", "run.trace.parquet"),
        ("t0.5", "t0.5.trace.parquet"),
        ("t0.7.npz", "t0.7.trace.parquet"),
        ("OLMoE-1B-7B-0125.v1.NPZ", "OLMoE-1B-7B-0125.v1.trace.parquet"),
    ],
)
def test_a_companion_has_the_whole_name_of_its_signatures(signatures: str, trace: str) -> None:
    assert companion(Path("a.b") / signatures, "trace.parquet") == Path("a.b") / trace


def test_a_companion_is_found_under_its_name_before_an_earlier_one(tmp_path: Path) -> None:
    """An earlier name ended at the last dot."""
    assert find_companion(tmp_path / "t0.5", "trace.parquet") is None
    (tmp_path / "t0.trace.parquet").touch()
    assert find_companion(tmp_path / "t0.5", "trace.parquet") == tmp_path / "t0.trace.parquet"
    (tmp_path / "t0.5.trace.parquet").touch()
    assert find_companion(tmp_path / "t0.5", "trace.parquet") == tmp_path / "t0.5.trace.parquet"


def test_two_signatures_that_would_share_companions_know_of_each_other(tmp_path: Path) -> None:
    assert owner_of_companions(tmp_path / "run") is None
    (tmp_path / "run.npz").touch()
    assert owner_of_companions(tmp_path / "run") == tmp_path / "run.npz"
    assert owner_of_companions(tmp_path / "run.npz") is None


def test_a_pointer_of_git_lfs_is_known_by_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    for start, known in (
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", True),
        ("version https://hawser.github.com/spec/v1\n", True),
        ("version 1 of https://git-lfs.github.com/spec/v1", False),
        ("", False),
    ):
        path.write_text(start)
        assert is_lfs_pointer(path) is known
    assert not is_lfs_pointer(tmp_path)
    assert not is_lfs_pointer(tmp_path / "missing")
