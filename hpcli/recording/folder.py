"""A run folder, to read: its config, how it stands, its tables and arrays, and the runs within it. No torch."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hpcli.config import Config, differing_keys, read_config
from hpcli.errors import CheckpointError, ConfigError, UsageError
from hpcli.files import write_atomic
from hpcli.recording.csv_text import read_rows
from hpcli.recording.recorder import Arrays
from hpcli.recording.rows import R
from hpcli.recording.seal import check_file
from hpcli.recording.status import Standing, read_standing
from hpcli.states import RunStatus

CHILDREN = "trials"
MOVES = "data.root"
"""A key that may be changed: what lies there is compared with what the run was trained on."""


class Folder:
    """The contents of a run folder. Each is read when it is used."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def config(self) -> Config:
        """What the run was asked to do.

        Raises:
            UsageError: not a run folder.
            CheckpointError: config.yaml is damaged, or is not what the run was asked; the key is named.
        """
        standing, config = self.standing, self.written_config
        assert standing is not None
        if standing.replaced is not None and not _changed_keys(config, standing.replaced):
            return Config.model_validate(standing.config)  # it was killed before the config was written
        for key in _changed_keys(config, standing.config):
            file = self.path / "config.yaml"
            raise CheckpointError(
                f"{file}: {key} is not what the run was asked; put it back, extend the run by --resume and options, or "
                f"start a new one by -c {file}"
            )
        return config

    @property
    def written_config(self) -> Config:
        """What config.yaml says.

        Raises:
            UsageError: not a run folder.
            CheckpointError: it is damaged.
        """
        file = self.path / "config.yaml"
        if not (self.path / "status.json").exists():
            raise no_run(self.path, "status.json")
        try:
            return read_config(file)
        except ConfigError as error:
            advice = "restore it, or start anew"
            raise CheckpointError(f"{file}: damaged ({error.faults[0]}); {advice}") from None

    @property
    def standing(self) -> Standing | None:
        """What `status.json` says; None: there is none.

        Raises:
            CheckpointError: damaged, or a folder of another format.
        """
        return read_standing(self.path)

    @property
    def status(self) -> RunStatus:
        """How the run stands."""
        standing = self.standing
        return RunStatus.CRASHED if standing is None else standing.status

    @property
    def seconds(self) -> float | None:
        """How long the run took, all processes together."""
        standing = self.standing
        return None if standing is None else standing.seconds

    def _sealed(self) -> Mapping[str, str]:
        """SHA-256 of its files, of a run that has ended."""
        standing = self.standing
        return {} if standing is None else standing.files

    def rows(self, kind: type[R]) -> list[R]:
        """All rows of a table; none where there is no such file.

        Raises:
            CheckpointError: the file holds something else, or something else than when the run ended.
        """
        path = self.path / f"{kind.table}.csv"
        rows = read_rows(path, kind)
        check_file(path, self._sealed())
        return rows

    def arrays(self, name: str) -> Arrays | None:
        """Arrays that were kept under a name.

        Raises:
            CheckpointError: the file is damaged.
        """
        path = self.path / f"{name}.npz"
        if not path.exists():
            return None
        try:
            with np.load(
                io.BytesIO(path.read_bytes()), allow_pickle=False
            ) as stored:  # numpy leaves damaged files open
                found = {key: stored[key] for key in stored.files}
        except Exception as error:  # numpy and zlib raise whatever a damaged archive leads them to
            raise CheckpointError(f"{path}: damaged ({type(error).__name__}); delete it, or start anew") from None
        check_file(path, self._sealed())
        return found

    def find_child(self, key: str) -> Folder | None:
        """A run within this one; None: it has not begun."""
        path = self.path / CHILDREN / key
        return Folder(path) if (path / "config.yaml").is_file() else None

    def find_step(self, name: str) -> Folder | None:
        """A step of this run that is a run of its own; None: it has not begun."""
        path = self.path / name
        return Folder(path) if (path / "config.yaml").is_file() else None


def no_run(path: Path, lacks: str) -> UsageError:
    """The error for a path where no run lies: nothing does, or something that lacks a file which every run has."""
    if not path.exists():
        return UsageError(f"{path}: no such run folder; hpcli runs DIR lists those in a folder")
    return UsageError(f"{path}: not a run folder (it has no {lacks})")


def _changed_keys(config: Config, asked: Mapping[str, object] | None) -> list[str]:
    """Keys that are not what a run was asked, but for where its data are."""
    if asked is None:
        return []
    try:
        before = Config.model_validate(asked)
    except ValueError:
        return ["a key"]
    return [key for key in differing_keys(config, before) if key != MOVES]


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write arrays as an `.npz`, whole and durably."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_atomic(path, buffer.getvalue())
