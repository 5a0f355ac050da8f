"""A network measured on images: loss, accuracy, top-5, and what it takes for what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from hpcli.data.loader import EvalLoader
from hpcli.training.numerics import Numerics

Network = Callable[[Tensor], Tensor]
"""Normalised images [B, C, H, W] → logits [B, K]."""


@dataclass(frozen=True)
class Evaluation:
    """Means over the images of a split; accuracies are fractions."""

    loss: float
    accuracy: float
    top5: float
    standard_error: float  # of the loss, from how it varies over the images
    losses: NDArray[np.float64] = field(compare=False, repr=False)  # [n] of every image, in their order
    confusion: NDArray[np.int64] | None = None  # [K, K]: how often images of the row's class are taken for the column's


@torch.inference_mode()
def measure(
    network: Network, loader: EvalLoader, num_classes: int, *, numerics: Numerics, by_class: bool = False
) -> Evaluation:
    """Go once over the images.

    Args:
        network: in evaluation mode.
        loader: of the images.
        num_classes: K.
        numerics: the precision to compute in.
        by_class: also count what is taken for what.
    """
    device, size, count = loader.labels.device, num_classes, len(loader.labels)
    totals = torch.zeros(4, dtype=torch.float64, device=device)
    counts = torch.zeros(size * size, dtype=torch.int64, device=device)
    kept = []
    for images, labels in loader:
        with numerics.autocast():
            logits = network(images).float()
        kept.append(F.cross_entropy(logits, labels, reduction="none").double())
        totals += _scores(logits, labels, kept[-1])
        if by_class:
            counts.index_add_(0, labels * size + logits.argmax(1), torch.ones_like(labels))  # bincount would wait
    loss, right, right5, squares = (totals / count).tolist()
    error = (max(squares - loss**2, 0.0) / count) ** 0.5
    confusion = counts.view(size, size).cpu().numpy() if by_class else None
    return Evaluation(loss, right, right5, error, torch.cat(kept).cpu().numpy(), confusion)


def _scores(logits: Tensor, labels: Tensor, losses: Tensor) -> Tensor:
    """Sums over a batch: cross-entropy, first guess right, one of five guesses right, squared cross-entropy."""
    guesses = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
    return torch.stack([losses.sum(), guesses[:, 0].sum(), guesses.sum(), losses.square().sum()])
