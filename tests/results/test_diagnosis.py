from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from hpcli import plots
from hpcli.analysis.diagnosis import diagnose
from hpcli.analysis.signs import Finding
from hpcli.config import Config, load_config, with_overrides
from hpcli.recording.rows import Columns
from hpcli.results.data import ClassImages, DataFacts
from hpcli.results.diagnosis import mark, plain_findings, says
from hpcli.results.facts import diagnosis_lines, shown_facts
from hpcli.results.following import RUN, Following
from hpcli.results.html import html_of
from hpcli.results.remedies import REMEDIES, remedy
from hpcli.results.train import Reestimated, TrainResult
from hpcli.states import RunStatus, Sign
from tests.analysis.diagnosed import one_cycle, real_runs, smiths_runs

SMITHS, REAL = smiths_runs(), real_runs()


def made_result(*, status: RunStatus = RunStatus.FINISHED, epochs: int = 30, rise: float = 0.4) -> TrainResult:
    """A run whose validation loss is lowest about epoch 12 and rises from there by `rise`."""
    x, per_epoch = np.linspace(0, 1, epochs), 5
    random = np.random.default_rng(0)
    train = 0.05 + 2.2 * np.exp(-9 * x)
    valid = 0.3 + 2.0 * np.exp(-9 * x) + rise * np.clip(x - 0.4, 0, None) + random.normal(0, 0.005, epochs)
    columns: Columns = {
        "epoch": np.arange(epochs, dtype=float),
        "step": np.arange(per_epoch - 1, epochs * per_epoch, per_epoch, dtype=float),
        "train_loss": train,
        "train_eval_loss": train,
        "valid_loss": valid,
        "valid_accuracy": 1 - 0.3 * valid,
        "valid_top5": np.ones(epochs),
        "lr": 0.01 * one_cycle(epochs),
    }
    count = epochs * per_epoch
    steps: Columns = {
        "step": np.arange(count, dtype=float),
        "lr": np.full(count, 0.01),
        "momentum": np.full(count, 0.9),
        "train_loss": np.repeat(train, per_epoch),
    }
    config: Config = load_config(overrides={"train.epochs": epochs, "data.steps_per_epoch": per_epoch})
    data = DataFacts(tuple(ClassImages(label, str(label), 100, 20, 0) for label in range(10)))
    return TrainResult(status, config, data, steps, columns, (), None, None)


def test_a_wrong_learning_rate_leads_to_a_range_test_and_others_to_an_evaluation() -> None:
    assert made_result().following == Following(("evaluate", RUN))
    assert made_result(status=RunStatus.DIVERGED).following == Following(("lr-find",))
    assert made_result(status=RunStatus.INTERRUPTED).following is None
    sound = made_result()
    stuck = {name: np.full_like(values, 2.3) for name, values in sound.epochs.items() if "loss" in name}
    lost = replace(sound, epochs={**sound.epochs, **stuck, "valid_accuracy": np.full(30, 0.1)})
    assert [each.sign for each in lost.diagnosis] == [Sign.AT_CHANCE]
    assert lost.following == Following(("lr-find",))


def test_a_result_says_what_ails_it() -> None:
    result = made_result()
    (found,) = result.diagnosis
    assert found.sign == Sign.OVERFITTING
    (plain,) = plain_findings(result.diagnosis)
    assert result.summary()["diagnosis"] == [plain]
    assert plain["sign"] == "overfitting"
    assert found.evidence["lowest"] == pytest.approx(result.epochs["valid_loss"].min(), abs=0.02)
    assert f"rises from about {found.evidence['lowest']:.3g}, around epoch {found.epochs[0]}, " in str(plain["says"])
    assert "weight decay" in str(plain["remedy"])


def test_a_sound_run_is_silent() -> None:
    result = made_result(rise=0.0)
    assert result.diagnosis == ()
    assert result.summary()["diagnosis"] == []
    assert diagnosis_lines(result.summary()) == []


@pytest.mark.parametrize("keys", [{"train.mixup": 0.2}, {"train.cutmix": 1.0}], ids=str)
def test_losses_of_mixed_batches_are_no_jumps(keys: dict[str, float]) -> None:
    """Two classes, most shares near 0 or 1: a batch at a half has a loss of ln 2 more, whatever the network knows."""
    result = made_result(rise=0.0)
    data = DataFacts(result.data.classes[:2])
    losses = result.steps["train_loss"].copy()
    losses[[60, 90, 120]] += math.log(2)
    plain = replace(result, data=data, steps={**result.steps, "train_loss": losses})
    assert Sign.UNSTABLE in {each.sign for each in plain.diagnosis}
    mixed = replace(plain, config=with_overrides(plain.config, keys))
    assert Sign.UNSTABLE not in {each.sign for each in mixed.diagnosis}


def test_mixing_is_named_where_it_raises_the_loss_in_training() -> None:
    """And what is evaluated decides: a run that learns is sound, one whose loss stays high mixes too much."""
    result = made_result(rise=0.0)
    mixed = with_overrides(result.config, {"train.mixup": 1.0})
    high = {"train_loss": result.epochs["train_loss"] + 0.5}
    sound = replace(result, config=mixed, epochs={**result.epochs, **high})
    (plain,) = plain_findings(sound.diagnosis)
    assert (plain["sign"], str(plain["says"]).count("for mixing, dropout, augmentation or label smoothing alone")) == (
        "regularised",
        1,
    )
    more = {"train_loss": 1.7, "train_eval_loss": 1.2, "valid_loss": 1.0}
    slow = {name: result.epochs[name] + each for name, each in more.items()}
    (plain,) = plain_findings(replace(sound, epochs={**result.epochs, **slow}).diagnosis)
    assert plain["sign"] == "underfitting"
    assert "Mixing, dropout and augmentation raise it to 1.7" in str(plain["says"])


