"""Range tests that hpcli has not made, out of a CSV file that has a row a step: their curves, and what they say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpcli.analysis.lr_find import combine
from hpcli.analysis.reading import read
from hpcli.analysis.suggestion import suggest
from hpcli.errors import DataError, UsageError
from hpcli.foreign_csv import NO_NUMBER, ForeignCsv, Record
from hpcli.results import Summary
from hpcli.results.lr_find import Curve, summary_of


@dataclass(frozen=True)
class CurveColumns:
    """What the columns of a file are called; None: it has none."""

    lr: str
    loss: str
    seed: str | None
    value: str | None

    @classmethod
    def find(
        cls, file: ForeignCsv, *, lr: str | None, loss: str | None, seed: str | None, value: str | None
    ) -> CurveColumns:
        """From names as they are given, or else as hpcli's lr_find.csv has them.

        Raises:
            UsageError: there is no such column, or one is to be two things.
        """
        rates, losses = file.find("--lr", lr, "lr"), file.find("--loss", loss, "train_loss")
        if rates == losses:
            raise UsageError(f"--lr and --loss: both are {rates}; name two columns")
        seeds = file.find_any("--seed", seed, "seed", but=(rates, losses))
        taken = (rates, losses, *([] if seeds is None else [seeds]))
        return cls(rates, losses, seeds, file.find_any("--value", value, "value", but=taken))


@dataclass(frozen=True)
class ForeignCurves:
    """Range tests: value → its curves, a seed each; one value, of no text, where none is varied."""

    varied: str  # what the values are values of
    groups: dict[str, tuple[Curve, ...]]
    notes: tuple[str, ...]  # what was made of the file

    @property
    def has_refusal(self) -> bool:
        """Whether the curves of any value give no suggestion."""
        suggestions = (combine([curve.suggestion for curve in group]) for group in self.groups.values())
        return any(each.suggested_lr is None for each in suggestions)

    def summary(self) -> Summary:
        """The result in plain values, as `hpcli lr-find` has them: of the first value, and in short of each."""
        whole = summary_of(self.groups, varied="value" if len(self.groups) > 1 else "")
        said = {value: summary_of({value: group})["sentence"] for value, group in self.groups.items()}
        if len(said) > 1:
            whole["sentence"] = "\n".join(f"{self.varied} {value or '(none)'}: {each}" for value, each in said.items())
        return whole


def read_curves(file: ForeignCsv, columns: CurveColumns, *, chance: float | None = None) -> ForeignCurves:
    """The curves of a file, of which nothing but the header has been read.

    Args:
        file: rows of a curve in order, learning rates rising; those of one learning rate are averaged. Losses that are
            empty are left out, but for those at a curve's end, where the loss is taken not to be finite.
        columns: their names.
        chance: the loss of a network that has learnt nothing.

    Raises:
        DataError: a cell that is no number, learning rates that do not rise, no rows with both numbers.
    """
    curves: dict[tuple[str, str], _Points] = {}
    for record in file.rows(columns.lr, columns.loss, columns.seed, columns.value):
        lr_text, loss_text, seed, value = record.cells
        lr = math.nan if lr_text.lower() in NO_NUMBER else file.number(record, columns.lr, lr_text)
        if lr > 0:
            loss = None if loss_text.lower() in NO_NUMBER else file.number(record, columns.loss, loss_text)
            points = curves.setdefault((value, seed.removesuffix(".0")), _Points(file, columns))
            points.add(record, lr, loss)
    if not any(points.lr for points in curves.values()):
        raise DataError(f"{file.path}: no row has both a positive {columns.lr} and a {columns.loss}; join them by step")
    groups: dict[str, list[Curve]] = {}
    for (value, seed), points in curves.items():
        if points.lr:
            groups.setdefault(value, []).append(points.curve(seed, value, chance))
    notes = dict.fromkeys(note for points in curves.values() for note in points.notes())
    by_value = {value: tuple(group) for value, group in groups.items()}
    return ForeignCurves(columns.value or "", by_value, tuple(notes))


class _Points:
    """The points of one curve."""

    def __init__(self, file: ForeignCsv, columns: CurveColumns) -> None:
        self.file, self.columns = file, columns
        self.lr: list[float] = []
        self.losses: list[list[float]] = []  # of each learning rate
        self.after: list[float] = []  # learning rates after the last loss

    def add(self, record: Record, lr: float, loss: float | None) -> None:
        """A row; None: it has no loss."""
        where, last = f"{self.file.path}:{record.line}", max([*self.lr[-1:], *self.after[-1:]], default=0.0)
        if math.isinf(lr):
            raise DataError(f"{where}: {self.columns.lr}: {lr} is no learning rate")
        if lr < last:
            falls = f"{self.columns.lr} falls from {last:.4g} to {lr:.4g}, and in a range test it rises"
            another = "if another curve begins here, name the column that tells curves apart by --seed"
            raise DataError(f"{where}: {falls}" + ("" if self.columns.seed else f"; {another}"))
        if loss is None:
            self.after.append(lr)
        elif self.lr and lr == self.lr[-1]:
            self.losses[-1].append(loss)
        else:
            self.lr.append(lr)
            self.losses.append([loss])
        if loss is not None:
            self.after.clear()

    @property
    def lost(self) -> list[float]:
        """Learning rates beyond the last loss: there it is not finite."""
        return [] if not self.lr else sorted({lr for lr in self.after if lr > self.lr[-1]})

    def curve(self, seed: str, value: str, chance: float | None) -> Curve:
        """The curve, read.

        Raises:
            DataError: one learning rate only.
        """
        if len(self.lr) + len(self.lost) == 1:
            which = f" of {' '.join(each for each in (value, seed) if each)}" if value or seed else ""
            same = f"{self.columns.lr}{which} is {self.lr[0]:.4g} throughout"
            raise DataError(f"{self.file.path}: {same}, and in a range test it rises")
        lr = np.array([*self.lr, *self.lost])
        loss = np.array([*map(_mean, self.losses), *[math.nan] * len(self.lost)])
        reading = read(lr, loss, chance_loss=chance)
        smoothed = np.full(len(lr), np.nan)
        if reading is not None:
            smoothed[: len(reading.smoothed)] = reading.smoothed
        return Curve(seed or 0, value, lr, loss, smoothed, suggest(lr, loss, chance_loss=chance))

    def notes(self) -> list[str]:
        """What was made of the rows."""
        notes = []
        if any(len(each) > 1 for each in self.losses):
            notes.append(f"Losses of one {self.columns.lr} are averaged.")
        if self.lost:
            notes.append(
                f"{self.columns.loss} is empty from {self.columns.lr} {self.lost[0]:.3g} on, taken as not finite."
            )
        return notes


def _mean(losses: Sequence[float]) -> float:
    return sum(losses) / len(losses)
