"""Values compared by short, complete runs of shared seeds (1803.09820, section 4), and which of them to use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from hpcli.analysis.noise import LEVEL
from hpcli.analysis.refine import refined
from hpcli.analysis.verdict import Verdict, verdict
from hpcli.config import Config
from hpcli.data.dataset import Splits
from hpcli.errors import UsageError
from hpcli.experiments.budgets import budgets_of, flagged, in_lines
from hpcli.experiments.store import MemoryStore, OnProgress, Store, silent
from hpcli.experiments.sweep_result import Judged, SweepResult
from hpcli.experiments.trials import Trial, Trials
from hpcli.experiments.varied import AUTO_SECONDS, AUTO_SEEDS, Setting, settings

LOOKS = 3
"""Times that a sweep until decided is judged; they share the level."""


def sweep(
    config: Config,
    vary: Mapping[str, Sequence[object]],
    *,
    refine: bool = False,
    max_seeds: int | None = None,
    store: Store | None = None,
    on_progress: OnProgress = silent,
    device: str = "auto",
    splits: Splits | None = None,
) -> SweepResult:
    """Train every value with every seed, and say what can be told apart.

    Args:
        config: what to train; `config.sweep` says how long, with how many seeds, and what matters.
        vary: a config key, or weight_decay or momentum, and its values; two keys: every pair of their values.
        refine: halve the exponents around the values that may be the best, at one significant figure, until what is
            added cannot be told apart.
        max_seeds: add seeds until nothing is undecided, at most so many, in three looks that share the level.
        store: where trials go; None: memory. Those that it has already are not trained again.
        on_progress: called after every step, and with a line after every trial.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        splits: the images, if you have loaded them.

    Raises:
        ConfigError, UsageError: before anything trains: a key or a value that does not fit, the same value twice.
        DataError: the data cannot be read.
    """
    keys, found = settings(config, vary)
    if refine:
        _check_refinable(found, max_seeds)
    trials = Trials(config, keys, store or MemoryStore(), on_progress, device, splits)
    run = _Sweep(config, keys, found, trials)
    if max_seeds is not None:
        run.until_decided(max_seeds)
        return run.result()
    run.train(found, run.num_seeds())
    while refine and run.refine():
        pass
    return run.result()


def _check_refinable(found: Sequence[Setting], max_seeds: int | None) -> None:
    if max_seeds is not None:
        raise UsageError("--refine, --until-decided: one at a time; a refined sweep can be resumed with more seeds")
    if not all(len(each.values) == 1 and isinstance(each.values[0], int | float) for each in found):
        raise UsageError("--refine: takes one key whose values are numbers")


class _Sweep:
    """The settings and seeds so far, and the looks at them."""

    def __init__(self, config: Config, keys: tuple[str, ...], found: list[Setting], trials: Trials) -> None:
        self.config, self.keys, self.settings, self.trials = config, keys, found, trials
        self.level = LEVEL
        self.seeds = 0
        self.added: set[object] = set()  # names of the values that the last refinement added
        epochs = config.sweep.epochs
        trials.say(*in_lines(flagged(keys, budgets_of(keys, found, trials.splits), epochs), epochs))

    def num_seeds(self) -> int:
        """As many as the config says; `auto`: as were decided on before, or as the first trial's time allows."""
        asked = self.config.sweep.seeds
        if isinstance(asked, int):
            return asked
        before = self.trials.seeds_before
        if before > 1:
            return before
        first = self.trials.plan(self.settings, [self.config.seed])[0]
        self.trials.run([first])
        forecast = first.summary.get("seconds", 0.0) * len(self.settings) * AUTO_SEEDS[1]
        return AUTO_SEEDS[forecast < AUTO_SECONDS]

    def train(self, found: list[Setting], num_seeds: int) -> None:
        """Train what is missing of these settings with so many seeds."""
        self.settings, self.seeds = found, max(self.seeds, num_seeds)
        planned = self.trials.plan(found, range(self.config.seed, self.config.seed + self.seeds))
        self.trials.run(planned)

    def until_decided(self, most: int) -> None:
        """Add seeds at three looks, each at a third of the level."""
        first = min(self.num_seeds(), most)
        self.level = LEVEL / LOOKS
        for seeds in np.unique(np.linspace(first, most, LOOKS).round().astype(int)):
            self.train(self.settings, int(seeds))
            found = self._verdict()
            if self.trials.stopped or found is None or all(each.verdict != "undecided" for each in found.comparisons):
                return

    def refine(self) -> bool:
        """Train what lies around those that may be the best; False where there is nothing, or nothing to gain."""
        found = self._verdict()
        if found is None or self.trials.stopped:
            return False
        candidates = {each.value for each in found.comparisons if each.candidate}
        values = [setting.values[0] for setting in self.settings]
        new = [] if self.added and self.added <= candidates else refined(values, found)
        if new:
            _, more = settings(self.config, {self.keys[0]: sorted([*values, *new])})
            added = [setting.name for setting in more if setting.values[0] in new]
            self.added = set(added)
            self.trials.say(f"refined: {', '.join(added)}")
            self.train(more, self.seeds)
        return bool(new)

    def result(self) -> SweepResult:
        return Judged(self.config, self.keys, self._grid(), self._verdict(), self.trials).result()

    def _grid(self) -> list[list[Trial]]:
        """[k][S]."""
        return self.trials.grid(self.settings, range(self.config.seed, self.config.seed + self.seeds))

    def _verdict(self) -> Verdict | None:
        """Over the seeds that every value has had; nothing can be told of a value of which a run failed."""
        grid = self._grid()
        states = np.array([[trial.status for trial in row] for row in grid])
        losses = np.array([[trial.loss for trial in row] for row in grid])
        complete = np.asarray(np.isin(states, ("finished", "diverged", "failed")).all(0))
        if not complete.any():
            return None
        names = [setting.name for setting in self.settings]
        found = verdict(losses[:, complete], names, matters=self.config.sweep.matters, level=self.level)
        failed = (states == "failed").any(1)
        compared = zip(found.comparisons, failed, strict=True)
        return replace(
            found, comparisons=tuple(replace(each, verdict="cannot tell") if no else each for each, no in compared)
        )
