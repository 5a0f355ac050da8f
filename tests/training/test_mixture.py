from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from hpcli.config import Config, with_overrides
from hpcli.errors import CheckpointError
from hpcli.states import BatchNorm
from hpcli.training.mixture import Mixture
from hpcli.training.numerics import Numerics
from hpcli.training.schedules import constant
from hpcli.training.trainer import Trainer


@pytest.fixture
def small(config: Config) -> Config:
    return with_overrides(config, {"model.name": "resnet20", "model.options.num_blocks": [1, 1, 1]})


@pytest.fixture
def trainer(small: Config) -> Trainer:
    return Trainer.from_config(small)


def snapshots(trainer: Trainer, *steps: int) -> list[dict[str, Tensor]]:
    """Weights after so many steps."""
    taken = trainer.train(constant(max(steps), 1e-2, 0.9))
    return [trainer.state_dict()["model"] for report in taken if report.step + 1 in steps]


def test_the_sum_is_in_place_and_exact_at_the_ends(trainer: Trainer) -> None:
    one, other = snapshots(trainer, 3, 6)
    mixture = Mixture(trainer, one, other)
    places = [tensor.data_ptr() for tensor in trainer.model.state_dict().values()]
    for alpha, same in ((0.0, one), (1.0, other)):
        mixture.set(1 - alpha, alpha)
        assert all(torch.equal(tensor, same[name]) for name, tensor in trainer.model.state_dict().items())
    mixture.set(1.25, -0.25)
    state = trainer.model.state_dict()
    for name in ("conv1.weight", "bn1.running_var"):
        assert torch.allclose(state[name], 1.25 * one[name] - 0.25 * other[name], rtol=1e-5, atol=1e-6)
    assert [tensor.data_ptr() for tensor in state.values()] == places


def test_integers_are_copied_from_the_nearer_checkpoint(trainer: Trainer) -> None:
    mixture = Mixture(trainer, *snapshots(trainer, 3, 6))
    for alpha, batches in ((-2.0, 3), (0.4, 3), (0.6, 6), (3.0, 6)):
        mixture.set(1 - alpha, alpha)
        assert trainer.model.state_dict()["bn1.num_batches_tracked"].item() == batches


def test_evaluation_is_the_trainers(trainer: Trainer, small: Config) -> None:
    """Folded, and with statistics measured anew, as `evaluate` of the trainer itself finds."""
    one, other = snapshots(trainer, 3, 6)
    mixture = Mixture(trainer, one, other)
    assert mixture.network.pairs
    for alpha in (0.0, 0.3, 1.0):
        weights = {name: (1 - alpha) * one[name] + alpha * other[name] for name in one}
        for bn, images in ((BatchNorm.INTERPOLATE, 0), (BatchNorm.RECOMPUTE, 5000)):
            with mixture.at(1 - alpha, alpha, bn=bn):
                found = mixture.evaluate("valid")
            plain = Trainer.from_config(small)
            plain.load_weights(weights)
            expected = plain.evaluate("valid", bn_images=images)
            assert found.loss == pytest.approx(expected.loss, rel=1e-5)
            assert found.accuracy == expected.accuracy


def test_only_batchnorm_is_in_training_mode_and_in_the_precision_of_the_evaluation(trainer: Trainer) -> None:
    """Dropout that acted would make the statistics random; in another precision they would be another network's."""
    seen = []

    class Watched(nn.Dropout):
        def forward(self, x: Tensor) -> Tensor:
            seen.append((self.training, x.dtype))
            return super().forward(x)

    norm = nn.BatchNorm1d(10)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), Watched(0.9), norm)
    numerics = dataclasses.replace(trainer.numerics, dtype=torch.bfloat16)
    trainer = Trainer(model, trainer.data, trainer.optimizer, numerics=numerics)
    assert norm.running_mean is not None
    weights = trainer.model.state_dict()
    mixture = Mixture(trainer, weights, weights)
    trainer.model.train()
    seen.clear()
    found = []
    for _ in range(2):
        with mixture.at(0.5, 0.5, bn=BatchNorm.RECOMPUTE):
            found.append(norm.running_mean.clone())
    assert torch.equal(*found)
    assert set(seen) == {(False, torch.bfloat16)}
    assert norm.running_mean.dtype == torch.float32
    assert torch.equal(norm.running_mean, torch.zeros(10))


def test_all_of_it_is_computed_by_the_trainers_numerics(trainer: Trainer) -> None:
    """Statistics measured anew too: on a GPU they would otherwise be in another precision than the losses."""
    inside, seen = [False], []

    class Watched(Numerics):
        @contextmanager
        def active(self) -> Iterator[None]:
            before, inside[0] = inside[0], True
            try:
                yield
            finally:
                inside[0] = before

    trainer.numerics = Watched(trainer.device)
    for module in trainer.model.modules():
        module.register_forward_pre_hook(lambda *_: seen.append(inside[0]))
    weights = trainer.state_dict()["model"]
    mixture = Mixture(trainer, weights, weights)
    for bn in BatchNorm:
        with mixture.at(0.5, 0.5, bn=bn):
            mixture.evaluate("valid")
    assert len(seen) > 30
    assert all(seen)
    assert inside == [False]


def test_another_network_is_refused_by_letter_and_tensor(trainer: Trainer, config: Config) -> None:
    fitting = trainer.model.state_dict()
    other = Trainer.from_config(config).model.state_dict()
    with pytest.raises(CheckpointError, match=r"checkpoint B: conv1\.weight: the model has \[16, 1, 3, 3\]"):
        Mixture(trainer, fitting, other)


def test_geometry_is_of_parameters_alone(trainer: Trainer) -> None:
    one, other = snapshots(trainer, 3, 6)
    names = [name for name, _ in trainer.model.named_parameters()]
    vectors = [torch.cat([each[name].double().ravel() for name in names]) for each in (one, other)]
    products = Mixture(trainer, one, other).products()
    assert products[0, 1] == pytest.approx(float(vectors[0] @ vectors[1]))
    assert products[1, 1] == pytest.approx(float(vectors[1] @ vectors[1]))
    assert set(Mixture(trainer, one, other).variances()) >= {"bn1", "layer1.0.bn1"}
