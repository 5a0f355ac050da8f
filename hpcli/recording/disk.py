"""Recording on disk: a run folder, new or to go on with, and the runs within it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpcli.config import Config, differing_keys, with_overrides
from hpcli.config.code import resuming
from hpcli.config.scope import Scope
from hpcli.errors import CheckpointError, HpcliWarning, UsageError
from hpcli.files import check_free, make_dated, make_new, point_link, storing, write_atomic
from hpcli.recording.checkpoints import METADATA
from hpcli.recording.child import ChildFolder
from hpcli.recording.failed_start import clear_failed_start
from hpcli.recording.folder import CHILDREN, MOVES, Folder
from hpcli.recording.folder_recorder import FolderRecorder
from hpcli.recording.glyphs import glyphs_in_a_line
from hpcli.recording.recorder import State
from hpcli.recording.seal import check_seal
from hpcli.recording.status import LOCK
from hpcli.states import RunStatus

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

RUNS = Path("runs")
RESUMED = ("train", "sweep")
"""Commands that go on with a run, also under longer names; the others run it again."""


class DiskRecorder(FolderRecorder):
    """A run folder. Entering takes its lock and the signals, leaving writes how it ended."""

    _before: Config | None = None
    """The folder's config as it was read, of a run that is gone on with."""

    @classmethod
    def create(cls, command: str, config: Config, out: Path | None = None) -> DiskRecorder:
        """Make a new folder, `out` or one named by command, data and time under `runs/`.

        Raises:
            UsageError: `out` exists already, and is neither empty nor a start that failed; nothing in it is touched.
        """

        def fill(folder: Path) -> None:
            """What a run folder has from the first moment on."""
            first = cls(folder, command, config, resumed=False)
            first._note(RunStatus.CREATED)
            first._write_config()

        if out:
            clear_failed_start(out)
        name = f"{command}-{config.data.name.replace(':', '-')}"
        path = make_new(out, fill) if out else make_dated(RUNS, name, fill)
        if out is None:
            point_link(RUNS / "latest", path)
        return cls(path, command, config, resumed=False)

    @classmethod
    def reopen(cls, command: str, path: Path, config: Config, *, again: bool = False) -> DiskRecorder:
        """Go on with an existing folder. A config that asks for more of the same extends it, even when it is finished.

        Args:
            command: whose run it is.
            path: the folder.
            config: the folder's, or one that differs in keys that may be extended, or in `data.root`, where the images
                are that it has written down: the recorder keeps the old place until it is told to `adopt` the new one.
            again: go through it even when it is finished and nothing more is asked.

        Raises:
            UsageError: not a run folder, or another command's.
            CheckpointError: `config` is not the folder's, or the folder is damaged or of another format.
        """
        folder = Folder(path)
        before, standing = folder.config, folder.standing
        if standing is not None and standing.command != command:
            raise UsageError(
                f"{path}: a run of {standing.command}, not of {command}; {_way_on(standing.command, path, before)}"
            )
        more = differing_keys(before, config, of=Scope.EXTENDS)
        if _knows_its_data(folder) and config.data.root != before.data.root:  # what lies there has to be the same
            config = with_overrides(config, {MOVES: before.data.root})
        keys = ", ".join(key for key in differing_keys(before, config) if key not in more)
        if keys:
            raise CheckpointError(f"{path}: its config differs in {keys}; {_instead(keys, path, config)}")
        run = cls(path, command, config, resumed=True)
        written = folder.written_config  # the one before, where an extension was cut off
        run._before, run._replaced = before, written if differing_keys(written, config) else None
        run._extends = run._replaced is not None or again
        return run

    def adopt(self, config: Config) -> None:
        """Write down a config in place of the folder's: its data, known to be the same, have another place now."""
        self.config = self._before = config
        self._note(self.status)
        self._write_config()

    def check(self) -> None:
        """Check that the run can be gone on with, writing nothing.

        Raises:
            RunInUseError: another process holds it.
            CheckpointError: a file has been changed.
        """
        check_free(self.path / LOCK)
        self._look()

    def _look(self) -> None:
        """Compare what lies in the folder with what it was when the run ended.

        Raises:
            CheckpointError: another process has gone on with the run meanwhile, or a file has been changed.
        """
        if self._before is None:
            return
        if differing_keys(self.folder.config, self._before):
            raise CheckpointError(f"{self.path}: another process has just changed it; run the command again")
        self._begin_after(self.folder.standing)
        check_seal(self.path, self._sealed)

    @property
    def children_folder(self) -> Path:
        """Where the runs within this one lie."""
        return self.path / CHILDREN

    def child(self, key: str, config: Config) -> ChildFolder:
        """A run folder within this one: the one of that key, if there is one."""
        return ChildFolder.of(self.children_folder / key, config, self.signals)

    def step_of(self, name: str, command: str, config: Config) -> DiskRecorder:
        """The run folder `name` within this one: new, or gone on with."""
        path = self.path / name
        own = self.reopen(command, path, config) if self.find_step(name) else self.create(command, config, path)
        own.signals = self.signals
        return own

    def keep_text(self, name: str, text: str) -> None:
        """Write a text as a file."""
        write_atomic(self.path / name, text.encode())

    def is_due(self, *, ends_epoch: bool, is_best: bool) -> bool:
        """Whether to take a state now: of the best epoch so far always, else as time allows."""
        return is_best or super().is_due(ends_epoch=ends_epoch, is_best=is_best)

    def save(self, state: State, *, step: int, labels: Sequence[str] = (), valid_loss: float | None = None) -> None:
        """Save a checkpoint; that of a best epoch is held in memory until one is due, for it may not stay the best."""
        only_best = not (labels or self.should_stop() or self.checkpoints.is_due(ends_epoch=True))
        if only_best and valid_loss is not None:
            tables, hashes = self.files.sizes(), self.files.hashes()
            self.checkpoints.hold(state, step=step, tables=tables, hashes=hashes, valid_loss=valid_loss)
        else:
            super().save(state, step=step, labels=labels, valid_loss=valid_loss)

    def finish(self, status: RunStatus, summary: Mapping[str, object]) -> dict[str, object]:
        """Write the best epoch's checkpoint, if it is held still, and the summary."""
        self.checkpoints.write_held()
        return super().finish(status, summary)

    def keep_weights(self, weights: Mapping[str, Tensor], about: Mapping[str, object] | None = None) -> None:
        """Save the network's weights alone, as `model.safetensors`, for other programs; `about` in its metadata."""
        from safetensors.torch import save

        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
        metadata = None if about is None else {METADATA: json.dumps(about)}  # one entry: several have no fixed order
        write_atomic(self.path / "model.safetensors", save(tensors, metadata))

    def keep_figure(self, name: str, figure: Figure) -> None:
        """Save a figure as `<name>.png`. One that fails is a warning: its numbers are in the CSV."""
        with glyphs_in_a_line(f"{name}.png"):
            try:
                figure.savefig(self.path / f"{name}.png")
            except Exception as error:
                text = f"{name}.png was not drawn: {error}; its numbers are in the CSV"
                warnings.warn(text, HpcliWarning, stacklevel=2)

    def drop_figures(self, names: Iterable[str]) -> None:
        """Remove `<name>.png` where it is there: drawn by an earlier process, of results that are others now."""
        with storing(self.path):
            for name in names:
                (self.path / f"{name}.png").unlink(missing_ok=True)


def _knows_its_data(folder: Folder) -> bool:
    """Whether a run has written down what its images are. Runs within a sweep are known by their configs instead."""
    return (folder.path / "data.csv").is_file() and not (folder.path / CHILDREN).is_dir()


def _way_on(command: str, path: Path, config: Config) -> str:
    """What can be done with a run of another command."""
    if command.partition("-")[0] in RESUMED:
        return f"go on with it by {resuming(command, path, config)}"
    return f"hpcli {command} -c {path}/config.yaml runs it again"


def _instead(keys: str, path: Path, config: Config) -> str:
    """What works where a run cannot be gone on with by another config."""
    if keys != "train.epochs":
        return "leave these out, or start a new run"
    return (
        f"another length is another schedule: hpcli train -c {path}/config.yaml --epochs {config.train.epochs} trains "
        f"a new run of that length, --init {path}:last goes on from its weights as one"
    )
