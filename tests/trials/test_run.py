"""A training run, held against torch alone, and at its edges: resumed, not finite, stopped at the very end."""

from __future__ import annotations

import copy
import os
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hpcli.config import Config, with_overrides
from hpcli.data.dataset import Splits
from hpcli.data.randomness import ORDER, random_bits
from hpcli.errors import UsageError
from hpcli.experiments.train import train
from hpcli.recording.disk import DiskRecorder
from hpcli.recording.memory import MemoryRecorder
from hpcli.recording.progress import Progress
from hpcli.recording.recorder import State
from hpcli.results.train import Reestimated, Step, TrainResult
from hpcli.runs.run import Run
from hpcli.states import RunStatus
from hpcli.training.evaluation import Evaluation
from hpcli.training.schedules import Schedule, training_schedule
from hpcli.training.trainer import Trainer
from hpcli.trials.run import _ended_worse_than_it_began, run_training

BATCH, STEPS = 32, 21


@pytest.fixture
def plain(config: Config) -> Config:
    """Without augmentation, and with a decay that can be seen."""
    settings = {
        "data.augment": "none",
        "optimizer.weight_decay": 0.3,
        "schedule.max_lr": 3e-3,
        "train.precision": "fp32",
    }
    return with_overrides(config, settings)


# Against torch alone


