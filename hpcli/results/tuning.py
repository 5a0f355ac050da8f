"""What a tuning came to, from its tables: the settings run, the winner, its gain on fresh seeds, what each key does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from hpcli.analysis.gain import Gain, gain
from hpcli.analysis.profile import MATTERS, Profile
from hpcli.config import Config, differing_keys, with_overrides
from hpcli.config.experiments import TuneConfig
from hpcli.config.space import Dimension, pinned, space
from hpcli.config.varying import JOINED, value_of, written
from hpcli.recording.recorder import Record, Rows, Steps
from hpcli.results.data import DataFacts
from hpcli.results.lr_find import LRFindResult
from hpcli.results.searched import LEARNT, Fitted, Searched
from hpcli.results.train import TrainResult
from hpcli.results.tune_trials import TuneFresh, TunePlan, TuneRange, TuneTrial
from hpcli.states import RunStatus

RANGE_TEST, TRAINING = "lr-find", "train"
"""Steps that are run folders of their own."""


@dataclass(frozen=True)
class Tuning:
    """A tuning in plain numbers. Losses of the surface are logarithms of nats."""

    status: RunStatus
    config: Config
    data: DataFacts
    ranges: tuple[TuneRange, ...]  # tune_ranges.csv
    plan: TunePlan | None  # tune_plan.csv; None: it has not come so far
    trials: tuple[TuneTrial, ...]  # tune.csv: the present setting first
    fresh: tuple[TuneFresh, ...]  # tune_fresh.csv: pairs of the present setting and the winner
    range_test: LRFindResult | None = None
    trained: TrainResult | None = None  # the training with what was found
    trained_in: str = TRAINING  # the folder of that step

    @classmethod
    def from_run(cls, run: Record) -> Self:
        """From a run folder, or whatever else can be read like one."""
        test = run.find_step(RANGE_TEST)
        ranged = None if test is None else LRFindResult.from_run(test)
        found = cls.from_rows(run.config, run.status, run, range_test=ranged)
        step = found.training_step(run)
        trained = run.find_step(step)
        return found if trained is None else replace(found, trained=TrainResult.from_run(trained), trained_in=step)

    def training_step(self, run: Steps) -> str:
        """The name of the step that trains with what was found, begun or not. Another choice has another folder."""
        number, name, config = 1, TRAINING, self.training_config
        while (step := run.find_step(name)) is not None and (config is None or differing_keys(step.config, config)):
            number += 1
            name = f"{TRAINING}-{number}"
        return name

    @property
    def training_config(self) -> Config | None:
        """The config of the training: the best one, without the search; None: nothing was found."""
        best = self.best_config
        return None if best is None else best.model_copy(update={"tune": TuneConfig()})

    @classmethod
    def from_rows(
        cls,
        config: Config,
        status: RunStatus,
        run: Rows,
        *,
        range_test: LRFindResult | None = None,
        trained: TrainResult | None = None,
        trained_in: str = TRAINING,
    ) -> Self:
        """From the tables, and the results of the steps."""
        plans = run.rows(TunePlan)
        return cls(
            status,
            config,
            DataFacts.from_rows(run),
            tuple(run.rows(TuneRange)),
            plans[-1] if plans else None,
            tuple(run.rows(TuneTrial)),
            tuple(run.rows(TuneFresh)),
            range_test,
            trained,
            trained_in,
        )

    @cached_property
    def space(self) -> tuple[Dimension, ...]:
        """What is searched: each key in the range that the range test has left of it."""
        narrowed = {row.parameter: row for row in self.ranges}
        return tuple(
            each.within(found.low, found.high, breaks=bool(found.breaks)) if (found := narrowed.get(each.key)) else each
            for each in space(self.config)
        )

    @property
    def keys(self) -> tuple[str, ...]:
        """What is searched, by name."""
        return tuple(each.key for each in self.space)

    @cached_property
    def present(self) -> dict[str, JsonValue]:
        """The config's own values."""
        config = pinned(self.config)
        return {key: value_of(config, key) for key in self.keys}

    @property
    def present_name(self) -> str:
        """The config's own values as the tables have them."""
        return JOINED.join(written(value) for value in self.present.values())

    @cached_property
    def searched(self) -> Searched:
        """The runs so far, those of earlier verdicts among them: they tell of the surface too."""
        return Searched(self.space, [*self.trials, *self.earlier_fresh], self.data.chance_loss())

    def values(self, name: str) -> dict[str, JsonValue]:
        """Key → value, of a setting's name; a name has ten digits, the config's own values may have more."""
        return dict(self.present) if name == self.present_name else self.searched.values(name)

    @property
    def winner_name(self) -> str | None:
        """The setting that this verdict compares, else of those run the lowest fitted mean; as the tables have it.

        None: none has learnt anything.
        """
        compared = [trial.value for trial in self.own_fresh if trial.value != self.present_name]
        if compared:
            return compared[-1]
        place = self.searched.winner
        return None if place is None else self.searched.over[place].value

    @property
    def own_fresh(self) -> list[TuneFresh]:
        """The fresh runs of this verdict."""
        return [trial for trial in self.fresh if self.plan is not None and trial.seed >= self.plan.first_fresh]

    @property
    def earlier_fresh(self) -> list[TuneFresh]:
        """The fresh runs of verdicts with another number of runs."""
        return [trial for trial in self.fresh if self.plan is None or trial.seed < self.plan.first_fresh]

    @cached_property
    def pairs(self) -> NDArray[np.float64]:
        """Log losses [c, 2] of the present setting and the winner on c fresh seeds of this verdict.

        Of seeds that have something to tell: none of the two has failed, and one at least has not diverged.
        """
        names, found = (self.present_name, self.winner_name or ""), []
        over = {(trial.value, trial.seed): trial for trial in self.own_fresh if trial.status.is_over}
        for seed in sorted({seed for _, seed in over}):
            both = [over[name, seed] for name in names if (name, seed) in over]
            if len(both) == len(names) and any(trial.status != RunStatus.DIVERGED for trial in both):
                found.append([self.searched.log_loss(trial) for trial in both])
        return np.array(found).reshape(-1, 2)

    def learns(self, name: str | None) -> bool | None:
        """Whether most of a setting's fresh runs have learnt something; None: it has none."""
        own = [
            trial.loss < LEARNT * self.data.chance_loss()
            for trial in self.own_fresh
            if trial.value == name and trial.has_ended
        ]
        return 2 * sum(own) > len(own) if own else None

    @cached_property
    def gain(self) -> Gain | None:
        """Of the winner over the present setting; None: the present one is the winner, or there is none."""
        name, surface = self.winner_name, self.searched.surface
        if name is None or surface is None or name == self.present_name:
            return None
        points = [self.searched.point(values) for values in (self.present, self.values(name))]
        present, chosen = self.pairs.T
        return gain(present, chosen, on_surface=surface.difference(points[0], points[1]), noise=surface.noise)

    @property
    def is_kept(self) -> bool:
        """Whether the config's own values stay: nothing better was found, or nothing that was searched matters."""
        name, found = self.winner_name, self.gain
        return (
            name == self.present_name
            or self.is_idle
            or self.learns(name) is False
            or not (found is None or found.holds)
        )

    @property
    def is_idle(self) -> bool:
        """Whether no key that was searched does anything that matters, by the surface and by the fresh seeds."""
        is_shown = self.gain is not None and self.gain.low is not None and self.gain.low > MATTERS
        return not is_shown and bool(self.profiles) and all(each.is_idle for each in self.profiles)

    @cached_property
    def choice(self) -> dict[str, JsonValue] | None:
        """Key → the value to use; None: no setting has learnt anything, or on fresh seeds neither of the two."""
        name = self.winner_name
        if name is None or self.learns(name) is self.learns(self.present_name) is False:
            return None
        return dict(self.present) if self.is_kept else self.values(name)

    @property
    def shown_better(self) -> str | None:
        """The one key whose new value is better than the present one for sure; None: none, or several have changed."""
        changed = [key for key, value in (self.choice or {}).items() if value != self.present[key]]
        return changed[0] if len(changed) == 1 and self.gain is not None and self.gain.is_sure else None

    @cached_property
    def profiles(self) -> list[Profile]:
        """What each key does, in the order of the space; empty: too few runs to tell, or none has learnt anything."""
        return self.searched.profiles(self.config.seed)

    @cached_property
    def fitted(self) -> Fitted:
        """The runs, and what is marked among them."""
        return Fitted(self.searched, self.profiles, self.present, self.choice, self.fresh)

    @property
    def best_config(self) -> Config | None:
        """The config with what was found, for `train`; None: nothing was."""
        return None if self.choice is None else with_overrides(pinned(self.config), self.choice)

    @property
    def is_lost(self) -> bool:
        """Whether nothing came of it: no setting has learnt anything, or the training with what was found diverged."""
        diverged = self.trained is not None and self.trained.status == RunStatus.DIVERGED
        return diverged or (bool(self.trials) and self.choice is None)

    @property
    def num_failed(self) -> int:
        """Runs that failed."""
        return sum(trial.status == RunStatus.FAILED for trial in (*self.trials, *self.fresh))
