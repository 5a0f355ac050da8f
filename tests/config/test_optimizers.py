"""Names of optimizers: taken, or refused in a line that says why; what they decay like, and whose ranges they have."""

from __future__ import annotations

import numpy as np
import pytest

from hpcli.config import Config, load_config
from hpcli.config.grids import grid
from hpcli.config.optimizers import NAMES, decay_of, is_corrected, scale_of, why_refused
from hpcli.config.scaling import rule
from hpcli.config.space import space
from hpcli.errors import ConfigError, HpcliWarning
from hpcli.results.budgets import decaying_rates
from hpcli.results.tune_budget import ranges_lr
from hpcli.training.schedules import training_schedule


def of(name: str, **keys: object) -> Config:
    given = {f"optimizer.{key}": value for key, value in keys.items()}
    return load_config(overrides={"optimizer.name": name, "optimizer.decay": decay_of(name) or "decoupled", **given})


@pytest.mark.parametrize("name", NAMES)
def test_a_config_takes_every_name(name: str) -> None:
    config = of(name, weight_decay=0.5, decay_norm_and_bias=False)
    assert config.optimizer.name == name
    assert 0 in grid(config, "optimizer.weight_decay")
    assert {each.key for each in space(config)} == {"schedule.max_lr", "schedule.momentum", "optimizer.weight_decay"}
    assert ranges_lr(config)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("timm/adahessian", "timm/adahessian needs second derivatives; hpcli's step has gradients alone"),
        ("timm/adagrad", "timm/adagrad has no momentum for the schedule to set"),
        ("timm/adam", "timm/adam is hpcli's own: adamw, with decay: coupled"),
        ("timm/kron", "timm/kron draws random numbers of its own, which no seed governs"),
        ("timm/bnblion8bit", "timm/bnblion8bit is bitsandbytes's, not timm's own"),
        ("timm/fusedadam", "timm/fusedadam is apex's, not timm's own"),
        ("timm/muno", "unknown optimizer; did you mean timm/muon?"),
        ("lion", "unknown optimizer; did you mean timm/lion?"),
        ("adam", "unknown optimizer; did you mean adamw?"),
        ("timm/", "unknown optimizer; did you mean timm/sgdc?"),
    ],
)
def test_another_name_is_refused_and_why(name: str, why: str) -> None:
    assert why_refused(name) == why
    with pytest.raises(ConfigError) as caught:
        load_config(overrides={"optimizer.name": name})
    assert str(caught.value) == f"optimizer.name={name}: {why}"


@pytest.mark.parametrize(
    ("name", "decay", "why"),
    [
        ("timm/muon", "coupled", "timm/muon shrinks weights itself; leave optimizer.decay: decoupled"),
        (
            "timm/radam",
            "decoupled",
            "timm/radam adds weight decay to the gradient; set optimizer.decay: coupled, or take timm/radamw",
        ),
        ("timm/adamax", "decoupled", "timm/adamax adds weight decay to the gradient; set optimizer.decay: coupled"),
    ],
)
def test_a_decay_that_it_does_not_have_is_refused(name: str, decay: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        of(name, decay=decay)
    assert str(caught.value) == f"optimizer.decay={decay}: {why}"


@pytest.mark.parametrize("option", ["lr", "weight_decay", "momentum", "corrected_weight_decay", "maximize"])
def test_what_the_schedule_or_the_name_says_is_no_option(option: str) -> None:
    with pytest.raises(ConfigError, match=rf"optimizer\.options\.{option}=.*: not an option here; it "):
        of("timm/nadamw", **{f"options.{option}": 0.5})


def test_keys_that_do_nothing_there_are_named() -> None:
    with pytest.warns(HpcliWarning) as caught:
        of("timm/lion", beta2=0.9, eps=1e-3)
    assert [str(each.message) for each in caught] == [
        "optimizer.beta2: does nothing where optimizer.name is timm/lion",
        "optimizer.eps: does nothing where optimizer.name is timm/lion",
    ]
    with pytest.warns(HpcliWarning, match=r"optimizer\.options\.x: does nothing where optimizer\.name is sgd"):
        load_config(overrides={"optimizer.name": "sgd", "optimizer.options.x": 1})
    with pytest.raises(ConfigError, match="is SGD's"):
        of("timm/lion", nesterov=True)


def test_learning_rates_and_decays_are_looked_for_where_they_are_of_use() -> None:
    assert {scale_of(name) for name in NAMES} == {"adamw", "sgd", "lion"}
    by_name = {name: {each.key: (each.low, each.high) for each in space(of(name))} for name in NAMES}
    assert by_name["timm/muon"]["schedule.max_lr"] == (1e-4, 1e-1)
    assert by_name["timm/lionc"]["schedule.max_lr"] == (1e-5, 1e-2)
    assert by_name["timm/csgdw"]["schedule.max_lr"] == (3e-3, 3.0)
    assert by_name["timm/nadam"]["optimizer.weight_decay"] == (1e-5, 1e-1)
    assert grid(of("timm/lion"), "optimizer.weight_decay") == [0.0, 0.1, 1.0, 10.0, 0.01]
    assert rule(of("timm/muon"), ["data.batch_size"]) == "max_lr grows with the batch size's square root"
    assert rule(of("timm/sgdc"), ["data.batch_size"]) == "max_lr grows with the batch size"


def test_a_corrected_decay_goes_with_the_square_of_the_learning_rate() -> None:
    config = of("timm/adamc")
    schedule = training_schedule(config, 20)
    assert is_corrected("timm/adamc")
    assert decaying_rates(config, schedule) == pytest.approx(schedule.lr * schedule.lr / config.schedule.max_lr)
    assert np.array_equal(decaying_rates(of("timm/nadamw"), schedule), schedule.lr)