def batches_by_hand(splits: Splits, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of one pass after the other, each in the order that its seed gives it."""
    images, labels = torch.from_numpy(splits.train.images), torch.from_numpy(splits.train.labels)
    mean, std = torch.tensor(splits.source.mean), torch.tensor(splits.source.std)
    scale, shift = 1 / (255 * std), -mean / std
    for data_pass in range(3):
        order = torch.argsort(random_bits(torch.arange(len(labels)), seed, ORDER, data_pass), stable=True)
        for index in order.split(BATCH):
            if len(index) == BATCH:
                yield (images[index].float() * scale + shift).permute(0, 3, 1, 2), labels[index]


def optimizer_by_hand(model: nn.Module, config: Config) -> torch.optim.Optimizer:
    """torch's own, as the table of `hpcli.training.optimizer` says."""
    about, weights = config.optimizer, list(model.parameters())
    if about.name == "sgd":
        decay = about.weight_decay if about.decay == "coupled" else 0.0
        return torch.optim.SGD(weights, lr=1.0, momentum=0.9, weight_decay=decay, nesterov=about.nesterov, fused=True)
    kind = torch.optim.AdamW if about.decay == "decoupled" else torch.optim.Adam
    return kind(weights, betas=(0.9, about.beta2), eps=about.eps, weight_decay=about.weight_decay, fused=True)


def trained_by_hand(model: nn.Module, splits: Splits, config: Config, schedule: Schedule) -> list[float]:
    """The losses of the steps; the model is trained."""
    optimizer, losses = optimizer_by_hand(model, config), []
    table = zip(schedule.lr.tolist(), schedule.momentum.tolist(), strict=True)
    for (images, labels), (lr, momentum) in zip(batches_by_hand(splits, config.seed), table, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = lr
            if config.optimizer.name == "sgd":
                group["momentum"] = momentum
            else:
                group["betas"] = (momentum, config.optimizer.beta2)
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        if config.optimizer.name == "sgd" and config.optimizer.decay == "decoupled":
            with torch.no_grad():
                for weight in model.parameters():
                    weight.mul_(1 - lr * config.optimizer.weight_decay)
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize(
    "optimizer",
    [
        {"name": "adamw", "decay": "decoupled"},
        {"name": "adamw", "decay": "coupled"},
        {"name": "sgd", "decay": "decoupled"},
        {"name": "sgd", "decay": "coupled"},
        {"name": "sgd", "decay": "coupled", "nesterov": True},
    ],
    ids=lambda about: " ".join(map(str, about.values())),
)
def test_a_run_is_what_torch_alone_would_make_of_it(plain: Config, optimizer: dict[str, object], seed: int) -> None:
    """Every step with its own learning rate and momentum, on its own batch: neither the one before nor the next."""
    max_lr = 0.1 if optimizer["name"] == "sgd" else 3e-3
    settings = {f"optimizer.{name}": value for name, value in optimizer.items()}
    config = with_overrides(plain, {**settings, "schedule.max_lr": max_lr, "seed": seed})
    trainer = Trainer.from_config(config, device="cpu")
    by_hand = copy.deepcopy(trainer.model)
    schedule = training_schedule(config, 7)
    assert len({*schedule.lr.tolist()}) > STEPS // 2
    assert len({*schedule.momentum.tolist()}) > STEPS // 2
    recorder = MemoryRecorder()
    result = train(config, trainer=trainer, recorder=recorder)
    losses = trained_by_hand(by_hand, trainer.data.splits, config, schedule)
    assert result.steps["train_loss"].tolist() == losses
    for name, weight in by_hand.named_parameters():
        assert torch.equal(trainer.model.get_parameter(name), weight), name
    assert [(row.lr, row.momentum) for row in recorder.rows(Step)] == list(
        zip(schedule.lr.tolist(), schedule.momentum.tolist(), strict=True)
    )


def draw() -> None:
    """Advance every generator."""
    torch.rand(3)
    np.random.rand(3)
    random.random()


def generators() -> list[Any]:
    keys: Any = np.random.get_state()
    return [torch.get_rng_state().tolist(), keys[1].tolist(), keys[2:], random.getstate()]


@pytest.mark.parametrize("fails", [False, True])
def test_the_loop_leaves_the_generators_as_it_found_them(config: Config, fails: bool) -> None:
    """Also where what is told of its progress draws from them, and where it fails."""

    def drawing(about: Progress) -> None:
        draw()
        if fails and about.done == 3:
            raise RuntimeError("no more")

    trainer, recorder = Trainer.from_config(config), MemoryRecorder(config)
    draw()
    found = generators()
    with nullcontext() if not fails else pytest.raises(RuntimeError, match="no more"):
        run_training(config, trainer, recorder, drawing)
    assert generators() == found
    assert len(recorder.rows(Step)) == (3 if fails else STEPS)


# The order of the data


def losses_of(trainer: Trainer, config: Config, start: int = 0) -> list[float]:
    schedule = training_schedule(config, trainer.data.steps_per_epoch)
    reports = trainer.train(schedule, start)
    return [loss for report in reports for _, loss in (*report.losses, *report.wait())]


def test_the_order_of_the_data_is_the_seeds_however_it_was_set(plain: Config) -> None:
    """Weights are the same, so that nothing but the order tells seeds apart."""
    other = with_overrides(plain, {"seed": 3})
    weights = Trainer.from_config(plain).state_dict()["model"]

    def started(config: Config) -> Trainer:
        trainer = Trainer.from_config(config)
        trainer.load_weights(weights)
        return trainer

    expected, of_zero = losses_of(started(other), other), losses_of(started(plain), plain)
    assert expected != of_zero
    assert expected[0] != of_zero[0]
    reset = started(plain)
    reset.reset(3)
    reset.load_weights(weights)
    assert losses_of(reset, plain) == expected
    loaded = started(plain)
    loaded.load_state_dict(started(other).state_dict())
    assert losses_of(loaded, plain) == expected
    first = [tuple(started(config).data.loader.batch(0)[1].tolist()) for config in (plain, other)]
    assert first[0] != first[1]


def test_passes_have_orders_of_their_own(plain: Config) -> None:
    loader = Trainer.from_config(plain).data.loader
    orders = [loader.order(data_pass).tolist() for data_pass in range(3)]
    assert all(sorted(order) == list(range(len(loader.labels))) for order in orders)
    assert orders[0] != orders[1] != orders[2] != orders[0]


# Resumed


class Halting(MemoryRecorder):
    """Asks to stop once so many steps are written; takes a state of the best epoch so far, and notes what it is given."""

    def __init__(self, after: int = 10**9) -> None:
        super().__init__()
        self.after = after
        self.last: State | None = None
        self.saved: list[int] = []  # the step of every state

    def should_stop(self) -> bool:
        return len(self.rows(Step)) >= self.after

    def is_due(self, *, ends_epoch: bool, is_best: bool) -> bool:
        return is_best

    def save(self, state: State, *, step: int, labels: Sequence[str] = (), valid_loss: float | None = None) -> None:
        super().save(state, step=step, labels=labels, valid_loss=valid_loss)
        self.last = state
        self.saved.append(step)


class Resumed(Halting):
    """Goes on from what another one has kept."""

    def __init__(self, before: Halting) -> None:
        super().__init__()
        self.tables = {kind: list(rows) for kind, rows in before.tables.items()}
        self.state = before.last

    def load(self) -> State | None:
        return self.state


def halted(config: Config, after: int, trainer: Trainer | None = None) -> Halting:
    recorder = Halting(after)
    assert train(config, recorder=recorder, trainer=trainer).status == RunStatus.INTERRUPTED
    return recorder


def resumed(config: Config, before: Halting) -> TrainResult:
    return train(config, recorder=Resumed(before))


def constant(config: Config, max_lr: float) -> Config:
    return with_overrides(
        config, {"schedule.name": "constant", "schedule.momentum": 0.9, "schedule.max_lr": max_lr, "train.epochs": 3}
    )


@pytest.mark.parametrize("after", [1, 3, 8, 13])
def test_resumed_where_the_loss_is_high_a_run_has_diverged_all_the_same(config: Config, after: int) -> None:
    """It ends above chance and its very first loss, but below that of the step it was resumed at."""
    lost = constant(config, 3.0)
    whole = train(lost)
    losses, last = whole.steps["train_loss"], whole.epochs["train_loss"][-1]
    assert 1.05 * losses[0] < last < 1.05 * losses[after + 1]
    assert whole.status == RunStatus.DIVERGED
    found = resumed(lost, halted(lost, after))
    assert found.steps["train_loss"].tolist() == losses.tolist()
    assert found.status == RunStatus.DIVERGED


@pytest.mark.parametrize("after", [16, 18, 19])
def test_resumed_where_the_loss_is_low_a_run_is_judged_by_where_it_began(config: Config, after: int) -> None:
    """It ends above chance and the loss of the step it was resumed at, but below its very first one."""
    tuned = constant(config, 0.3)

    def far_off() -> Trainer:
        trainer = Trainer.from_config(tuned)
        weights = trainer.state_dict()["model"]
        trainer.load_weights({**weights, "linear.weight": 300 * weights["linear.weight"]})
        return trainer

    whole = train(tuned, trainer=far_off())
    losses, last = whole.steps["train_loss"], whole.epochs["train_loss"][-1]
    assert 1.05 * max(losses[after + 1], np.log(10)) < last < losses[0]
    assert whole.status == RunStatus.FINISHED
    found = resumed(tuned, halted(tuned, after, far_off()))
    assert found.steps["train_loss"].tolist() == losses.tolist()
    assert found.status == RunStatus.FINISHED


def test_a_spike_is_no_divergence(config: Config) -> None:
    """The last epoch is judged by its median: six steps near chance, and one of 16."""
    result = train(with_overrides(config, {"train.epochs": 1}))
    losses = np.full(7, 2.3)
    losses[4] = 16.0
    assert not _ended_worse_than_it_began(replace(result, steps={**result.steps, "train_loss": losses}))
    losses[3:] = 16.0
    assert _ended_worse_than_it_began(replace(result, steps={**result.steps, "train_loss": losses}))


def test_a_run_too_short_for_its_running_averages_says_so(config: Config) -> None:
    """17 steps of a network with BatchNorm: both losses are kept, and which is which is said."""
    own = {"model.name": "resnet20", "model.options": {"num_blocks": [1, 1, 1]}, "data.train_fraction": 1.0}
    short = with_overrides(config, {**own, "data.batch_size": 64, "train.epochs": 1, "schedule.max_lr": 3e-2})
    recorder = MemoryRecorder()
    result = train(short, recorder=recorder)
    (anew,) = recorder.rows(Reestimated)
    assert result.reestimated == anew
    assert anew.steps_to_settle == 50
    assert result.valid_loss is not None
    assert anew.loss < 0.5 * result.valid_loss
    assert result.judged == (anew.loss, anew.accuracy, anew.top5)
    summary = result.summary()
    assert (summary["valid_loss"], summary["reestimated_loss"]) == (result.valid_loss, anew.loss)
    assert "17 steps are too few for BatchNorm's running averages, 50 are enough: " in str(summary["sentence"])
    settled = train(with_overrides(short, {"data.batch_size": 16}))  # 71 steps
    assert settled.reestimated is None
    assert settled.judged[0] == settled.valid_loss
    images = sum(each.valid_images for each in settled.data.classes)
    said = str(settled.summary()["sentence"])
    assert said.startswith(
        f"After 1 epoch {settled.valid_accuracy:.1%} of {images} validation images are right, the loss is "
        f"{settled.valid_loss:.3g}. "
    )
    assert "BatchNorm" not in said


# Validation losses that are not numbers


def faked(monkeypatch: pytest.MonkeyPatch, losses: Sequence[float]) -> None:
    """After each epoch the validation loss is one of our making."""
    real, left = Trainer.evaluate, list(losses)

    def evaluate(self: Trainer, split: str, **about: Any) -> Evaluation:
        found = real(self, split, **about)
        return replace(found, loss=left.pop(0)) if split == "valid" else found

    monkeypatch.setattr(Trainer, "evaluate", evaluate)


NAN = float("nan")


@pytest.mark.parametrize(
    ("losses", "best", "kept"),  # a state of every new best epoch, and of the last
    [
        ([NAN, 2.0, 1.0], 2, [1, 2]),
        ([2.0, NAN, 3.0], 0, [0, 2]),
        ([3.0, 2.0, NAN], 1, [0, 1, 2]),
        ([NAN, NAN, 2.0], 2, [2]),
        ([2.0, 2.0, 1.0], 2, [0, 2]),
        ([1.0, 1.0, 2.0], 0, [0, 2]),
        ([NAN, NAN, NAN], None, [2]),
    ],
)
def test_an_epoch_whose_loss_is_no_number_is_never_the_best(
    config: Config,
    losses: list[float],
    best: int | None,
    kept: list[int],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    faked(monkeypatch, losses * 3)
    recorder = Halting()
    result = train(config, recorder=recorder)
    assert result.status == RunStatus.FINISHED
    assert result.best_epoch == result.summary()["best_epoch"] == best
    assert recorder.saved == [7 * epoch + 6 for epoch in kept]
    with DiskRecorder.create("train", config, tmp_path / "run") as folder:
        folder.finish(RunStatus.FINISHED, train(config, recorder=folder).summary())
    entry = folder.checkpoints.find("best")
    assert (entry and entry.step) == (None if best is None else 7 * best + 6)
    again = Run.open(tmp_path / "run").result
    assert isinstance(again, TrainResult)
    assert again.best_epoch == best


@pytest.mark.parametrize(
    ("losses", "kept"),
    [([NAN, 2.0, 1.0], [1, 2]), ([NAN, NAN, 1.0], [2]), ([2.0, 1.0, 3.0], [1, 2]), ([1.0, 2.0, NAN], [2])],
)
def test_resumed_after_an_epoch_the_best_one_is_known_still(
    config: Config, losses: list[float], kept: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    faked(monkeypatch, losses)
    before = halted(config, 9)
    recorder = Resumed(before)
    result = train(config, recorder=recorder)
    assert result.status == RunStatus.FINISHED
    assert recorder.saved == [7 * epoch + 6 for epoch in kept]


# Stopped at the very end


def asking(number: signal.Signals, done: int) -> Callable[[Progress], None]:
    """A progress function that signals this process as soon as so many steps are done."""

    def report(about: Progress) -> None:
        if about.loss is not None and about.done == done:
            os.kill(os.getpid(), number)

    return report


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("done", [STEPS - 1, STEPS])
def test_a_signal_after_the_last_step_lets_a_run_finish(
    config: Config, done: int, number: signal.Signals, tmp_path: Path
) -> None:
    """One that arrives in the last step, whose update is done with, and one that arrives while it is evaluated."""
    whole = train(config)
    with DiskRecorder.create("train", config, tmp_path / "run") as recorder:
        result = train(config, recorder=recorder, on_progress=asking(number, done))
        assert recorder.should_stop()
        recorder.finish(result.status, result.summary())
    assert result.status == RunStatus.FINISHED
    assert result.summary() == whole.summary()
    assert result.test is not None
    assert recorder.exit_code == 0
    assert Run.open(tmp_path / "run").status == RunStatus.FINISHED
    assert (tmp_path / "run/summary.json").exists()


@pytest.mark.parametrize("done", [1, 7, STEPS - 2])
def test_a_signal_before_the_last_step_interrupts_it(config: Config, done: int, tmp_path: Path) -> None:
    whole = train(config)
    with DiskRecorder.create("train", config, tmp_path / "run") as recorder:
        result = train(config, recorder=recorder, on_progress=asking(signal.SIGTERM, done))
        recorder.finish(result.status, result.summary())
    assert result.status == RunStatus.INTERRUPTED
    assert len(result.steps["step"]) == done + 1
    assert recorder.exit_code == 128 + signal.SIGTERM
    assert not (tmp_path / "run/summary.json").exists()
    with DiskRecorder.reopen("train", tmp_path / "run", config) as recorder:
        assert train(config, recorder=recorder).summary() == whole.summary()


def test_a_state_of_the_very_end_is_a_finished_run_when_it_is_resumed(config: Config) -> None:
    """Killed between its last checkpoint and its summary, a run has nothing left to train."""
    recorder = Halting()
    whole = train(config, recorder=recorder)
    assert recorder.last is not None
    assert recorder.last["trainer"]["step"] == STEPS
    again = train(config, recorder=Resumed(recorder))
    assert again.status == RunStatus.FINISHED
    assert again.summary() == whole.summary()


def test_a_trainer_that_has_nothing_left_to_train_is_refused(config: Config) -> None:
    trainer = Trainer.from_config(config)
    train(config, trainer=trainer)
    with pytest.raises(UsageError, match=r"has taken all 21 steps already; pass a new one, or raise train\.epochs"):
        train(config, trainer=trainer)
