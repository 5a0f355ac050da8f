from __future__ import annotations

import pytest
import torch
from torch import nn

from hpcli import catalog
from hpcli.errors import ConfigError
from hpcli.models import build_model


def build(name: str, **options: object) -> nn.Module:
    return build_model(name, num_classes=100, in_channels=3, image_size=(32, 32), options=options)


def test_resnet56_is_the_sources() -> None:
    model = build("resnet56")
    assert sum(weight.numel() for weight in model.parameters()) == 885_044
    assert sum(isinstance(module, nn.Conv2d) for module in model.modules()) == 57


@pytest.mark.parametrize(
    ("name", "convolutions"), [("resnet20", 21), ("resnet32", 33), ("resnet44", 45), ("resnet110", 111)]
)
def test_depths(name: str, convolutions: int) -> None:
    assert sum(isinstance(module, nn.Conv2d) for module in build(name).modules()) == convolutions


@pytest.mark.parametrize(("blocks", "depth"), [([9, 8, 8], 52), ([10, 10, 9], 60)])
def test_smiths_depths_by_blocks(blocks: list[int], depth: int) -> None:
    model = build("resnet56", num_blocks=blocks)
    assert sum(isinstance(module, nn.Conv2d) for module in model.modules()) - 2 + 1 == depth


@pytest.mark.parametrize("name", sorted(catalog.MODELS))
@pytest.mark.parametrize(("channels", "size"), [(1, (8, 8)), (3, (32, 32)), (3, (20, 28))])
def test_every_model_takes_the_datas_channels_size_and_classes(name: str, channels: int, size: tuple[int, int]) -> None:
    model = build_model(name, num_classes=7, in_channels=channels, image_size=size)
    assert model(torch.zeros(2, channels, *size)).shape == (2, 7)


def test_the_head_pools_like_fastai() -> None:
    features = torch.randn(2, 64, 8, 8)
    pooled = build("resnet20").head[0](features)  # type: ignore[index,operator]
    expected = torch.cat([nn.AdaptiveMaxPool2d(1)(features), nn.AdaptiveAvgPool2d(1)(features)], 1).flatten(1)
    assert torch.allclose(pooled, expected, atol=1e-6)


def test_shallow3_is_caffes_cifar10_full() -> None:
    model = build_model("shallow3", num_classes=10, in_channels=3, image_size=(32, 32))
    assert sum(weight.numel() for weight in model.parameters()) == 89_578
    shapes = [module.weight.shape for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert shapes == [(32, 3, 5, 5), (32, 32, 5, 5), (64, 32, 5, 5)]


def test_bn_momentum() -> None:
    model = build_model("resnet20", num_classes=2, in_channels=1, image_size=(8, 8), bn_momentum=0.3)
    momenta = {module.momentum for module in model.modules() if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d)}
    assert momenta == {0.3}


@pytest.mark.parametrize(
    ("name", "options", "what"),
    [
        (
            "resnet20",
            {"num_block": [1, 1, 1]},
            r"model\.options\.num_block: not an option of resnet20; did you mean num_blocks",
        ),
        ("shallow3", {"depth": 3}, "not an option of shallow3; it takes none"),
        ("resnet20", {"num_blocks": [9, 9]}, "three positive integers"),
        ("resnet20", {"num_blocks": 9}, "num_blocks|len"),
        ("resnet20", {"dropout": [0.5, 1.0]}, "from 0 to below 1"),
    ],
)
def test_wrong_options_are_explained(name: str, options: dict[str, object], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        build(name, **options)
