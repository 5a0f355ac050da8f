"""Trials of a sweep: trained, or found where they have been trained before."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hpcli.config import Config, differing_keys
from hpcli.data.dataset import Splits, load_splits
from hpcli.errors import ConfigError, HpcliError
from hpcli.experiments.store import OnProgress, Progress, Row, Store, TrialStore
from hpcli.experiments.train import train
from hpcli.experiments.varied import Setting
from hpcli.training.trainer import Trainer

OVER = ("finished", "diverged")
"""States of a trial that is not trained again."""
SAME_SPLITS = ("data.batch_size", "data.eval_batch_size", "data.augment", "data.steps_per_epoch")
"""Keys of the section `data` that leave the images as they are."""


@dataclass
class Trial:
    """One setting, one seed."""

    setting: Setting
    seed: int
    key: str
    config: Config
    status: str = "waiting"  # finished, diverged, failed or interrupted
    summary: dict[str, Any] = field(default_factory=dict)
    epochs: list[dict[str, Any]] = field(default_factory=list)  # rows of metrics.csv

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to train."""
        return self.status in OVER

    @property
    def loss(self) -> float:
        """The final validation loss; NaN where the run did not end well."""
        return float(self.summary["valid_loss"]) if self.status == "finished" else math.nan

    def row(self) -> dict[str, Any]:
        """A line of sweep.csv."""
        names = ("valid_loss", "valid_accuracy", "valid_top5", "seconds")
        results = {name: self.summary.get(name) for name in names}
        return {"trial": self.key, "value": self.setting.name, "seed": self.seed, "status": self.status, **results}


class Trials:
    """All trials of a sweep. One trainer is kept for them, and put back to its start in between."""

    def __init__(
        self,
        config: Config,
        keys: Sequence[str],
        store: Store,
        on_progress: OnProgress,
        device: str,
        splits: Splits | None,
    ) -> None:
        self.keys, self.store, self.on_progress, self.device = keys, store, on_progress, device
        self.base, self.splits = config, _without_test(splits or load_splits(config))
        self.trainer: Trainer | None = None
        self.known: dict[tuple[str, int], Trial] = {}  # a trial's key is worked out once
        self.found: list[Trial] = []  # those of the table
        before = store.rows("sweep")  # of an earlier process
        self.seeds_before = len({row["seed"] for row in before})
        self.over_before = {row["trial"] for row in before if row["status"] in OVER}
        self.forecast = False  # whether it has been said
        self.trained = self.reused = 0
        self.steps_done = self.steps_planned = 0
        self.stopped = False

    def plan(self, settings: Sequence[Setting], seeds: Sequence[int]) -> list[Trial]:
        """The trials of these settings and seeds, all values of a seed first: from now on the table of the sweep.

        Raises:
            ConfigError: a batch that is larger than the training images are many.
        """
        planned = [trial for column in zip(*self.grid(settings, seeds), strict=True) for trial in column]
        images = len(self.splits.train)
        for size in {trial.config.data.batch_size for trial in planned}:
            if size > images:
                raise ConfigError(f"data.batch_size: {size} is more than the {images} training images; lower it")
        self.found = planned
        self.steps_planned = self.steps_done + sum(self._steps(each.config) for each in planned if not each.is_over)
        self.store.write("sweep", self.rows())
        return planned

    def grid(self, settings: Sequence[Setting], seeds: Sequence[int]) -> list[list[Trial]]:
        """The trials of each setting, by seed."""
        return [[self._trial(setting, seed) for seed in seeds] for setting in settings]

    def _trial(self, setting: Setting, seed: int) -> Trial:
        known = self.known.get((setting.name, seed))
        if known is None:
            known = self.known[setting.name, seed] = Trial(setting, seed, *setting.trial(seed))
        return known

    def rows(self) -> list[Row]:
        """The sweep's table, as it stands."""
        return [{**trial.row(), "parameter": " & ".join(self.keys)} for trial in self.found]

    def run(self, trials: Sequence[Trial]) -> None:
        """Bring trials to their end. One that fails is a state, and stops no other.

        Raises:
            OSError: the disk's, not a trial's.
        """
        waiting = sorted(
            (each for each in trials if not each.is_over), key=lambda each: each.key not in self.over_before
        )
        for place, trial in enumerate(waiting):
            if self.stopped:
                return
            self._say_forecast(waiting[place:])
            self._run_one(trial)
            self.stopped = trial.status == "interrupted" or self.store.should_stop()

    def say(self, *lines: str) -> None:
        """Say something, beside the progress."""
        for line in lines:
            self.on_progress(Progress(self.steps_done, self.steps_planned, line=line))

    def _say_forecast(self, left: Sequence[Trial]) -> None:
        """Once one has been trained, say how long the others will take."""
        if self.trained and not self.forecast:
            took = [seconds for trial in self.found if (seconds := trial.summary.get("seconds"))]
            self.say(f"{len(left)} more trials, about {sum(took) / len(took) * len(left):.0f} s")
            self.forecast = True

    def _run_one(self, trial: Trial) -> None:
        try:
            with self.store.trial(trial.key, trial.config) as own:
                self._run(trial, own)
        except OSError:
            raise
        except Exception as error:
            trial.status = "failed"
            trial.summary = {"reason": str(error) if isinstance(error, HpcliError) else repr(error)}
            self.trainer = None
        self.steps_done += self._steps(trial.config)
        self.store.write("sweep", self.rows())
        if trial.key not in self.over_before and trial.status != "interrupted":
            self.say(_in_words(trial))

    def _run(self, trial: Trial, own: TrialStore) -> None:
        before = own.summary
        if before is None:
            trainer = self._trainer(trial.config)
            started = time.perf_counter()
            result = train(trial.config, store=own, on_progress=self._reported, trainer=trainer)
            trial.status = result.status
            seconds = round(time.perf_counter() - started, 3)
            trial.summary = own.finish(result.status, {**result.summary, "seconds": seconds})
            self.trained += 1
        else:
            trial.status, trial.summary = before["status"], before
            self.reused += 1
        trial.epochs = own.rows("metrics")

    def _reported(self, report: Progress) -> None:
        if report.loss is not None:
            self.on_progress(Progress(self.steps_done + report.done, self.steps_planned, report.loss))

    def _trainer(self, config: Config) -> Trainer:
        if self.trainer is None or not self.trainer.restart(config):
            self.trainer = None  # its memory is free before the next one takes some
            self.trainer = Trainer(config, device=self.device, splits=self._splits(config))
        return self.trainer

    def _splits(self, config: Config) -> Splits:
        changed = [key for key in differing_keys(self.base, config) if key.startswith("data.")]
        if any(key not in SAME_SPLITS for key in changed):
            self.base, self.splits = config, _without_test(load_splits(config))
        return self.splits

    def _steps(self, config: Config) -> int:
        per_epoch = self.splits.steps_per_epoch(config.data.batch_size, config.data.steps_per_epoch)
        return max(1, per_epoch * config.train.epochs)


def _without_test(splits: Splits) -> Splits:
    """Values are chosen on validation images; the test images are not touched."""
    return dataclasses.replace(splits, test=None)


def _in_words(trial: Trial) -> str:
    what = f"{trial.setting.name}, seed {trial.seed}: "
    if trial.status != "finished":
        return what + trial.status + (f" ({trial.summary['reason']})" if "reason" in trial.summary else "")
    loss, accuracy, seconds = (trial.summary[name] for name in ("valid_loss", "valid_accuracy", "seconds"))
    return f"{what}valid loss {loss:.4f}  accuracy {accuracy:.1%}  {seconds:.1f} s"
