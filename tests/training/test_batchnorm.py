from __future__ import annotations

import pytest
import torch
from torch import nn

from hpcli.config import Config, with_overrides
from hpcli.errors import ConfigError
from hpcli.models import build_model
from hpcli.training.batchnorm import Reestimation, check_batch, steps_to_settle, synchronised
from hpcli.training.schedules import constant
from hpcli.training.trainer import Trainer


def test_statistics_are_those_of_the_images_and_then_as_before() -> None:
    norm = nn.BatchNorm2d(2).eval()
    norm.running_mean.fill_(7.0)  # type: ignore[union-attr]
    batches = [torch.randn(8, 2, 3, 3, generator=torch.Generator().manual_seed(n)) + n for n in range(4)]
    with Reestimation(norm).on(batches):
        expected = torch.stack([batch.mean((0, 2, 3)) for batch in batches]).mean(0)
        assert torch.allclose(norm.running_mean, expected, atol=1e-6)  # type: ignore[arg-type]
        assert not norm.training
    assert norm.running_mean.tolist() == [7.0, 7.0]  # type: ignore[union-attr]
    assert norm.momentum == 0.1


def test_dropout_stays_off_and_an_error_puts_everything_back() -> None:
    norm = nn.BatchNorm1d(3)
    model = nn.Sequential(nn.Dropout(0.9), norm).eval()
    with Reestimation(model).on([torch.ones(4, 3)]):
        assert norm.running_mean is not None
        assert norm.running_mean.tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(ZeroDivisionError), Reestimation(model).on([torch.ones(4, 3)]):
        _ = 1 / 0
    assert norm.running_mean.tolist() == [0.0, 0.0, 0.0]


def test_it_sees_through_lagging_averages(config: Config) -> None:
    """After a few steps the running averages still stand near their start; measured anew the loss is far lower."""
    config = with_overrides(config, {"model.name": "resnet20", "data.train_fraction": 1.0, "model.bn_momentum": 0.001})
    trainer = Trainer.from_config(config)
    list(trainer.train(constant(20, 1e-2, 0.9)))
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    running, fresh = trainer.evaluate("valid"), trainer.evaluate("valid", bn_images=500)
    assert fresh.loss < running.loss
    assert all(torch.equal(before[name], tensor) for name, tensor in trainer.model.state_dict().items())


@pytest.mark.parametrize("sizes", [(8, 8, 2), (16, 2), (3, 7, 5, 3), (18,)])
def test_every_image_weighs_the_same_however_they_are_batched(sizes: tuple[int, ...]) -> None:
    images = (
        torch.randn(18, 2, 3, 3, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 19)[:, None, None, None]
    )
    norm = nn.BatchNorm2d(2).eval()
    with Reestimation(norm).on(images.split(list(sizes))):
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert torch.allclose(norm.running_mean, images.mean((0, 2, 3)), atol=1e-6)
        within = torch.stack([batch.var((0, 2, 3)) * len(batch) / 18 for batch in images.split(list(sizes))]).sum(0)
        assert torch.allclose(norm.running_var, within, rtol=1e-5)


def test_a_module_that_is_used_twice_averages_over_both_uses() -> None:
    norm = nn.BatchNorm1d(1).eval()
    twice = nn.Sequential(norm, norm).eval()
    with Reestimation(twice).on([torch.tensor([[0.0], [2.0]]), torch.tensor([[4.0], [6.0]])]):
        assert norm.running_mean is not None
        assert norm.running_mean.item() == pytest.approx((1 + 0 + 5 + 0) / 4)  # the second use sees normalised images


@pytest.mark.parametrize("images", [1151, 514])
def test_the_loss_does_not_depend_on_the_size_of_the_evaluations_batches(config: Config, images: int) -> None:
    """BatchNorm is measured in batches of the training's size; 1,151 and 514 images leave a last one of 63 and of 2."""
    config = with_overrides(config, {"model.name": "resnet20", "model.options": {"num_blocks": [1, 1, 1]}})
    config = with_overrides(config, {"data.train_fraction": 1.0, "data.batch_size": 64})
    trained = Trainer.from_config(config)
    list(trained.train(constant(36, 1e-2, 0.9)))
    losses = []
    for size in (1151, 383, 574, 1149):
        trainer = Trainer.from_config(with_overrides(config, {"data.eval_batch_size": size}))
        trainer.load_weights(trained.model.state_dict())
        losses.append(trainer.evaluate("valid", bn_images=images).loss)
    assert max(losses) - min(losses) < 1e-6


def test_how_long_running_averages_remember() -> None:
    assert steps_to_settle(nn.Sequential(nn.BatchNorm2d(2), nn.Linear(2, 2))) == 50
    assert steps_to_settle(nn.Sequential(nn.BatchNorm2d(2, momentum=0.3), nn.BatchNorm2d(2, momentum=0.01))) == 500
    assert steps_to_settle(nn.Linear(2, 2)) == 0
    assert steps_to_settle(nn.BatchNorm2d(2, momentum=None)) == 0  # an average over all steps
    assert steps_to_settle(nn.BatchNorm2d(2, track_running_stats=False)) == 0


@pytest.mark.parametrize("name", ["resnet20", "torchvision/resnet18", "timm/efficientnet_b0"])
def test_of_several_processes_batchnorm_is_shared_on_gpus(config: Config, name: str) -> None:
    """Every one of them, with the weights that it has, and with the activation that timm puts into it."""
    if name.partition("/")[0] == "timm":
        pytest.importorskip("timm")
    config = with_overrides(config, {"model.name": name})
    with torch.device("meta"):  # which is not a CPU
        model = build_model(name, num_classes=10, in_channels=3, image_size=(32, 32))
        names = {each: list(weights.shape) for each, weights in model.state_dict().items()}
        count = sum(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
        assert synchronised(model, config, 1) is model
        activations = sum(isinstance(module, nn.SiLU) for module in model.modules())
        found = synchronised(model, config, 2)
    assert sum(isinstance(module, nn.SyncBatchNorm) for module in found.modules()) == count > 0
    assert sum(isinstance(module, nn.SiLU) for module in found.modules()) == activations
    assert {each: list(weights.shape) for each, weights in found.state_dict().items()} == names


class OwnNorm(nn.BatchNorm2d):
    """Torch would replace it by its own."""


def test_what_several_processes_cannot_share_is_refused(config: Config) -> None:
    with pytest.raises(ConfigError, match="its OwnNorm is not torch's BatchNorm"):
        synchronised(nn.Sequential(nn.Linear(1, 1), OwnNorm(1)).to("meta"), config, 2)
    norm = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    with pytest.raises(ConfigError, match="not where several processes share BatchNorm"):
        synchronised(norm.to("meta"), with_overrides(config, {"train.compile": True}), 2)
    with pytest.raises(ConfigError, match="shallow3 has BatchNorm, which 2 processes share on GPUs alone"):
        check_batch(config, norm, 2, torch.device("cpu"))
    check_batch(config, norm, 1, torch.device("cpu"))
    check_batch(config, norm, 2, torch.device("cuda"))
    with pytest.raises(ConfigError, match="32: each of 33 processes needs an image"):
        check_batch(config, nn.Linear(1, 1), 33, torch.device("cpu"))
