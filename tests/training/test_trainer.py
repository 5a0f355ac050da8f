from __future__ import annotations

import hashlib
import io
import random
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hpcli.config import Config, with_overrides
from hpcli.data.dataset import load_splits
from hpcli.data.on_device import DeviceData
from hpcli.errors import CheckpointError
from hpcli.training import device as devices
from hpcli.training.initial import drawn_by
from hpcli.training.losses import LossRecord, StepLoss
from hpcli.training.optimizer import Optimizer
from hpcli.training.schedules import constant, training_schedule
from hpcli.training.step import Loss
from hpcli.training.trainer import Trainer
from hpcli.training.weights import snapshot
from tests.gpu import no_waiting


def digest(state: Any) -> str:
    """SHA-256 of everything in a nested state."""
    if isinstance(state, torch.Tensor):
        state = state.float() if state.dtype == torch.bfloat16 else state  # which numpy does not have
        return hashlib.sha256(state.contiguous().cpu().numpy().tobytes() + str(state.dtype).encode()).hexdigest()
    if isinstance(state, dict):
        return digest([[str(key), digest(value)] for key, value in state.items()])
    if isinstance(state, list | tuple):
        return hashlib.sha256(
            "".join(each if isinstance(each, str) else digest(each) for each in state).encode()
        ).hexdigest()
    return hashlib.sha256(repr(state).encode()).hexdigest()


def run(config: Config, trainer: Trainer, start: int = 0, stop: int | None = None) -> list[float]:
    """Train by a config's schedule; the losses, of which the reports have each once and in order."""
    schedule = training_schedule(config, trainer.data.steps_per_epoch)
    reports = list(trainer.train(schedule, start, stop))
    losses = [each for report in reports for each in report.losses]
    assert [step for step, _ in losses] == list(range(start, len(schedule) if stop is None else stop))
    assert reports[-1].wait() == ()
    return [loss for _, loss in losses]


