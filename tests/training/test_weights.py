from __future__ import annotations

import pytest
import torch
from torch import nn

from hpcli.training.weights import weight_norms


def test_weights_are_measured_by_what_decay_does_to_them() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))
    for number, weight in enumerate(model.parameters(), start=1):
        nn.init.constant_(weight, float(number))
    norms = weight_norms(model)
    assert norms["body"] == pytest.approx(18**0.5)
    assert norms["head"] == pytest.approx((6 * 16) ** 0.5)
    assert norms["norm_and_bias"] == pytest.approx((2 * 4 + 2 * 9 + 3 * 25) ** 0.5)
    model[0].weight.requires_grad_(False)
    assert "body" not in weight_norms(model)
    assert all(isinstance(norm, float) for norm in weight_norms(model).values())
    assert torch.isfinite(torch.tensor(list(norms.values()))).all()
