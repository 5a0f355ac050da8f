"""Settings that are the same run, and keys that do nothing, known before anything trains."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from hpcli.config import Config, with_overrides
from hpcli.config.idle import why_idle
from hpcli.config.keys import scope_of
from hpcli.config.scope import Scope
from hpcli.config.varying import Setting, value_of, written
from hpcli.data.dataset import ImageData, Split, divide
from hpcli.errors import DataError
from hpcli.results.data import DataFacts
from hpcli.training.schedules import Schedule, lr_find_schedule, training_schedule

SOURCE = {"data.name", "data.root", "data.image_size"}
TRAIN_FRACTION = "data.train_fraction"
NUMERICS = {"train.precision", "train.deterministic"}
MOST_LINES = 6

Part = tuple[object, ...]
"""What a run makes of a key: equal where two runs make the same of it."""


@dataclasses.dataclass(frozen=True)
class _Reading:
    """What runs make of their configs."""

    steps: Callable[[Config], Part]
    shape: Callable[[Config], str]  # in words, where the steps come from
    source: ImageData | None  # None: it is not the same for all runs, or not known
    on_gpu: bool

    def of(self, config: Config, key: str) -> Part:
        """What a run makes of a key."""
        if _is_of_steps(key):
            return self.steps(config)
        if key == TRAIN_FRACTION and self.source is not None:
            return _trained_on(self.source, config)
        if key in NUMERICS and not self.on_gpu:
            return (config.train.precision == "bf16",)
        return () if why_idle(config, key) else (written(value_of(config, key)),)

    def why_same(self, configs: Sequence[Config], key: str) -> str:
        """Why runs that differ in a key are the same."""
        idle = {why_idle(config, key) for config in configs}
        if len(idle) == 1 and None not in idle:
            return f"the same run, {key} {idle.pop()}"
        if _is_of_steps(key):
            shapes = {self.shape(config) for config in configs}
            return f"the same schedule {shapes.pop()}" if len(shapes) == 1 else "the same schedule"
        return "the same images" if key == TRAIN_FRACTION else "the same run on a CPU"


def same_trainings(
    keys: Sequence[str], settings: Sequence[Setting], source: ImageData, data: DataFacts, *, on_gpu: bool = False
) -> list[str]:
    """Which settings of a sweep are the same training run, and why, a line each.

    Args:
        keys: what is swept: the settings differ in nothing else.
        settings: each with its config.
        source: the images that each run has its part of, which may be listed alone.
        data: the facts of the sweep's own part.
        on_gpu: whether the runs are known to compute on a GPU, where numerics count.
    """

    def steps(config: Config) -> Part:
        """The schedule of a run: its steps, and what each has."""
        per_epoch = data.steps_per_epoch(config.data)
        return (per_epoch, *_table(training_schedule(config, per_epoch)))

    same = source if SOURCE.isdisjoint(keys) else None
    return _lines(keys, settings, _Reading(steps, lambda config: f"under {config.schedule.name}", same, on_gpu))


def same_range_tests(config: Config, *, on_gpu: bool = False) -> list[str]:
    """Which of the values that `lr_find.values` overlays are the same range test, and why; see `same_trainings`."""
    reading = _Reading(lambda own: _table(lr_find_schedule(own)), lambda _: "in a range test", None, on_gpu)
    lines = []
    for key, values in config.lr_find.values.items():
        overlaid = [Setting(written(each), (each,), with_overrides(config, {key: each})) for each in values]
        lines += _lines([key], overlaid, reading)
    return lines


def _lines(keys: Sequence[str], settings: Sequence[Setting], reading: _Reading) -> list[str]:
    lines, alike = [], dict[tuple[Part, ...], list[Setting]]()
    idle = [key for key in keys if _differ(settings, key) and all(why_idle(each.config, key) for each in settings)]
    for key in idle:
        words = dict.fromkeys(why_idle(each.config, key) or "" for each in settings)
        lines.append(f"{key}: {', '.join(words)}; all its values are the same run")
    for setting in settings:
        alike.setdefault(tuple(reading.of(setting.config, key) for key in keys), []).append(setting)
    for group in alike.values():
        differing = [key for key in keys if key not in idle and _differ(group, key)]
        if differing:
            why = dict.fromkeys(reading.why_same([each.config for each in group], key) for key in differing)
            *first, last = (each.name for each in group)
            names = f"{', '.join(first)} and {last}"
            lines.append(f"{f'{keys[0]} ' if len(keys) == 1 else ''}{names}: {', '.join(why)}")
    more = len(lines) - MOST_LINES
    return lines if more <= 1 else [*lines[:MOST_LINES], f"… and {more} groups more"]


def _differ(settings: Sequence[Setting], key: str) -> bool:
    return len({written(value_of(each.config, key)) for each in settings}) > 1


def _is_of_steps(key: str) -> bool:
    """Whether a run knows a key by its steps alone, their number, learning rate and momentum."""
    of_schedule = key.partition(".")[0] == "schedule" or key == "data.steps_per_epoch"
    return of_schedule or bool(scope_of(key) & Scope.LENGTH)


def _table(schedule: Schedule) -> Part:
    return schedule.lr.tobytes(), schedule.momentum.tobytes()


def _trained_on(source: ImageData, config: Config) -> Part:
    """The numbers of the images that train; of a share that cannot be taken what it asks for."""

    def numbered(part: Split | None) -> Split | None:
        """Each image's place in its part, in place of the image."""
        return part and Split(np.arange(len(part)).view(np.uint8).reshape(len(part), 8), part.labels)

    train, valid, test = (numbered(part) for part in (source.train, source.valid, source.test))
    assert train is not None
    try:
        splits = divide(dataclasses.replace(source, train=train, valid=valid, test=test), config)
    except DataError:
        return (config.data.train_fraction,)
    return (splits.train.images.tobytes(),)
