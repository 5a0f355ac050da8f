"""Residual networks for small images (He et al., 1512.03385, section 4.2) with the source notebook's head.

Three groups of basic blocks with 16, 32 and 64 channels; a depth is 6n+2. Shortcuts are 1×1 convolutions where the
shape changes, and the head pools by maximum and by average, side by side, as fastai's does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BasicBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or c_in != c_out:
            self.shortcut = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride=stride, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        """[B, c_in, H, W] → [B, c_out, H/stride, W/stride]."""
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


class ConcatPool(nn.Module):
    """The maximum and the mean over the image, one after the other: [B, C, H, W] → [B, 2C]."""

    def forward(self, x: Tensor) -> Tensor:
        """Same numbers as fastai's AdaptiveConcatPool2d(1) and Flatten."""
        return torch.cat([x.amax((2, 3)), x.mean((2, 3))], 1)


class ResNet(nn.Module):
    """The source's network; with (9, 9, 9) blocks and 100 classes 885,044 parameters and 57 convolutions."""

    def __init__(
        self, num_blocks: Sequence[int], num_classes: int, in_channels: int, dropout: tuple[float, float]
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._group(16, 16, num_blocks[0], stride=1)
        self.layer2 = self._group(16, 32, num_blocks[1], stride=2)
        self.layer3 = self._group(32, 64, num_blocks[2], stride=2)
        self.head = nn.Sequential(
            ConcatPool(),
            nn.BatchNorm1d(128),
            nn.Dropout(dropout[0]),
            nn.Linear(128, 128),
            nn.ReLU(inplace=True),
            nn.BatchNorm1d(128),
            nn.Dropout(dropout[1]),
            nn.Linear(128, num_classes),
        )

    @staticmethod
    def _group(c_in: int, c_out: int, blocks: int, stride: int) -> nn.Sequential:
        first = BasicBlock(c_in, c_out, stride)
        return nn.Sequential(first, *(BasicBlock(c_out, c_out, 1) for _ in range(blocks - 1)))

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] → logits [B, num_classes]."""
        x = F.relu(self.bn1(self.conv1(x)))
        logits: Tensor = self.head(self.layer3(self.layer2(self.layer1(x))))
        return logits


def resnet(
    num_classes: int,
    in_channels: int = 3,
    *,
    num_blocks: Sequence[int],
    dropout: Sequence[float] = (0.25, 0.5),
) -> ResNet:
    """Build a network from its number of blocks in each of the three groups.

    Args:
        num_classes: outputs.
        in_channels: of the images.
        num_blocks: three positive integers; Smith's ResNet-52 and -60 are (9, 8, 8) and (10, 10, 9).
        dropout: before each of the head's two linear layers.

    Raises:
        ValueError: not three positive integers, or dropouts outside [0, 1).
    """
    if len(num_blocks) != 3 or not all(isinstance(n, int) and n > 0 for n in num_blocks):
        raise ValueError(f"num_blocks: {list(num_blocks)}: must be three positive integers such as [9, 9, 9]")
    if len(dropout) != 2 or not all(0 <= p < 1 for p in dropout):
        raise ValueError(f"dropout: {list(dropout)}: must be two shares from 0 to below 1, such as [0.25, 0.5]")
    return ResNet(num_blocks, num_classes, in_channels, (dropout[0], dropout[1]))


resnet20 = partial(resnet, num_blocks=(3, 3, 3))
resnet32 = partial(resnet, num_blocks=(5, 5, 5))
resnet44 = partial(resnet, num_blocks=(7, 7, 7))
resnet56 = partial(resnet, num_blocks=(9, 9, 9))
resnet110 = partial(resnet, num_blocks=(18, 18, 18))
