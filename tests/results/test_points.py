"""The points of a sweep, and what the runs at them tell of each key."""

from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import JsonValue

from hpcli.analysis.profile import PARTS, Part, Profile
from hpcli.config import Config, load_config
from hpcli.config.points import USUAL_POINTS, swept_space
from hpcli.config.space import DECAY, LR, MOMENTUM
from hpcli.config.varying import JOINED, value_of, written
from hpcli.errors import UsageError
from hpcli.results.key_words import lines, open_ends
from hpcli.results.points import fitted, points, settings_of
from hpcli.results.searched import Fitted
from hpcli.results.trials import SweepTrial
from hpcli.states import RunStatus

Values = dict[str, list[object]]
THREE: Values = {LR: [1e-3, 1e-1], MOMENTUM: [0.8, 0.99], DECAY: [1e-4, 1]}
CHANCE = math.log(10)


def config(values: Values, **keys: object) -> Config:
    return load_config(
        overrides={**{key.replace("__", "."): each for key, each in keys.items()}, "sweep.values": values}
    )


def names(values: Values, **keys: object) -> list[str]:
    return [setting.name for setting in settings_of(config(values, **keys))]


def places(own: Config) -> NDArray[np.float64]:
    """[k, d] where the settings lie in their space."""
    space = swept_space(own)
    return np.array(
        [[each.place(value) for each, value in zip(space, setting.values, strict=True)] for setting in settings_of(own)]
    )


def test_points_are_settings_of_all_keys() -> None:
    own = config(THREE)
    found = settings_of(own)
    assert len(found) == USUAL_POINTS
    for setting in found:
        assert setting.values == tuple(value_of(setting.config, key) for key in THREE)
        assert setting.name == JOINED.join(map(written, setting.values))
        assert (setting.config.sweep.values, setting.config.sweep.points) == ({}, None)
        assert setting.config.train.epochs == own.sweep.epochs


def test_a_grid_is_what_it_was() -> None:
    two: Values = {LR: [1e-3, 1e-2], DECAY: [0, 1]}
    assert names(two) == ["1e-3 & 0", "1e-3 & 1", "0.01 & 0", "0.01 & 1"]
    assert names({LR: [1e-2, 1e-3]}) == ["0.01", "1e-3"]


@pytest.mark.parametrize("values", [THREE, {**THREE, "data.augment": ["none", "standard", "source"]}, {LR: [1e-3, 1]}])
def test_more_points_begin_with_the_same_ones(values: Values) -> None:
    every = names(values, sweep__points=48)
    assert len(set(every)) == 48
    for count in (2, 5, 8, 16, 33):
        assert names(values, sweep__points=count) == every[:count]


def test_points_are_the_same_in_every_process_and_others_with_another_seed() -> None:
    """And with every scipy that is let in: sweeps are gone on with."""
    probe = (
        "from hpcli.config import load_config; from hpcli.results.points import settings_of;"
        f"print(*(each.name for each in settings_of(load_config(overrides={{'sweep.values': {THREE}}}))), sep=',')"
    )
    there = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout
    assert there.strip().split(",") == names(THREE)
    assert names(THREE)[:3] == ["0.00661 & 0.9889 & 0.27", "0.0369 & 0.881 & 0.00136", "0.0266 & 0.9654 & 0.0355"]
    assert not {*names(THREE)} & {*names(THREE, seed=1)}


def test_they_fill_their_ranges_evenly_on_the_keys_scales() -> None:
    found = places(config(THREE, sweep__points=16))
    assert found.shape == (16, 3)
    for key in found.T:
        assert sorted(np.floor(16 * np.clip(key, 0, 0.999)).tolist()) == pytest.approx(list(range(16)), abs=1)
    assert (found > -1e-9).all()
    assert (found < 1 + 1e-9).all()
    rates = sorted(setting.config.schedule.max_lr for setting in settings_of(config(THREE)))
    assert 5e-3 < float(np.median(rates)) < 2e-2  # half of them below the middle of the decades


