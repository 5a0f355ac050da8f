"""Sweeps by points: which they are, between what their points lie, and what they refuse."""

from __future__ import annotations

import pytest

from hpcli.config import Config, load_config
from hpcli.config.points import USUAL_POINTS, num_points, ranges, swept_space, value_at
from hpcli.config.space import DECAY, LR, MOMENTUM, Dimension, Scale
from hpcli.errors import ConfigError

Values = dict[str, list[object]]
THREE: Values = {LR: [1e-3, 1e-1], MOMENTUM: [0.8, 0.95], DECAY: [1e-4, 1]}


def config(values: Values, **keys: object) -> Config:
    return load_config(
        overrides={**{key.replace("__", "."): each for key, each in keys.items()}, "sweep.values": values}
    )


def dimensions(values: Values) -> dict[str, Dimension]:
    return {each.key: each for each in swept_space(config(values))}


def test_one_key_and_two_are_a_grid_unless_points_are_asked_for() -> None:
    one, two = ({key: THREE[key] for key in list(THREE)[:count]} for count in (1, 2))
    assert [num_points(config(values)) for values in ({}, one, two, THREE)] == [0, 0, 0, USUAL_POINTS]
    assert [num_points(config(values, sweep__points=7)) for values in ({}, one, two, THREE)] == [0, 7, 7, 7]


def test_the_lowest_and_the_highest_value_are_a_range_on_the_keys_scale() -> None:
    found = dimensions(
        {
            LR: [0.02, 0.01, 0.03],  # near each other, and logarithmic all the same
            MOMENTUM: [0.9, 0.99, 0.8],
            DECAY: [1, 1e-4, 1e-2],
            "data.batch_size": [16, 32, 256],
            "train.label_smoothing": [0, 0.2],
            "model.options.width": [8, 16],
            "schedule.pct_start": [0.2, 0.5],  # the config has none of its own
        }
    )
    assert found == {
        LR: Dimension(LR, Scale.LOG, 0.01, 0.03),
        MOMENTUM: Dimension(MOMENTUM, Scale.MEMORY, 0.8, 0.99),
        DECAY: Dimension(DECAY, Scale.LOG, 1e-4, 1.0),
        "data.batch_size": Dimension("data.batch_size", Scale.LOG, 16, 256, whole=True),
        "train.label_smoothing": Dimension("train.label_smoothing", Scale.LINEAR, 0, 0.2),
        "model.options.width": Dimension("model.options.width", Scale.LINEAR, 8, 16, whole=True),
        "schedule.pct_start": Dimension("schedule.pct_start", Scale.LINEAR, 0.2, 0.5),
    }


def test_all_else_is_a_choice() -> None:
    found = dimensions(
        {
            MOMENTUM: ["0.95-0.85", 0.9],  # a pair among them
            "data.augment": ["none", "standard"],
            "optimizer.nesterov": [True, False],
            "model.options.num_blocks": [[1, 1, 1], [2, 2, 2]],
            "train.clip_norm": [None, 0.5, 1.0],
        }
    )
    assert {key: each.choices for key, each in found.items()} == {
        MOMENTUM: ("0.95-0.85", 0.9),
        "data.augment": ("none", "standard"),
        "optimizer.nesterov": (True, False),
        "model.options.num_blocks": ([1, 1, 1], [2, 2, 2]),
        "train.clip_norm": (None, 0.5, 1.0),
    }


def test_a_line_a_key_says_what_points_lie_between() -> None:
    assert ranges(config({**THREE, "data.augment": ["none", "standard"], "train.label_smoothing": [0, 0.2]})) == [
        "schedule.max_lr: 1e-3 to 0.1, logarithmic",
        "schedule.momentum: 0.8 to 0.95, logarithmic in 1 − m",
        "optimizer.weight_decay: 1e-4 to 1, logarithmic",
        "data.augment: none, standard, each about as often",
        "train.label_smoothing: 0 to 0.2, linear",
    ]
    assert ranges(config({LR: [1e-3, 1e-1]})) == []


def test_three_digits_do_not_leave_the_range() -> None:
    own = Dimension("train.label_smoothing", Scale.LINEAR, 0.12345, 0.9996)
    assert (value_at(own, 0.0), value_at(own, 1.0)) == (0.12345, 0.9996)
    whole = Dimension("data.batch_size", Scale.LOG, 16, 256, whole=True)
    assert [value_at(whole, place) for place in (0.0, 0.5, 1.0)] == [16, 64, 256]
    assert isinstance(value_at(whole, 0.3), int)
    assert value_at(Dimension("data.augment", Scale.CHOICE, choices=("none", "standard")), 1.0) == "standard"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({LR: [1e-3]}, "sweep.values.schedule.max_lr: 1e-3 alone is no range; give another value, or set it for all runs: --set schedule.max_lr=1e-3"),
        ({LR: [1e-3, 0.001]}, "1e-3 alone is no range"),
        ({"data.augment": ["none"]}, "none alone is no range"),
        ({DECAY: [0, 1e-3, 1]}, "sweep.values.optimizer.weight_decay: 0 lies on no logarithmic scale, and points do; give a small number instead, such as 1e-4"),
        ({"data.augment": ["none", "standard", "none"]}, "sweep.values.data.augment: none is there twice; leave one of them out"),
    ],
)  # fmt: skip
def test_what_is_no_range(values: Values, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        swept_space(config({**THREE, **values}))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"sweep__points": 1}, "must be at least 2"),
        ({"sweep__points": 1001}, "must be at most 1000"),
        ({"sweep__points": 2.5}, "whole number"),
        ({"sweep__points": 8, "sweep__refine": True}, "and points: it goes on between the values of a grid"),
    ],
)
def test_what_a_config_refuses(keys: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config(THREE, **keys)
