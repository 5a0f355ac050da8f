from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hpcli.models import build_model
from hpcli.training.folding import FoldedNetwork


def stirred(model: nn.Module) -> nn.Module:
    """With BatchNorm weights and statistics that are not those it starts with."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            for tensor in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                assert tensor is not None
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return model.eval()


@pytest.mark.parametrize(
    ("name", "pairs"), [("resnet20", 21), ("torchvision/resnet18", 20), ("torchvision/densenet121", 59)]
)
def test_folded_equals_plain_before_and_after_new_weights(name: str, pairs: int) -> None:
    """Also where a BatchNorm stands before its convolution, or a convolution's output goes elsewhere too."""
    model = stirred(build_model(name, num_classes=7, in_channels=3, image_size=(32, 32)))
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    network = FoldedNetwork(model, images)
    assert len(network.pairs) == pairs
    with torch.inference_mode():
        assert torch.allclose(network(images), model(images), rtol=1e-4, atol=1e-4)
        for parameter in model.parameters():
            parameter.mul_(1.1)
        stale = network(images)
        network.refresh()
        assert torch.allclose(network(images), model(images), rtol=1e-4, atol=1e-4)
        assert not torch.allclose(stale, model(images), rtol=1e-3)


def test_the_model_is_left_as_it_was() -> None:
    model = stirred(build_model("resnet20", num_classes=3, in_channels=1, image_size=(8, 8)))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    FoldedNetwork(model, torch.randn(2, 1, 8, 8)).refresh()
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(before[name], after[name]) for name in before)


class Branching(nn.Module):
    """What tracing cannot follow: a way through that depends on numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x)).mean((2, 3))
        return x if x.sum() > 0 else -x


class Forgetful(Branching):
    """What tracing gets wrong: a number is taken once and for all."""

    calls = 0.0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1.0
        logits: Tensor = self.norm(self.conv(x)).mean((2, 3)) * self.calls
        return logits


@pytest.mark.parametrize("kind", [Branching, Forgetful])
def test_a_network_that_cannot_be_traced_is_used_as_it_is(kind: type[nn.Module]) -> None:
    model = kind().eval()
    network = FoldedNetwork(model, torch.randn(2, 1, 5, 5))
    assert network.model is model
    assert network.pairs == []
    network.refresh()
    assert network(torch.randn(3, 1, 5, 5)).shape == (3, 2)
