"""Runs that hpcli has not made, out of a CSV file that has a row a run, or a row a step."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from hpcli.config.varying import written
from hpcli.errors import DataError, UsageError
from hpcli.foreign_csv import NO_NUMBER, ForeignCsv, Record
from hpcli.states import RunStatus

Value = int | float | str
Losses = dict[Value, dict[str, float]]
"""Value → seed, or number of the run → loss; NaN: the run is missing, infinite: it has diverged."""
STATUS = ("status", "state", "State")
COUNTS = ("step", "_step", "global_step", "epoch", "iteration")
"""Columns of these names count what is done within a run."""
NOTHING = ("", "nan")
"""What a cell of no value or seed holds."""
MOST_WHOLE = 1e15
"""Up to here a float holds every whole number."""
PARAMETER = "parameter"
"""In hpcli's own sweep.csv: the key whose values are compared."""


@dataclass(frozen=True)
class RunColumns:
    """What the columns of a file are called; None: it has none."""

    value: str
    loss: str
    seed: str | None
    step: str | None
    status: str | None
    parameter: str | None

    @classmethod
    def find(
        cls, file: ForeignCsv, *, value: str | None, seed: str | None, loss: str | None, step: str | None
    ) -> RunColumns:
        """From names as they are given, or else as hpcli's sweep.csv has them.

        Raises:
            UsageError: there is no such column, or one is to be two things.
        """
        values = file.find("--value", value, "value")
        losses = file.find("--loss", loss, "valid_loss")
        if losses == values:
            raise UsageError(f"--value and --loss: both are {values}; name two columns")
        seeds = file.find_any("--seed", seed, "seed", but=(values, losses))
        taken = [values, losses, *([] if seeds is None else [seeds])]
        steps = None if step is None else file.find_any("--step", step, "step", but=taken)
        status = next((name for name in STATUS if name in file.names and name not in taken), None)
        parameter = PARAMETER if value is None and PARAMETER in file.names else None
        return cls(values, losses, seeds, steps, status, parameter)


@dataclass(frozen=True)
class ForeignRuns:
    """What a file says of runs, value by value."""

    parameter: str  # what the values are values of
    losses: Losses  # numbers rising; other values, and those of a sweep.csv, in the order of the file
    has_seeds: bool
    notes: tuple[str, ...]  # what was made of the file


def read_runs(file: ForeignCsv, columns: RunColumns) -> ForeignRuns:
    """The runs of a file, of which nothing but the header has been read.

    Rows of one value and seed are steps of one run: the last one with a loss counts. Without a column of seeds every
    row is a run; but if there is a column of steps, all rows of a value are one run.

    Raises:
        DataError: a cell that is no number, fewer than two values, rows of which it is not clear what they are.
    """
    reader = _Reader(file, columns)
    reader.read()
    losses = {value: {seed: run.loss for seed, run in runs.items()} for value, runs in reader.runs.items()}
    if len(losses) < 2:
        known = (
            f"{columns.value} has one value only, {written(next(iter(losses)))}" if losses else "no rows with a value"
        )
        raise DataError(f"{file.path}: {known}, so there is nothing to compare")
    if columns.parameter is None and not any(isinstance(value, str) for value in losses):
        losses = dict(sorted(losses.items()))
    return ForeignRuns(reader.parameter, losses, columns.seed is not None, tuple(reader.notes()))


@lru_cache(10_000)
def read_value(text: str) -> Value:
    """A value as a number of ten digits, where it is one."""
    if "_" in text:
        return text
    try:
        number = float(written(float(text)))  # 0.30000000000000004 is 0.3
    except ValueError:
        return text
    return int(number) if number.is_integer() and abs(number) < MOST_WHOLE else number


class _Run:
    """A run as far as it has been read."""

    def __init__(self) -> None:
        self.loss, self.step, self.rows = math.nan, -math.inf, 0
        self.has_loss = False

    def take(self, loss: float | None, step: float) -> None:
        """A row of it; None: without a loss."""
        self.rows += 1
        if loss is not None and (not self.has_loss or step >= self.step):
            self.loss, self.step, self.has_loss = loss, step, True


