"""Smith's shallow net: the three layers of Caffe's `cifar10_full` (1803.09820, appendix; his `cifar3.prototxt`)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Shallow3(nn.Module):
    """Three 5×5 convolutions with 32, 32 and 64 channels, each halving the image, and one linear layer.

    Caffe's local response normalisation is left out: with its strength of 5e-5 it divides normalised pixels by 1 to
    within 1e-4.
    """

    def __init__(self, num_classes: int, in_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 32, 5, padding=2)
        self.conv2 = nn.Conv2d(32, 32, 5, padding=2)
        self.conv3 = nn.Conv2d(32, 64, 5, padding=2)
        self.max_pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.mean_pool = nn.AvgPool2d(3, stride=2, ceil_mode=True, count_include_pad=False)  # there is none
        with torch.no_grad():
            features = self._features(torch.zeros(1, in_channels, *image_size)).shape[1]
        self.linear = nn.Linear(features, num_classes)

    def _features(self, x: Tensor) -> Tensor:
        x = self.max_pool(self.conv1(x)).relu()
        x = self.mean_pool(self.conv2(x).relu())
        x = self.mean_pool(self.conv3(x).relu())
        return x.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] → logits [B, num_classes]."""
        logits: Tensor = self.linear(self._features(x))
        return logits


def shallow3(num_classes: int, in_channels: int, image_size: tuple[int, int]) -> Shallow3:
    """Build the shallow net for images of `image_size` = (H, W), at least 2×2."""
    return Shallow3(num_classes, in_channels, image_size)
