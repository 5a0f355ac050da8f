from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from hpcli.config import Config, load_config
from hpcli.config.code import code_in, resuming
from hpcli.config.momentum import parse_momentum
from hpcli.config.space import (
    DECAY,
    DECAYS,
    LR,
    MOMENTA,
    MOMENTUM,
    RATES,
    Dimension,
    Scale,
    pinned,
    setting_at,
    space,
)
from hpcli.config.varying import value_of
from hpcli.errors import ConfigError

LOG = Dimension(LR, Scale.LOG, 1e-4, 1e-1)
LINEAR = Dimension("schedule.pct_start", Scale.LINEAR, 0.2, 0.6)
WHOLE = Dimension("data.batch_size", Scale.LOG, 16, 256, whole=True)
CONSTANT = Dimension(MOMENTUM, Scale.MEMORY, 0.5, 0.99)
PAIR = Dimension(MOMENTUM, Scale.MEMORY, 0.5, 0.99, ratio=3.0)
CHOICE = Dimension("data.augment", Scale.CHOICE, choices=("none", "standard", "source"))


def config(values: dict[str, object] | None = None, **keys: object) -> Config:
    given_keys = {key.replace("__", "."): value for key, value in keys.items()}
    return load_config(overrides={"data.name": "digits", **given_keys, "tune.values": values or {}})


def searched(values: dict[str, object] | None = None, **keys: object) -> dict[str, Dimension]:
    return {each.key: each for each in space(config(values, **keys))}