def test_numbers_have_three_digits_and_whole_ones_none_after_the_point() -> None:
    for name in names({**THREE, "data.batch_size": [16, 256], "train.label_smoothing": [0, 0.3]}):
        rate, momentum, decay, batch, smoothing = name.split(JOINED)
        assert all(float(f"{float(each):.3g}") == float(each) for each in (rate, decay, smoothing))
        assert float(f"{1 - float(momentum):.3g}") == pytest.approx(1 - float(momentum))
        assert 16 <= int(batch) <= 256


@pytest.mark.parametrize("count", [6, 16, 24])
def test_choices_are_used_evenly(count: int) -> None:
    values: Values = {LR: [1e-3, 1e-1], "data.augment": ["none", "standard", "source"], MOMENTUM: ["0.95-0.85", 0.9]}
    parts = [name.split(JOINED) for name in names(values, sweep__points=count)]
    for place, choices in ((1, 3), (2, 2)):
        often = Counter(each[place] for each in parts)
        assert len(often) == choices
        assert max(often.values()) - min(often.values()) <= 2


def test_where_there_are_fewer_settings_all_are_taken() -> None:
    values: Values = {
        "data.augment": ["none", "standard"],
        "optimizer.decay_norm_and_bias": [True, False],
        "data.batch_size": [16, 17],
    }
    assert len(set(names(values, sweep__points=16))) == 8 == len(names(values, sweep__points=16))
    assert names(values, sweep__points=5) == names(values, sweep__points=16)[:5]


def test_what_is_swept_is_not_retuned() -> None:
    with pytest.raises(UsageError, match=r"--retune schedule.max_lr: is what is swept"):
        settings_of(config(THREE, sweep__retune={LR: [1e-3, 1e-2]}))


BEST, STEEP = np.array([0.6, 0.4, 0.7]), np.array([3.0, 1.0, 0.4])
"""A planted bowl: where on each axis it is lowest, and how steep its log loss is there."""


def surface_of(
    own: Config, world: int, *, noise: float = 0.05, seeds: int = 1, states: dict[int, RunStatus] | None = None
) -> Fitted:
    """The surface through runs at a sweep's points whose log loss is a quadratic, with noise."""
    rng, found = np.random.default_rng(world), settings_of(own)
    smooth = -1 + ((places(own) - BEST[: len(own.sweep.values)]) ** 2) @ STEEP[: len(own.sweep.values)]
    rows = []
    for seed in range(seeds):
        for number, (setting, log_loss) in enumerate(zip(found, smooth, strict=True)):
            status = (states or {}).get(number, RunStatus.FINISHED)
            loss = float(np.exp(log_loss + noise * rng.normal()))
            row = SweepTrial("t", setting.name, seed, status, loss, 0.5, 0.9, 1.0, "", None, reused=False)
            rows.append(row)
    made = fitted(own, rows, found[0], CHANCE)
    assert made is not None
    return made


def test_a_planted_minimum_lies_within_the_profiles_band() -> None:
    """Of each of three keys, whichever points a seed draws."""
    held = []
    for world in range(12):
        made = surface_of(config(THREE, seed=world), world)
        for profile, best in zip(made.profiles, BEST, strict=True):
            part = profile.parts[int(best * PARTS)]
            assert not part.is_worse
            held.append(part.low <= 0.003)  # no other part is lower
        steep = made.profiles[0]
        assert abs(int(np.argmin([part.middle for part in steep.parts])) - int(BEST[0] * PARTS)) <= 1
        assert steep.parts[0].middle > 0.3  # a quadratic's .56 at the middle of the part, cut off where it is high
        assert steep.parts[0].is_worse
    assert all(held)


def test_more_seeds_and_more_points_leave_less_open() -> None:
    def width(made: Fitted) -> float:
        return float(np.mean([part.high - part.low for profile in made.profiles for part in profile.parts]))

    few = np.mean([width(surface_of(config(THREE, seed=world), world, noise=0.1)) for world in range(4)])
    seeds = np.mean([width(surface_of(config(THREE, seed=world), world, noise=0.1, seeds=3)) for world in range(4)])
    more = np.mean(
        [width(surface_of(config(THREE, seed=world, sweep__points=48), world, noise=0.1)) for world in range(4)]
    )
    assert more < few
    assert seeds < few


