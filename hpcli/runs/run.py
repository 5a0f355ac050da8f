"""An opened run folder: config, status, tables, result, weights, and the runs within it."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hpcli.commands import result_class
from hpcli.errors import CheckpointError
from hpcli.recording.folder import CHILDREN, Folder, no_run
from hpcli.recording.seal import check_file
from hpcli.results import Result, Summary
from hpcli.runs.weights import load_weights
from hpcli.states import Label

if TYPE_CHECKING:
    from torch import Tensor


class Run(Folder):
    """A run, finished or not, by its folder. `Run.open(path)` checks that it is one."""

    @classmethod
    def open(cls, path: Path | str) -> Run:
        """Open a run folder.

        Raises:
            UsageError: there is no run folder at `path`.
            CheckpointError: its status is damaged, or it is of another format, which is named.
        """
        run = cls(Path(path))
        if not (run.path / "config.yaml").is_file():
            raise no_run(run.path, "config.yaml")
        if run.standing is None:
            raise CheckpointError(f"{path}: a run folder of format 1, or none of hpcli's: it has no status.json")
        return run

    @property
    def command(self) -> str:
        """The command that made the run: `train`, `lr-find` and so on."""
        standing = self.standing
        assert standing is not None
        return standing.command

    @cached_property
    def result(self) -> Result:
        """The result that the experiment returned. For a run that goes on, the result so far."""
        return result_class(self.command).from_run(self)

    @property
    def summary(self) -> Summary | None:
        """`summary.json`; None: the run is not over.

        Raises:
            CheckpointError: it is damaged.
        """
        return self._json("summary.json", "delete it, and --resume writes it anew")

    @property
    def environment(self) -> Summary:
        """Versions, devices, commit and command line of the run.

        Raises:
            CheckpointError: `environment.json` is damaged.
        """
        return self._json("environment.json", "restore or delete it") or {}

    def _json(self, name: str, advice: str) -> Summary | None:
        path = self.path / name
        if not path.exists():
            return None
        try:
            found = dict(json.loads(path.read_bytes()))
        except (ValueError, TypeError, OSError) as error:
            raise CheckpointError(f"{path}: damaged ({error}); {advice}") from None
        check_file(path, self._sealed())
        return found

    @property
    def children(self) -> dict[str, Run]:
        """The runs within it, such as the trials of a sweep, by key."""
        folders = sorted((self.path / CHILDREN).glob("[!.]*/config.yaml"))
        return {file.parent.name: Run(file.parent) for file in folders}

    def find_step(self, name: str) -> Run | None:
        """A step of it that is a run of its own, such as the training of a tuning; None: it has not begun."""
        step = super().find_step(name)
        return None if step is None else Run(step.path)

    def weights(self, label: str = Label.LAST) -> dict[str, Tensor]:
        """The network's weights by name.

        Args:
            label: `last`; `best`, of the lowest validation loss; `epoch-0007`, `cycle-1`; or a file in the folder.

        Raises:
            CheckpointError: no such checkpoint, or a damaged one.
        """
        file = self.path / label
        return load_weights(file if file.is_file() else f"{self.path}:{label}")


def find_runs(folder: Path | str) -> list[Run]:
    """The runs that lie right in a folder, oldest first."""
    files = Path(folder).glob("[!.]*/status.json")  # a run that is being made begins with a dot
    runs = [Run(file.parent) for file in files if not file.parent.is_symlink()]
    return sorted(runs, key=lambda run: (run.path.stat().st_mtime_ns, run.path.name))