@pytest.mark.parametrize("dimension", [LOG, LINEAR, CONSTANT, PAIR], ids=lambda each: f"{each.scale}-{each.ratio}")
@given(place=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_a_value_lies_at_its_place(dimension: Dimension, place: float) -> None:
    """Three digits lose less than a hundredth of the range."""
    value = dimension.value(place)
    assert dimension.place(value) == pytest.approx(place, abs=0.01)
    assert dimension.place(dimension.value(dimension.place(value))) == pytest.approx(dimension.place(value), abs=1e-3)


@given(place=st.floats(0, 1), low=st.sampled_from([0.9, 0.99, 0.999, 0.9999, -5.0, 0.0, 1e4]), span=st.floats(1e-4, 1))
@settings(max_examples=60, deadline=None)
def test_a_narrow_range_has_its_own_digits(place: float, low: float, span: float) -> None:
    """Between .999 and .9999 there is nothing of three digits; and no value lies outside."""
    narrow = Dimension("optimizer.beta2", Scale.LINEAR, low, low + span)
    value = narrow.value(place)
    assert narrow.place(value) == pytest.approx(place, abs=0.01)
    assert isinstance(value, float)
    assert low <= value <= low + span


@pytest.mark.parametrize(
    ("dimension", "lower", "upper"),
    [
        (Dimension("train.label_smoothing", Scale.LINEAR, 0.0, 0.2), True, False),
        (Dimension("schedule.pct_start", Scale.LINEAR, 0.2, 1.0), False, True),
        (Dimension("data.batch_size", Scale.LINEAR, 1, 4, whole=True), True, False),
        (LOG, False, False),
        (CONSTANT, False, False),
        (Dimension(MOMENTUM, Scale.MEMORY, 0.0, 0.99), True, False),
    ],
)
def test_where_a_key_ends(dimension: Dimension, lower: bool, upper: bool) -> None:
    assert (dimension.is_limit("lower"), dimension.is_limit("upper")) == (lower, upper)
    assert dimension.within(dimension.low, dimension.high, breaks=True).is_limit("upper")


def test_few_whole_numbers_lie_apart() -> None:
    parts = Dimension("schedule.cycles", Scale.LINEAR, 1, 4, whole=True).parts
    assert [(round(low, 3), round(high, 3)) for low, high in parts] == [
        (0.0, 0.163), (0.17, 0.497), (0.503, 0.83), (0.837, 1.0),
    ]  # fmt: skip
    assert len(Dimension("data.batch_size", Scale.LOG, 1, 12, whole=True).parts) == 12
    assert WHOLE.parts == LINEAR.parts == ()


@given(place=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_whole_numbers(place: float) -> None:
    value = WHOLE.value(place)
    assert isinstance(value, int)
    assert 16 <= value <= 256
    assert WHOLE.value(WHOLE.place(value)) == value


@pytest.mark.parametrize("value", ["none", "standard", "source"])
def test_choices(value: str) -> None:
    assert CHOICE.value(CHOICE.place(value)) == value
    assert CHOICE.decades is None


@pytest.mark.parametrize(
    ("dimension", "low", "middle", "high"),
    [
        (LOG, 1e-4, 0.00316, 0.1),
        (LINEAR, 0.2, 0.4, 0.6),
        (WHOLE, 16, 64, 256),
        (CONSTANT, 0.5, 0.9293, 0.99),
    ],
    ids=lambda each: each.scale if isinstance(each, Dimension) else "",
)
def test_ends_and_middle(dimension: Dimension, low: JsonValue, middle: JsonValue, high: JsonValue) -> None:
    assert [dimension.value(place) for place in (0, 0.5, 1)] == [low, middle, high]


def test_three_digits_of_the_memory() -> None:
    """Of 1 − momentum: 0.00123 is as good a number as 0.123."""
    assert Dimension(MOMENTUM, Scale.MEMORY, 0.9, 0.999).value(0.9) == 0.99842
    assert LOG.value(1 / 3) == 0.001
    assert LOG.value(0.123456) == 0.000235


def test_decades() -> None:
    assert LOG.decades == pytest.approx(3)
    assert CONSTANT.decades == pytest.approx(math.log10(50))
    assert LINEAR.decades is None


@pytest.mark.parametrize("present", ["0.95-0.85", "0.9-0.0", "0.99-0.9", "0.99-0.0", "0.999-0.5", "0.9-0.89"])
def test_a_pair_keeps_its_ratio_and_stays_a_momentum(present: str) -> None:
    dimension = searched(schedule__momentum=present)[MOMENTUM]
    own = parse_momentum(present)
    ratio = (1 - own.low) / (1 - own.high)
    for step in range(51):
        found = parse_momentum(dimension.value(step / 50))
        assert 0 <= found.low < found.high < 1
        assert (1 - found.low) / (1 - found.high) == pytest.approx(ratio, rel=0.02)
    assert dimension.high == MOMENTA[1]


def test_the_middle_of_a_pair_is_what_the_range_is_of() -> None:
    found = parse_momentum(PAIR.value(0))
    assert (1 - found.high) * (1 - found.low) == pytest.approx((1 - 0.5) ** 2, rel=0.01)


@pytest.mark.parametrize("present", ["0.95-0.85", 0.9, 0.5, 0.99])
def test_where_the_present_momentum_lies(present: object) -> None:
    own = config(schedule__momentum=present)
    dimension = {each.key: each for each in space(own)}[MOMENTUM]
    place = dimension.place(value_of(own, MOMENTUM))
    assert 0 <= round(place, 9) <= 1
    found, momentum = parse_momentum(dimension.value(place)), own.schedule.momentum
    assert (1 - found.high, 1 - found.low) == pytest.approx((1 - momentum.high, 1 - momentum.low), rel=0.01)


def test_a_present_value_outside_the_range() -> None:
    """It is run all the same, and lies where it lies."""
    assert LOG.place(1e-5) == pytest.approx(-1 / 3)
    assert LOG.place(1.0) == pytest.approx(4 / 3)
    assert LOG.place(0) == pytest.approx(-1 / 3)  # a decade below the lowest
    assert LINEAR.place(0.8) == pytest.approx(1.5)
    assert CONSTANT.place(0.999) > 1
    assert CONSTANT.place(0.0) < 0


def test_another_range_of_the_same_key() -> None:
    narrow = LOG.within(1e-3, 1e-2)
    assert (narrow.key, narrow.value(0), narrow.value(1)) == (LR, 1e-3, 1e-2)


@pytest.mark.parametrize(("optimizer", "decay"), DECAYS)
def test_what_is_searched_where_nothing_is_said(optimizer: str, decay: str) -> None:
    name = "timm/lion" if optimizer == "lion" else optimizer
    found = searched(optimizer__name=name, optimizer__decay=decay)
    assert list(found) == [LR, MOMENTUM, DECAY]
    assert (found[LR].low, found[LR].high) == RATES[optimizer]
    assert (found[DECAY].low, found[DECAY].high) == DECAYS[optimizer, decay]
    assert [each.scale for each in found.values()] == [Scale.LOG, Scale.MEMORY, Scale.LOG]
    assert (found[MOMENTUM].low, found[MOMENTUM].high) == MOMENTA


def test_a_single_value_stays() -> None:
    own = config({LR: [3e-3], "data.augment": ["none"]})
    assert [each.key for each in space(own)] == [MOMENTUM, DECAY]
    assert pinned(own).schedule.max_lr == 3e-3
    assert pinned(own).data.augment == "none"
    assert own.schedule.max_lr != 3e-3


def test_own_ranges_and_choices() -> None:
    found = searched(
        {
            LR: [0.1, 1e-3],  # whichever comes first
            "data.augment": ["none", "standard"],
            "data.batch_size": [16, 256],
            "train.label_smoothing": [0, 0.2],
            DECAY: [0, 1e-2, 1e-1],
        }
    )
    assert list(found) == [LR, MOMENTUM, DECAY, "data.augment", "data.batch_size", "train.label_smoothing"]
    assert (found[LR].low, found[LR].high, found[LR].scale) == (1e-3, 0.1, Scale.LOG)
    assert found["data.batch_size"].whole
    assert (found["train.label_smoothing"].scale, found["train.label_smoothing"].value(0)) == (Scale.LINEAR, 0)
    assert found["data.augment"].choices == ("none", "standard")


def test_more_numbers_are_choices() -> None:
    found = searched({DECAY: [0, 1e-3, 1e-2]}, optimizer__weight_decay=1e-3)[DECAY]
    assert found.choices == (0.0, 1e-3, 1e-2)


def test_pairs_of_momentum_are_choices() -> None:
    found = searched({MOMENTUM: ["0.95-0.85", "0.99-0.9"]}, schedule__momentum="0.95-0.85")[MOMENTUM]
    assert found.choices == ("0.95-0.85", "0.99-0.9")


@pytest.mark.parametrize(
    ("values", "said", "remedy"),
    [
        ({LR: [1e-3, 1e-3]}, "tune.values.schedule.max_lr: 1e-3 is there twice", "leave one"),
        ({DECAY: [0.01, 0.1, 1e-2]}, "tune.values.optimizer.weight_decay: 0.01 is there twice", "leave one"),
        ({"data.augment": ["none", "none"]}, "tune.values.data.augment: none is there twice", "leave one"),
        ({DECAY: [0.5, 0.7, 0.9]}, "tune.values.optimizer.weight_decay: the config's own", "add it"),
        ({LR: [1e-3], MOMENTUM: [0.9], DECAY: [0]}, "tune.values: nothing is left to search", "two ends"),
        ({MOMENTUM: [0.1, 0.3]}, "tune.values.schedule.momentum: a pair in the ratio of 0.95-0.85", "higher range"),
        ({"train.clip_norm": [0.1, 1.0]}, "tune.values.train.clip_norm: the config's own is null", "--set train.clip"),
        ({"schedule.pct_start": [0.1, 0.5]}, "tune.values.schedule.pct_start: the config's own is null", "--set sched"),
        ({"model.options.width": [8, 16]}, "tune.values.model.options.width: the config's own is null", "--set model"),
        ({"model.options.a": ["x", "y"]}, "tune.values.model.options.a: the config's own null is not among", "add it"),
    ],
)
def test_a_line_says_what_is_wrong_and_what_to_do(values: dict[str, object], said: str, remedy: str) -> None:
    own = config(values, schedule__momentum=0.9 if MOMENTUM in values and 0.9 in values[MOMENTUM] else "0.95-0.85")  # type: ignore[operator]
    with pytest.raises(ConfigError) as caught:
        space(own)
    assert str(caught.value).startswith(said)
    assert remedy in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({MOMENTUM: ["x", 0.3]}, "x: must be a pair"),
        ({MOMENTUM: [0.5, 1]}, "below 1"),
        ({LR: [-1, 1]}, "must be above 0"),
        ({LR: [0.1, True]}, "must be a number"),
        ({LR: [math.inf, 1]}, "finite"),
        ({LR: []}, "no values; give at least one"),
        ({LR: 1e-3}, "must be a list"),
        ({"data.augment": ["none", "flip"]}, "choose from"),
        ({"data.batch_size": [8, 16.5]}, "whole number"),
        ({"bogus.key": [1, 2]}, "unknown key"),
        ({"seed": [1, 2]}, "cannot be varied"),
        ({"tune.runs": [10, 20]}, "cannot be varied"),
        ({"lr_find.steps": [10, 20]}, "cannot be varied"),
        ({"train.epochs": [1, 5]}, "tune.epochs sets the length"),
    ],
)
def test_what_a_config_refuses(values: dict[str, object], said: str) -> None:
    """Before anything is trained, as in the values of sweeps."""
    with pytest.raises(ConfigError, match=said):
        config(values)