@pytest.mark.parametrize("status", [RunStatus.INTERRUPTED, RunStatus.RUNNING, RunStatus.CRASHED, RunStatus.FAILED])
def test_a_run_that_is_not_over_is_not_diagnosed(status: RunStatus) -> None:
    assert made_result(status=status).diagnosis == ()


def test_data_of_one_class_or_of_none_are_not_diagnosed() -> None:
    result = made_result()
    one = replace(result, data=DataFacts(result.data.classes[:1]))
    assert one.diagnosis == replace(result, data=DataFacts(())).diagnosis == ()


def test_a_run_lost_before_an_epoch_says_so() -> None:
    empty = {name: values[:0] for name, values in made_result().epochs.items()}
    (plain,) = plain_findings(replace(made_result(status=RunStatus.DIVERGED), epochs=empty).diagnosis)
    assert plain["says"] == "The training loss was lost before the first epoch's end."


def test_a_person_reads_a_line_a_sign_and_no_table() -> None:
    summary = made_result().summary()
    (line,) = diagnosis_lines(summary)
    (plain,) = plain_findings(made_result().diagnosis)
    assert line == f"{plain['says']} {plain['remedy']}"
    assert "diagnosis" not in shown_facts(summary)
    assert line.replace("'", "&#x27;") in html_of(summary, status="finished")


def test_a_lag_that_the_sentence_tells_is_not_told_again() -> None:
    result = made_result(rise=0.0)
    short = replace(result, reestimated=Reestimated(0.1, 0.9, 1.0, 50))
    summary = short.summary()
    assert [found.sign for found in short.diagnosis] == [Sign.BN_LAG]
    assert "running averages" in str(summary["sentence"])
    assert diagnosis_lines(summary) == []


@pytest.mark.parametrize("optimizer", ["schedulefree_adamw", "prodigy"])
def test_remedies_name_no_range_test_where_there_is_none(optimizer: str) -> None:
    for sign in REMEDIES:
        assert "{" not in remedy(sign) + remedy(sign, "2.1", optimizer)
        assert "lr-find" not in remedy(sign, optimizer=optimizer)
    assert "train.clip_norm: 2.1." in remedy(Sign.UNSTABLE, "2.1")
    rates = {"optimizer.name": optimizer, "schedule.name": "constant", "schedule.momentum": 0.9, "schedule.max_lr": 1.0}
    lost = made_result(status=RunStatus.DIVERGED)
    own = replace(lost, config=with_overrides(lost.config, rates))
    assert (lost.following, own.following) == (Following(("lr-find",)), Following(("evaluate", RUN)))


def test_every_sign_has_words_and_a_remedy() -> None:
    assert set(REMEDIES) == set(Sign)
    numbers = (
        "lowest last best_accuracy accuracy train_loss chance highest usual peak_lr before first low high level lr "
        "valid_loss train_eval_loss accuracy_then batches"
    )
    evidence = dict.fromkeys(numbers.split(), 0.25)
    for sign in Sign:
        for epochs in ((3, 7), (7,)) if sign != Sign.COLLAPSED else ((3, 7),):
            if sign == Sign.LR_NOT_ANNEALED and len(epochs) == 1:
                continue
            text = says(Finding(sign, evidence, epochs))
            assert text.endswith("."), text
            assert "nan" not in text


@pytest.mark.parametrize(
    ("series", "words"),
    [
        (
            "clr3SS5kWD-3Fig11",
            "What had been learnt is gone: 65.9% were right after 4 epochs, 10.0% are, which is chance, and have been since "
            "epoch 13.",
        ),
        ("lr35Tr10kTab1", "The training images are known by heart, the training loss is 0.000372; the validation loss is 1.7."),
    ],
)  # fmt: skip
def test_smiths_runs_in_words(series: str, words: str) -> None:
    (found,) = diagnose(SMITHS[series])
    assert says(found) == words


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("learning rate too low", "The training loss falls slowly, along a straight line, from 2.63 to 2.01"),
        ("slow BatchNorm", "the validation loss is 0.0796 with them, 0.0457 with statistics measured anew."),
        ("dropout of .8", "The loss in training, 0.915, is above the validation loss, 0.473, for dropout"),
        ("learning rate not annealed", "From epoch 10 on the validation loss goes up and down between 0.123 and 0.426"),
    ],
)
def test_real_runs_in_words(setting: str, words: str) -> None:
    (found,) = diagnose(REAL[setting, 0])
    assert words in says(found)


def test_the_picture_marks_the_epoch() -> None:
    result = made_result()
    (found,) = result.diagnosis
    axes = plots.loss(result).axes[0]
    named = f"epoch {found.epochs[0]}: validation rises from here"
    (line,) = [each for each in axes.lines if each.get_label() == named]
    assert set(np.asarray(line.get_xdata())) == {result.epochs["step"][found.epochs[0]]}
    healthy = plots.loss(made_result(rise=0.0)).axes[0]
    assert not [each for each in healthy.lines if str(each.get_label()).startswith("epoch")]
    assert mark(Finding(Sign.REGULARISED, {}, (3,))) is None
    assert not math.isnan(axes.get_ylim()[1])