def test_a_line_says_what_each_key_does() -> None:
    made = surface_of(config(THREE, sweep__points=32), 0, noise=0.02)
    found = lines(made)
    assert [line["key"] for line in found] == ["max_lr", "momentum", "weight decay"]
    assert [line["use"] for line in found] == ["0.00661", "0.9889", "0.27"]
    assert "no difference found; " in str(found[0]["what it does"])
    assert " is worse by " in str(found[0]["what it does"])


def test_runs_that_failed_tell_nothing_and_runs_that_diverged_that_it_is_bad() -> None:
    own = config(THREE)
    made = surface_of(own, 0, states={0: RunStatus.FAILED, 1: RunStatus.DIVERGED, 2: RunStatus.WAITING})
    assert len(made.searched.over) == USUAL_POINTS - 2
    assert made.searched.lost.tolist() == [True, *[False] * (USUAL_POINTS - 3)]
    assert made.searched.losses[0] == pytest.approx(math.log(1.1 * CHANCE))


def test_the_configs_own_values_are_marked_where_they_lie_in_the_space() -> None:
    def marked(values: Values, **keys: object) -> dict[str, object]:
        made = fitted(config(values, **keys), [], None, CHANCE)
        assert made is not None
        assert made.profiles == []
        assert made.choice is None
        return dict(made.present)

    assert marked(THREE) == {LR: 1e-2, DECAY: 1e-2}  # a pair of momenta lies on no axis of single ones
    assert marked({**THREE, MOMENTUM: ["0.95-0.85", 0.9]})[MOMENTUM] == "0.95-0.85"
    assert marked({LR: [1e-3, 5e-3], MOMENTUM: [0.8, 0.95], "schedule.pct_start": [0.1, 0.4]}) == {}
    assert marked(THREE, schedule__momentum=0.9)[MOMENTUM] == 0.9


def test_a_grid_has_no_surface() -> None:
    assert fitted(config({LR: [1e-3, 1e-2]}), [], None, CHANCE) is None


def test_an_end_of_a_range_is_named() -> None:
    made = surface_of(config(THREE), 0)
    space, chosen = made.space, dict(made.choice or {})

    def end(value: JsonValue) -> str | None:
        return Fitted(made.searched, made.profiles, {}, {**chosen, LR: value}).end_of(0)

    assert [end(value) for value in (chosen[LR], 1e-3, 0.1)] == [None, "lower", "upper"]
    assert made.matters(0)
    assert [each.key for each in space] == list(THREE)


def test_what_lies_at_an_end_and_may_matter_is_said() -> None:
    """And nothing of a key that is known to do nothing; what is known to matter has a sentence of its own."""
    made = surface_of(config(THREE), 0)
    flat, open_one, worse = (
        Profile((Part(0, 0.5, 0, 0, 0, 0), Part(0.5, 1, low, low, high, high)))
        for low, high in ((0.0, 0.001), (0.0, 0.5), (0.3, 0.5))
    )

    def said(chosen: tuple[float, ...], *profiles: Profile) -> list[str]:
        values = {each.key: each.value(place) for each, place in zip(made.space, chosen, strict=True)}
        return open_ends(Fitted(made.searched, profiles, {}, values))

    rest = "is not known; if so, better may lie beyond."
    both = "At the ends of their ranges lie max_lr and weight decay: whether they matter"
    assert said((0.0, 0.5, 1.0), open_one, open_one, open_one) == [f"{both} {rest}"]
    assert said((0.0, 0.5, 0.5), open_one, open_one, open_one) == [
        f"At the end of its range lies max_lr: whether it matters {rest}"
    ]
    assert said((0.0, 0.5, 1.0), worse, open_one, flat) == []
    assert said((0.5, 0.5, 0.5), open_one, open_one, open_one) == []


def test_points_of_a_space_alone() -> None:
    """As the picture and the words take them: pure, without a config."""
    space = swept_space(config(THREE))
    assert points(space, 4, 0) == points(space, 8, 0)[:4]
    assert points(space, 4, 0) != points(space, 4, 1)
