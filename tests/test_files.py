from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest

from hpcli.errors import RunInUseError, StorageError, UsageError
from hpcli.files import Lock, is_locked, make_dated, make_folders, make_new, point_link, write_atomic


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

    def synced(descriptor: int) -> None:
        calls.append("sync " + Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def renamed(self: Path, to: Path) -> Path:
        calls.append("rename")
        return replace(self, to)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
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

    def refuse(*_: object) -> None:
        raise OSError(1, "no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    point_link(tmp_path / "latest", tmp_path / "one")
    assert (tmp_path / "latest").resolve() == tmp_path / "two"


def test_a_folder_that_is_there_is_not_made_anew(tmp_path: Path) -> None:
    made = make_new(tmp_path / "deep/run", lambda folder: (folder / "thesis.txt").write_text("years of work"))
    with pytest.raises(UsageError, match=r"run: exists already; choose another$"):
        make_new(made, lambda _: None)
    assert [path.name for path in made.iterdir()] == ["thesis.txt"]


def test_a_folder_appears_with_its_files_or_not_at_all(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "status.json").touch()
        raise StorageError(28, "No space left on device", "config.yaml")

    for path in (tmp_path / "run", tmp_path / "deep/run"):
        with pytest.raises(StorageError):
            make_new(path, fail)
        assert list(path.parent.glob("*run*")) == list(path.parent.glob(".*")) == []


def test_an_empty_folder_is_taken_once(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    children = []
    for number in range(8):
        child = os.fork()
        if child == 0:
            try:
                make_new(tmp_path / "run", lambda folder, number=number: (folder / str(number)).touch())  # type: ignore[misc]
            except UsageError as error:
                os._exit(error.exit_code)
            os._exit(0)
        children.append(child)
    codes = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
    assert codes == [0] + [2] * 7
    assert len(list((tmp_path / "run").iterdir())) == 1


@pytest.mark.parametrize("kind", ["file", "link"])
def test_only_a_folder_is_taken(tmp_path: Path, kind: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "run").touch() if kind == "file" else (tmp_path / "run").symlink_to(tmp_path / "empty")
    with pytest.raises(UsageError, match="exists already"):
        make_new(tmp_path / "run", lambda _: None)


def test_new_folders_are_durable_in_those_they_lie_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    make_new(tmp_path / "runs/mine", lambda _: None)
    assert synced == [tmp_path.name, "runs"]
    make_folders(tmp_path / "runs/mine/trials/a")
    assert synced[2:] == ["trials", "mine"]


def test_only_a_lock_that_is_held_means_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = Lock(tmp_path / ".lock")
    assert is_locked(tmp_path / ".lock")
    with pytest.raises(RunInUseError):
        Lock(tmp_path / ".lock")
    lock.release()

    def without(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("hpcli.files.fcntl.lockf", without)
    with pytest.raises(StorageError, match=r"\.lock: No locks available"):
        Lock(tmp_path / ".lock")
    with pytest.raises(StorageError, match=r"\.lock: No such file or directory"):
        Lock(tmp_path / "none/.lock")


def test_folders_of_the_same_second_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpcli.files.time.strftime", lambda _: "20260101-000000")
    made = [make_dated(tmp_path / "runs", "train-digits", lambda folder: (folder / "x").touch()).name for _ in range(3)]
    assert made == [f"train-digits-20260101-000000{end}" for end in ("", "-2", "-3")]


def test_a_lock_that_another_process_looks_at_is_free(tmp_path: Path) -> None:
    """Who looks holds it for a moment; who wants it waits for so long."""
    path = tmp_path / ".lock"
    path.touch()
    waits, tells = os.pipe()
    child = os.fork()
    if not child:
        with path.open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            os.write(tells, b"x")
            time.sleep(0.015)
        os._exit(0)
    os.read(waits, 1)
    Lock(path).release()
    os.waitpid(child, 0)
    os.close(waits)
    os.close(tells)