def test_code_that_is_searched_has_to_be_allowed() -> None:
    assert "net:small" in code_in(config({"model.name": ["shallow3", "net:small"]}))


def test_a_setting_is_a_short_run_of_its_values() -> None:
    own = config({LR: [1e-3, 1e-1]})
    values: dict[str, JsonValue] = {LR: 0.02, MOMENTUM: "0.9-0.7", DECAY: 0.1}
    found = setting_at(own, 2, values)
    assert found.name == "0.02 & 0.9-0.7 & 0.1"
    assert found.values == (0.02, "0.9-0.7", 0.1)
    assert (found.config.train.epochs, found.config.schedule.max_lr) == (2, 0.02)
    assert found.config.tune.values == {}
    assert found.identity(0) != found.identity(1)


@pytest.mark.parametrize("values", [{}, {"data.augment": ["none", "standard"], "data.batch_size": [16, 256]}])
def test_every_place_is_a_run(values: dict[str, object]) -> None:
    own = config(values)
    for place in (0.0, 0.37, 1.0):
        chosen = {each.key: each.value(place if each.scale != Scale.CHOICE else round(place)) for each in space(own)}
        again = dict(zip(chosen, setting_at(own, 1, chosen).values, strict=True))
        assert again == chosen


def test_a_run_is_gone_on_with_by_words_that_a_shell_reads() -> None:
    assert resuming("sweep-wd", "a b", Config(), "--seeds", "4") == "hpcli sweep-wd --resume 'a b' --seeds 4"
    own = config({"model.name": ["shallow3", "net:small"]})
    assert resuming("sweep", "a", own) == "hpcli sweep --resume a --allow-code"