SETTINGS: list[dict[str, object]] = [
    {"model.name": "shallow3"},
    {"model.name": "resnet20", "model.options.num_blocks": [1, 1, 1]},
    {"optimizer.name": "sgd", "optimizer.decay": "coupled"},
    {
        "optimizer.name": "sgd",
        "optimizer.nesterov": True,
        "model.name": "resnet20",
        "model.options.num_blocks": [1, 1, 1],
    },
    {"data.steps_per_epoch": 3, "schedule.dialect": "smith"},
    {"train.mixup": 0.4, "train.cutmix": 1.0, "train.label_smoothing": 0.1},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_stopped_anywhere_and_resumed_is_the_same_run(config: Config, settings: dict[str, object]) -> None:
    """Bit for bit, with BatchNorm, dropout and augmentation, through a file."""
    config = with_overrides(config, settings)
    whole = Trainer.from_config(config)
    losses = run(config, whole)
    stop = random.Random(str(settings)).randrange(1, len(losses) - 1)
    first = Trainer.from_config(config)
    assert run(config, first, 0, stop) == losses[:stop]
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    run(config, first, stop, stop + 1)  # a snapshot is not changed by what comes after it
    torch.rand(3), np.random.rand(3), random.random()
    second = Trainer.from_config(with_overrides(config, {"seed": 7}))
    file.seek(0)
    second.load_state_dict(torch.load(file, weights_only=True))
    assert second.step == stop
    assert run(config, second, stop) == losses[stop:]
    for part in ("model", "optimizer", "step"):
        assert digest(second.state_dict()[part]) == digest(whole.state_dict()[part])


def test_a_seed_is_a_run_and_reset_is_a_new_trainer(config: Config) -> None:
    trainer = Trainer.from_config(config)
    first = run(config, trainer)
    trainer.reset(1)
    assert (trainer.step, trainer.seed, trainer.is_fresh) == (0, 1, True)
    other = run(config, trainer)
    trainer.reset(0)
    assert run(config, trainer) == first
    assert other != first
    assert run(config, Trainer.from_config(with_overrides(config, {"seed": 1}))) == other


def test_trials_of_one_seed_build_their_network_once(config: Config) -> None:
    """Whatever training does to the weights in between."""
    splits = load_splits(config)
    draw, seeds = drawn_by(config, splits), []

    def counted(seed: int) -> nn.Module:
        seeds.append(seed)
        return draw(seed)

    model, data = draw(0), DeviceData(splits, batch_size=32, seed=0)
    trainer = Trainer(model, data, Optimizer.from_config(model, config.optimizer), draw=counted)
    fresh = {seed: digest(draw(seed).state_dict()) for seed in (1, 2)}
    for seed in (1, 1, 2, 2, 1):
        trainer.reset(seed)
        assert digest(trainer.state_dict()["model"]) == fresh[seed]
        run(config, trainer, 0, 3)
        assert digest(trainer.state_dict()["model"]) != fresh[seed]
    assert seeds == [1, 2, 1]


def test_a_snapshot_shares_nothing_with_what_it_is_of() -> None:
    """Whatever an optimizer of the user's keeps: tensors in lists and tuples, arrays."""
    one, two, three, own = torch.ones(2), torch.ones(1), torch.ones(1), np.ones(2)
    tree = {"a": one, 0: [two, (three, 0.9)], "own": own, "none": None}
    before = digest(tree)
    found = snapshot(tree)
    assert digest(found) == before
    for each in (one, two, three):
        each.add_(1)
    own += 1
    assert digest(found) == before
    assert digest(tree) != before


def test_building_a_trainer_leaves_the_generators_alone(config: Config) -> None:
    before = digest(devices.generator_states())
    Trainer.from_config(config).reset(5)
    assert digest(devices.generator_states()) == before


def test_dropout_depends_on_the_step_not_on_what_was_drawn_before(config: Config) -> None:
    config = with_overrides(config, {"model.name": "resnet20", "model.options.num_blocks": [1, 1, 1]})
    schedule = training_schedule(config, 7)
    undisturbed = run(config, Trainer.from_config(config))
    losses = []
    for report in Trainer.from_config(config).train(schedule):
        torch.rand(17)
        losses += [loss for _, loss in report.losses]
    assert losses == undisturbed


def test_reports_count_from_zero(config: Config) -> None:
    config = with_overrides(config, {"data.steps_per_epoch": 3})
    trainer = Trainer.from_config(config)
    schedule = training_schedule(config, trainer.data.steps_per_epoch)
    reports = list(trainer.train(schedule))
    assert [(report.step, report.epoch, report.ends_epoch) for report in reports[:4]] == [
        (0, 0, False),
        (1, 0, False),
        (2, 0, True),
        (3, 1, False),
    ]
    assert len(reports) == 9
    assert [report.lr for report in reports] == schedule.lr.tolist()
    assert trainer.step == 9


def test_evaluation_is_the_mean_over_images(config: Config) -> None:
    """Weighted by images: batches of 50 leave a last one of 37."""
    trainer = Trainer.from_config(with_overrides(config, {"data.eval_batch_size": 50}))
    run(config, trainer)
    split = trainer.data.splits.valid
    source = trainer.data.splits.source
    images = torch.from_numpy((split.images / 255 - np.array(source.mean)) / np.array(source.std)).float()
    trainer.model.eval()
    with torch.no_grad():
        logits = trainer.model(images.permute(0, 3, 1, 2))
    labels = torch.from_numpy(split.labels)
    expected = F.cross_entropy(logits, labels).item()
    ranks = (logits > logits.gather(1, labels[:, None])).sum(1)
    evaluation = trainer.evaluate("valid")
    assert evaluation.loss == pytest.approx(expected, rel=1e-5)
    assert evaluation.accuracy == pytest.approx((ranks < 1).float().mean().item())
    assert evaluation.top5 == pytest.approx((ranks < 5).float().mean().item())


def test_evaluating_changes_nothing(config: Config) -> None:
    config = with_overrides(config, {"model.name": "resnet20", "model.options.num_blocks": [1, 1, 1]})
    trainer = Trainer.from_config(config)
    run(config, trainer, 0, 5)
    before = digest(trainer.state_dict())
    for split in ("valid", "train", "test"):
        trainer.evaluate(split)
    assert digest(trainer.state_dict()) == before
    assert trainer.model.training


def test_the_model_learns(config: Config) -> None:
    config = with_overrides(config, {"train.epochs": 10, "data.train_fraction": 1.0})
    trainer = Trainer.from_config(config)
    losses = run(config, trainer)
    assert losses[0] > 2
    assert trainer.evaluate("valid").accuracy > 0.9


def test_weights_are_channels_last_and_optimizers_fused(config: Config) -> None:
    trainer = Trainer.from_config(config)
    weight = trainer.model.conv2.weight  # type: ignore[union-attr]
    assert weight.is_contiguous(memory_format=torch.channels_last)  # type: ignore[operator]
    assert trainer.optimizer.torch_optimizer.defaults["fused"]


def by_hand(config: Config, loss: Loss | None = None) -> Trainer:
    """A trainer put together from its parts, without a config of its own."""
    splits = load_splits(config)
    data = DeviceData(splits, batch_size=32, augmentation="standard", seed=3)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    return Trainer(model, data, Optimizer.from_config(model, config.optimizer), loss, seed=3)


def test_a_trainer_of_parts_is_the_one_of_the_config(config: Config) -> None:
    made = Trainer.from_config(config)
    data = DeviceData(load_splits(config), batch_size=32, seed=config.seed)
    assert data.loader.augmentation is None
    data = DeviceData(load_splits(config), batch_size=32, augmentation=config.data.augment, seed=config.seed)
    model = Trainer.from_config(config).model
    parts = Trainer(model, data, Optimizer.from_config(model, config.optimizer), seed=config.seed)
    assert run(config, parts) == run(config, made)
    assert digest(parts.state_dict()) == digest(made.state_dict())
    assert parts.evaluate("valid") == made.evaluate("valid")


def test_without_a_way_to_draw_weights_a_reset_goes_back_to_the_first(config: Config) -> None:
    trainer = by_hand(config)
    before = digest(trainer.state_dict()["model"])
    losses = run(config, trainer)
    assert digest(trainer.state_dict()["model"]) != before
    trainer.reset(3)
    assert digest(trainer.state_dict()["model"]) == before
    assert run(config, trainer) == losses
    trainer.reset(4)
    assert digest(trainer.state_dict()["model"]) == before
    assert run(config, trainer) != losses  # in another order


def test_any_loss_is_descended_and_evaluation_stays_cross_entropy(config: Config) -> None:
    plain, doubled = by_hand(config), by_hand(config, lambda logits, labels: 2 * F.cross_entropy(logits, labels))
    assert doubled.evaluate("valid") == plain.evaluate("valid")
    first = run(config, plain, 0, 1), run(config, doubled, 0, 1)
    assert first[1][0] == pytest.approx(2 * first[0][0])


def test_who_stops_early_has_every_loss_up_to_there(config: Config) -> None:
    trainer = Trainer.from_config(config)
    schedule = training_schedule(config, trainer.data.steps_per_epoch)
    losses: list[StepLoss] = []
    for report in trainer.train(schedule):
        losses += report.losses
        if report.step == 4:
            losses += report.wait()
            break
    assert [step for step, _ in losses] == [0, 1, 2, 3, 4]
    assert [loss for _, loss in losses] == run(config, Trainer.from_config(config))[:5]
    assert trainer.step == 5


def test_weights_are_started_from_and_others_refused(config: Config) -> None:
    trained = Trainer.from_config(config)
    run(config, trained)
    weights = trained.state_dict()["model"]
    trainer = Trainer.from_config(config, weights=weights)
    assert not trainer.is_fresh
    assert digest(trainer.state_dict()["model"]) == digest(weights)
    trainer.reset(0)
    assert trainer.is_fresh
    assert digest(trainer.state_dict()["model"]) == digest(Trainer.from_config(config).state_dict()["model"])
    with pytest.raises(CheckpointError, match=r"extra: the model has None, the checkpoint \[1\]; same config\?"):
        trainer.load_weights({**weights, "extra": torch.zeros(1)})
    name = next(iter(weights))
    with pytest.raises(CheckpointError, match=rf"{name}: the model has \[.*\], the checkpoint None"):
        trainer.load_weights({other: tensor for other, tensor in weights.items() if other != name})


def test_what_is_taken_for_what_adds_up(config: Config) -> None:
    trainer = Trainer.from_config(config)
    run(config, trainer)
    scores = trainer.evaluate("valid", by_class=True)
    assert scores.confusion is not None
    labels = trainer.data.splits.valid.labels
    assert scores.confusion.sum(1).tolist() == np.bincount(labels, minlength=10).tolist()
    assert np.trace(scores.confusion) / len(labels) == pytest.approx(scores.accuracy)
    assert trainer.evaluate("valid").confusion is None


def test_losses_are_taken_once_each() -> None:
    record = LossRecord(5, 2, torch.device("cpu"))
    assert record.take() == []
    record.write(2, torch.tensor(0.5))
    record.write(3, torch.tensor(0.25))
    assert record.take() == [(2, 0.5), (3, 0.25)]
    record.write(4, torch.tensor(float("nan")))
    ((step, loss),) = record.take(wait=True)
    assert step == 4
    assert np.isnan(loss)
    assert record.take(wait=True) == []
    assert record.grad_norm(4) is None


def test_norms_come_with_their_losses() -> None:
    record = LossRecord(5, 2, torch.device("cpu"))
    for step in (2, 3):
        record.write(step, torch.tensor(0.5), torch.tensor(float(step)))
    assert record.take() == [(2, 0.5), (3, 0.5)]
    assert [record.grad_norm(step) for step in (2, 3)] == [2.0, 3.0]


def test_the_generator_of_a_gpu_that_had_not_started_is_the_hosts_seed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """So CUDA begins; one that had started is put back, and one of another machine's checkpoint is left alone."""
    seeds: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    torch.default_generator.manual_seed(17)
    before = devices.generator_states()
    assert before["cuda"] == []
    torch.default_generator.manual_seed(3)
    devices.set_generator_states(before)
    assert seeds == []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    devices.set_generator_states({**before, "cuda": [torch.zeros(16, dtype=torch.uint8)]})
    assert seeds == []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    devices.set_generator_states(before)
    assert seeds == [17]


@pytest.mark.gpu
def test_losses_arrive_from_a_gpu_in_order() -> None:
    record = LossRecord(100, 0, torch.device("cuda"))
    taken = []
    for step in range(100):
        value = torch.tensor(float(step), device="cuda")
        record.write(step, value, value + 1)
        taken += record.take()
    taken += record.take(wait=True)
    assert taken == [(step, float(step)) for step in range(100)]
    assert [record.grad_norm(step) for step, _ in taken] == [step + 1.0 for step in range(100)]


@pytest.mark.gpu
@pytest.mark.parametrize(
    "settings",
    [
        {"data.augment": "none", "record.grad_norm": True},
        {"data.augment": "standard", "train.mixup": 0.4, "train.cutmix": 1.0},
        {"data.augment": "source", "train.ema": 0.9},
    ],
    ids=str,
)
def test_on_a_gpu_no_step_waits(config: Config, settings: dict[str, object]) -> None:
    trainer = Trainer.from_config(with_overrides(config, settings), device="cuda")
    schedule = constant(40, 1e-3, 0.9)
    for _ in trainer.train(schedule, 0, 14):  # captured by then, and every buffer made
        pass
    with no_waiting():
        for report in trainer.train(schedule, 14, 40):
            if report.step == 20:  # the next one ends an epoch, and waits for its losses
                break


@pytest.mark.gpu
@pytest.mark.parametrize(
    "settings", [{}, {"optimizer.name": "sgd", "data.augment": "source"}, {"train.clip_norm": 1.0}], ids=str
)
def test_the_first_steps_on_a_gpu_are_the_cpus(config: Config, settings: dict[str, object]) -> None:
    """In float32, convolutions too, without dropout, which a GPU draws otherwise.

    Four steps: AdamW makes whole steps of gradients that are rounding errors, and after six the losses differ by 1 %.
    """
    own = {"train.precision": "fp32", "model.name": "resnet20", "model.options.num_blocks": [1, 1, 1]}
    config = with_overrides(config, {**own, "model.options.dropout": [0.0, 0.0], **settings})
    there, here = (Trainer.from_config(config, device=device) for device in ("cuda", "cpu"))
    assert run(config, there, 0, 4) == pytest.approx(run(config, here, 0, 4), rel=2e-3)


@pytest.mark.gpu
def test_on_a_gpu_the_peak_memory_is_counted_from_the_first_call_on(config: Config) -> None:
    """Of a process in which CUDA has not started."""
    code = (
        "import torch\nfrom hpcli.training.device import peak_memory, start_peak_memory\n"
        "start_peak_memory(torch.device('cuda'))\ntorch.zeros(2**20, device='cuda')\n"
        "print(peak_memory(torch.device('cuda')))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 2**22 / 2**30 <= float(found.strip("()\n").split(",")[0]) < 0.1


@pytest.mark.gpu
def test_a_gpu_run_resumes_bit_for_bit_when_deterministic(config: Config) -> None:
    config = with_overrides(config, {"train.deterministic": True, "model.name": "resnet20"})
    whole = Trainer.from_config(config, device="cuda")
    losses = run(config, whole)
    first = Trainer.from_config(config, device="cuda")
    run(config, first, 0, 9)
    second = Trainer.from_config(config, device="cuda")
    second.load_state_dict(first.state_dict())
    assert run(config, second, 9) == losses[9:]
    assert digest(second.state_dict()["model"]) == digest(whole.state_dict()["model"])
