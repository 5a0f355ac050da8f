from __future__ import annotations

import os
from pathlib import Path

import pytest

from hpcli.errors import RunInUseError
from hpcli.run_dir.files import Lock, is_locked, point_link, write_atomic


def test_a_file_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"torn")
    assert path.read_bytes() == b"new"


def test_file_is_synced_before_it_is_renamed_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(
        os, "fsync", lambda fd: (calls.append("sync " + Path(f"/proc/self/fd/{fd}").readlink().name), fsync(fd))[1]
    )
    monkeypatch.setattr(Path, "replace", lambda self, to: (calls.append("rename"), replace(self, to))[1])
    write_atomic(tmp_path / "file", b"data")
    assert calls == ["sync .file.tmp", "rename", f"sync {tmp_path.name}"]


def test_one_process_holds_the_lock(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    lock = Lock(path)
    child = os.fork()
    if child == 0:
        try:
            held = is_locked(path)
            Lock(path)
        except RunInUseError as error:
            os._exit(error.exit_code if held else 1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 8
    lock.release()
    assert not is_locked(path)
    Lock(path).release()
    assert not is_locked(tmp_path / "nothing")


def test_links_move_and_their_absence_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        point_link(tmp_path / "latest", tmp_path / name)
        assert (tmp_path / "latest").resolve() == tmp_path / name
    monkeypatch.setattr(Path, "symlink_to", lambda *_: (_ for _ in ()).throw(OSError(1, "no links here")))
    point_link(tmp_path / "latest", tmp_path / "one")
    assert (tmp_path / "latest").resolve() == tmp_path / "two"
