"""The settings of a sweep: those of its grid, or points that fill the ranges of its keys; and the runs at points."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from hpcli.analysis.search import spread_out
from hpcli.config import Config
from hpcli.config.points import num_points, swept_space, value_at
from hpcli.config.space import Dimension, Scale
from hpcli.config.varying import Setting, own_values, settings, written
from hpcli.results.searched import Fitted, Searched, axis_of
from hpcli.results.trials import SweepTrial
from hpcli.states import RunStatus

TIMES_DRAWN = 64
"""So many times the points that are asked for are drawn at most, to find as many that differ."""
MOST_RUNS = 1000
"""That a surface is fitted to: of more the first, which are those of the first seeds."""

Point = tuple[JsonValue, ...]


def settings_of(config: Config) -> list[Setting]:
    """Every setting of a sweep: all of its grid, or its points.

    Raises:
        UsageError, ConfigError: as `settings` and `swept_space` say.
    """
    count = num_points(config)
    return settings(config, points(swept_space(config), count, config.seed) if count else None)


def points(space: Sequence[Dimension], count: int, seed: int) -> list[Point]:
    """So many points that fill a space evenly (a scrambled Sobol sequence), each its values in the order of the keys.

    More of them begin with the same ones. Where a space holds fewer that differ, it is those.

    Args:
        space: d keys.
        count: of the points.
        seed: the same points each time.
    """
    axes, drawn, found = [axis_of(each) for each in space], count, dict[Point, Point]()
    while True:
        for place in spread_out(axes, drawn, seed):
            values = tuple(value_at(each, float(part)) for each, part in zip(space, place, strict=True))
            found.setdefault(tuple(map(written, values)), values)
        if len(found) >= count or drawn >= TIMES_DRAWN * count:
            return list(found.values())[:count]
        drawn *= 2


def fitted(config: Config, trials: Sequence[SweepTrial], choice: Setting | None, chance: float) -> Fitted | None:
    """The surface through the trials of a sweep by points, and what is marked; None: it is a grid.

    Args:
        config: of the sweep.
        trials: the first seed's first. Those that failed tell nothing; those that diverged, that a setting is bad.
        choice: the setting to use; None: there is none.
        chance: the loss of guessing, nats.
    """
    if not num_points(config):
        return None
    ran = [trial for trial in trials if trial.status != RunStatus.FAILED]
    searched = Searched(swept_space(config), ran[:MOST_RUNS], chance)
    marked = None if choice is None else dict(zip(config.sweep.values, choice.values, strict=True))
    return Fitted(searched, searched.profiles(config.seed), _present(config, searched.space), marked)


def _present(config: Config, space: Sequence[Dimension]) -> dict[str, JsonValue]:
    """The config's own values, of the keys whose space they lie in."""
    found: dict[str, JsonValue] = {}
    for each in space:
        for own in own_values(config, [each.key]) or ():
            if own in each.choices if each.scale == Scale.CHOICE else _lies_in(each, own):
                found[each.key] = own
    return found


def _lies_in(dimension: Dimension, own: JsonValue) -> bool:
    is_number = isinstance(own, int | float) and not isinstance(own, bool)
    return is_number and dimension.low <= float(str(own)) <= dimension.high
