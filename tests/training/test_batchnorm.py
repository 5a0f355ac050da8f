from __future__ import annotations

import pytest
import torch
from torch import nn

from hpcli.config import Config, with_overrides
from hpcli.training.batchnorm import reestimated
from hpcli.training.schedules import constant
from hpcli.training.trainer import Trainer


def test_statistics_are_those_of_the_images_and_then_as_before() -> None:
    norm = nn.BatchNorm2d(2).eval()
    norm.running_mean.fill_(7.0)  # type: ignore[union-attr]
    batches = [torch.randn(8, 2, 3, 3, generator=torch.Generator().manual_seed(n)) + n for n in range(4)]
    with reestimated(norm, batches):
        expected = torch.stack([batch.mean((0, 2, 3)) for batch in batches]).mean(0)
        assert torch.allclose(norm.running_mean, expected, atol=1e-6)  # type: ignore[arg-type]
        assert not norm.training
    assert norm.running_mean.tolist() == [7.0, 7.0]  # type: ignore[union-attr]
    assert norm.momentum == 0.1


def test_dropout_stays_off_and_an_error_puts_everything_back() -> None:
    norm = nn.BatchNorm1d(3)
    model = nn.Sequential(nn.Dropout(0.9), norm).eval()
    with reestimated(model, [torch.ones(4, 3)]):
        assert norm.running_mean is not None
        assert norm.running_mean.tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(ZeroDivisionError), reestimated(model, [torch.ones(4, 3)]):
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
