"""The verdict on runs that hpcli has not made: what a sweep would say of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpcli.analysis.choice import Choice, choose
from hpcli.analysis.finding import ELSEWHERE, in_words
from hpcli.analysis.noise import usual_number
from hpcli.analysis.verdict import Verdict, verdict
from hpcli.config.varying import positions, written
from hpcli.errors import UsageError, did_you_mean, listed
from hpcli.results import Summary
from hpcli.results.foreign_runs import ForeignRuns, Losses, Value, read_value
from hpcli.results.looks import level_of
from hpcli.results.ranking import compared, lowest_first, numbers

Rows = list[list[float]]
"""The losses of each value's runs; where they are paired, a column a seed."""


@dataclass(frozen=True)
class ForeignVerdict:
    """A verdict on k values."""

    runs: ForeignRuns
    judged: str  # what the losses are
    rows: tuple[tuple[float, ...], ...]  # [k] of each value's runs; NaN: missing, infinite: diverged
    paired: bool
    verdict: Verdict
    choice: Choice | None
    chance: float | None
    level: float
    notes: tuple[str, ...]

    @property
    def num_seeds(self) -> int:
        """Of each value; where their numbers differ, the harmonic mean."""
        known = [np.array(row) for row in self.rows if row and all(map(math.isfinite, row))]
        return usual_number(known) if known else 0

    def summary(self) -> Summary:
        """The result in plain values."""
        found, choice = self.verdict, self.choice
        values = list(self.runs.losses)
        names = {written(value): value for value in values}
        return {
            "sentence": in_words(
                found,
                choice,
                horizon="",
                num_seeds=self.num_seeds,
                parameter=self.runs.parameter,
                chance=self.chance,
                remedies=ELSEWHERE,
            ),
            "parameter": self.runs.parameter,
            "judged": self.judged,
            "seeds": self.num_seeds,
            "paired": self.paired,
            "best": None if found.best is None else names[str(found.best)],
            "choice": None if choice is None else values[choice.index],
            "choice_reason": choice and choice.words,
            "extend": bool(choice and choice.extend),
            "ranking": self._ranking(),
            **numbers(found, self.level),
        }

    def _ranking(self) -> list[Summary]:
        """A line a value, the lowest mean first, values without a mean last."""
        lines: list[Summary] = [
            {"value": value, "runs": sum(not math.isnan(loss) for loss in row), "mean": each.mean, **compared(each)}
            for value, row, each in zip(self.runs.losses, self.rows, self.verdict.comparisons, strict=True)
        ]
        return lowest_first(self.verdict, lines)


def judge(
    runs: ForeignRuns,
    *,
    judged: str = "loss",
    matters: float = 0.01,
    chance: float | None = None,
    present: str | None = None,
    higher_is_better: bool = False,
    look: int = 1,
) -> ForeignVerdict:
    """The verdict on runs, at the level at which a sweep of the same runs is judged.

    Args:
        runs: of two values at least.
        judged: what the losses are called.
        matters: the difference worth knowing, as a share of the lowest mean.
        chance: the loss, or with `higher_is_better` the accuracy, of a network that has learnt nothing.
        present: the value that is in use now, which is kept where it is as good.
        higher_is_better: the losses are accuracies, fractions or per cents: the share that is wrong is judged.
        look: how often these runs have been judged, this time included: all times share the chance of a false alarm.

    Raises:
        UsageError: no such value, or higher is better and the losses are no accuracies.
    """
    losses, notes = runs.losses, list(runs.notes)
    if higher_is_better:
        whole = _whole(losses, judged)
        losses = {value: {seed: _wrong(loss, whole) for seed, loss in own.items()} for value, own in losses.items()}
        judged, chance = f"{whole:g} − {judged}", None if chance is None else whole - chance
        notes.append(f"What is judged is {judged}: the share that is wrong, so that lower is better.")
    rows, paired, note = _paired(losses) if runs.has_seeds else _unpaired(losses)
    notes += [note] if note else []
    values, level = list(losses), level_of(look)
    places = _positions(runs.parameter, values)
    found = verdict(
        rows, [written(value) for value in values], matters=matters, chance=chance, level=level, paired=paired
    )
    choice = choose(found, positions=places, present=_place(values, present))
    return ForeignVerdict(runs, judged, tuple(map(tuple, rows)), paired, found, choice, chance, level, tuple(notes))


def _positions(parameter: str, values: Sequence[Value]) -> list[float] | None:
    try:
        return positions(parameter, values)[0]
    except ValueError:  # it is called like a momentum, and holds none
        return None


def _place(values: Sequence[Value], present: str | None) -> int | None:
    if present is None:
        return None
    if read_value(present) not in values:
        names = [written(value) for value in values]
        raise UsageError(f"--present {present}: no run has it; {did_you_mean(present, names)}")
    return values.index(read_value(present))


def _whole(losses: Losses, judged: str) -> float:
    """What a perfect accuracy is: 1 or 100.

    Raises:
        UsageError: the numbers are no accuracies.
    """
    finite = [loss for own in losses.values() for loss in own.values() if math.isfinite(loss)]
    for whole in (1.0, 100.0):
        if all(0 <= loss <= whole for loss in finite):
            return whole
    raise UsageError(
        f"--higher-is-better: {judged} goes from {min(finite):.4g} to {max(finite):.4g}, no accuracies (0 to 1 or 0 to "
        "100) with a share that is wrong; make a column of which lower is better"
    )


def _wrong(accuracy: float, whole: float) -> float:
    return round(whole - accuracy, 12) if math.isfinite(accuracy) else accuracy  # with the decimals that were given


def _paired(losses: Losses) -> tuple[Rows, bool, str]:
    """Rows over the seeds that all values have; not paired where those are fewer than two."""
    own = [dict.fromkeys(runs) for runs in losses.values() if runs]
    shared = [seed for seed in own[0] if all(seed in each for each in own)] if own else []
    others = sum(len(each) - len(shared) for each in own)
    if others and len(shared) < 2:
        rows, _, note = _unpaired(losses)
        return rows, False, note and f"The values share {'no seed' if not shared else 'one seed only'}. {note}"
    note = f"Judged over the {len(shared)} seeds that all values have, {listed(shared)}; runs left out: {others}."
    rows = [[runs.get(seed, math.nan) for seed in shared] or [math.nan] for runs in losses.values()]
    return rows, True, note if others else ""


def _unpaired(losses: Losses) -> tuple[Rows, bool, str]:
    """Rows of runs that have no seed in common."""
    rows = [list(runs.values()) for runs in losses.values()]
    if max(map(len, rows)) <= 1:
        return [row or [math.nan] for row in rows], True, ""  # a run of each tells nothing either way
    note = (
        "Runs are not paired, so what a seed does to all values stays in the noise: shared seeds would need fewer runs."
    )
    return rows, False, note
