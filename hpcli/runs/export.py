"""Training runs for other programs: those of a folder, of a sweep or of a tuning, as logs that a dashboard reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hpcli.config.varying import written
from hpcli.errors import DataError
from hpcli.recording.rows import Row
from hpcli.recording.tensorboard import Plain
from hpcli.results.train import Epoch, Step
from hpcli.runs.compare import TRAIN
from hpcli.runs.differing import MAIN, Values, values_of
from hpcli.runs.run import Run, find_runs


class Log(Protocol):
    """Where one run goes."""

    def add(self, row: Row) -> None:
        """Take a row."""

    def finish(self) -> None:
        """The run is over."""


@dataclass(frozen=True)
class Training:
    """A training run, and what it is called in a log."""

    name: str
    run: Run


def trainings(paths: Sequence[Path]) -> list[Training]:
    """The training runs of run folders: a run itself, the trials of a sweep, the trials and the training of a tuning.

    Raises:
        UsageError: a path is no run folder.
        CheckpointError: one is damaged.
        DataError: none of them has trained.
    """
    found = [each for path in paths for each in _within(Run.open(path), path.absolute().name)]
    if not found:
        raise DataError(f"{', '.join(map(str, paths))}: nothing to export; training runs have steps and epochs")
    return found


def export(found: Sequence[Training], log: Callable[[str, Mapping[str, Plain]], Log]) -> None:
    """Write training runs to logs, each whole: its settings, its steps, its epochs.

    Args:
        found: by `trainings`.
        log: `(name, settings)` of a run → where it goes; settings are keys with their values.
    """
    for each, values in zip(found, _settings([values_of(each.run.config) for each in found]), strict=True):
        to = log(each.name, values)
        for row in (*each.run.rows(Step), *each.run.rows(Epoch)):
            to.add(row)
        to.finish()


def _within(run: Run, name: str) -> Iterator[Training]:
    """The run, if it trains, and the training runs in its folder."""
    if run.command == TRAIN and (run.path / f"{Step.table}.csv").is_file():
        yield Training(name, run)
    for each in (*run.children.values(), *find_runs(run.path)):
        yield from _within(each, f"{name}/{each.path.name}")


def _settings(runs: Sequence[Values]) -> list[dict[str, Plain]]:
    """For each run the keys that say what it is, and those in which the runs differ."""
    differing = {key for key in runs[0] if len({written(values[key]) for values in runs}) > 1}
    return [{key: _plain(value) for key, value in values.items() if key in differing or key in MAIN} for values in runs]


def _plain(value: object) -> Plain:
    return value if isinstance(value, Plain) else written(value)
