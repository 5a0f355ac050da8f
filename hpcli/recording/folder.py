"""A run folder, to read: its config, how it stands, its tables and arrays, and the runs within it. No torch."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from hpcli.config import Config, read_config
from hpcli.errors import CheckpointError, UsageError
from hpcli.files import write_atomic
from hpcli.recording.csv_files import read_rows
from hpcli.recording.recorder import Arrays
from hpcli.recording.rows import R
from hpcli.recording.status import Standing, read_standing
from hpcli.states import RunStatus

CHILDREN = "trials"


class Folder:
    """The contents of a run folder. Each is read when it is used."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def config(self) -> Config:
        """What the run was asked to do.

        Raises:
            UsageError: not a run folder.
            ConfigError: its config is damaged.
        """
        if not (self.path / "config.yaml").is_file():
            raise UsageError(f"{self.path}: not a run folder (it has no config.yaml)")
        return read_config(self.path / "config.yaml")

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

    def rows(self, kind: type[R]) -> list[R]:
        """All rows of a table; none where there is no such file.

        Raises:
            CheckpointError: the file holds something else.
        """
        return read_rows(self.path / f"{kind.table}.csv", kind)

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
                return {key: stored[key] for key in stored.files}
        except Exception as error:  # numpy and zlib raise whatever a damaged archive leads them to
            raise CheckpointError(f"{path}: damaged ({type(error).__name__}); delete it, or start anew") from None

    def find_child(self, key: str) -> Folder | None:
        """A run within this one; None: it has not begun."""
        path = self.path / CHILDREN / key
        return Folder(path) if (path / "config.yaml").is_file() else None


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write arrays as an `.npz`, whole and durably."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_atomic(path, buffer.getvalue())