class _Reader:
    """Puts rows together to runs."""

    def __init__(self, file: ForeignCsv, columns: RunColumns) -> None:
        self.file, self.columns = file, columns
        self.parameter = columns.value
        self.runs: dict[Value, dict[str, _Run]] = {}
        self.left_out: Counter[str] = Counter()
        self.has_nan = False
        one_row_a_run = columns.seed is None and columns.step is None
        self.count = next((name for name in COUNTS if name in file.names), None) if one_row_a_run else None
        self._counts: dict[Value, set[str]] = {}  # value → what counts within a run, where no column has seeds

    def read(self) -> None:
        """Read all rows."""
        names = self.columns
        cells = (names.value, names.seed, names.loss, names.step or self.count, names.status, names.parameter)
        for record in self.file.rows(*cells):
            self._add(record)

    def _add(self, record: Record) -> None:
        value_text, seed_text, loss_text, step_text, status_text, parameter = record.cells
        names, status = self.columns, RunStatus.read(status_text)
        for name, text in ((names.value, value_text), (names.seed, seed_text)):
            if name is not None and text.lower() in NOTHING:
                self.left_out[f"without {name}"] += 1
                return
        value = read_value(self.file.plain(value_text))
        runs = self.runs.setdefault(value, {})
        self.parameter = parameter or self.parameter
        if status in (RunStatus.WAITING, RunStatus.CREATED, RunStatus.RUNNING, RunStatus.INTERRUPTED):
            self.left_out["of runs that have not ended"] += 1
            return
        has_step = names.step is not None and step_text != ""
        step = self.file.number(record, str(names.step), step_text) if has_step else -math.inf
        seed = self._without_seed(record, value, step_text) if names.seed is None else seed_text.removesuffix(".0")
        runs.setdefault(seed, _Run()).take(self._loss(record, loss_text, status), step)

    def _without_seed(self, record: Record, value: Value, count: str) -> str:
        """Which run of its value a row is of, where no column has seeds.

        Raises:
            DataError: rows that may be steps of one run, or of several runs, and no column tells.
        """
        before, step = self._counts.setdefault(value, set()), self.columns.step
        where, which = f"{self.file.path}:{record.line}", f"{self.columns.value} {written(value)}"
        if step is not None and count in before:
            raise DataError(
                f"{where}: {which} has {step} {count} twice, so it has several runs: name the column that tells them "
                "apart by --seed"
            )
        if step is None and before and count not in before:
            raise DataError(
                f"{where}: rows of {which} differ in {self.count}, and may be of one run: name the column that tells "
                f"runs apart by --seed, or add --step {self.count} if each value has one run"
            )
        before.add(count)
        return str(len(self.runs[value]) if step is None else 0)

    def _loss(self, record: Record, text: str, status: RunStatus | None) -> float | None:
        if status == RunStatus.DIVERGED:
            return math.inf
        if status in (RunStatus.FAILED, RunStatus.CRASHED, RunStatus.DAMAGED):
            return math.nan
        if text.lower() in NO_NUMBER:
            return None
        loss = self.file.number(record, self.columns.loss, text)
        self.has_nan |= math.isnan(loss)
        return math.inf if math.isinf(loss) else loss

    def notes(self) -> list[str]:
        """What was made of the rows."""
        runs = [run for own in self.runs.values() for run in own.values()]
        rows = sum(run.rows for run in runs)
        last = f"the one with the highest {self.columns.step}" if self.columns.step else "the last one in the file"
        notes = [f"Rows {why} are left out: {count:,}." for why, count in self.left_out.items()]
        if rows > len(runs):
            by = " and ".join(name for name in (self.columns.value, self.columns.seed) if name)
            told = f"{rows:,} rows are taken for steps of {len(runs):,} runs, by {by}"
            notes.append(f"{told}: of each, {last} that has a loss counts.")
        if self.has_nan:
            notes.append("A loss of NaN counts as a missing run; that of a run which diverged is written inf.")
        return notes
