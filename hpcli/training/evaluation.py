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
from hpcli.training.ranks import ALONE, Ranks

Network = Callable[[Tensor], Tensor]
"""Normalised images [B, C, H, W] → logits [B, K]."""


@dataclass(frozen=True)
class Guesses:
    """What each image is taken for, in their order."""

    labels: NDArray[np.int64]  # [n], the likeliest class
    probabilities: NDArray[np.float64]  # [n], its probability


@dataclass(frozen=True)
class Evaluation:
    """Means over the images of a split; accuracies are fractions."""

    loss: float
    accuracy: float
    top5: float
    standard_error: float  # of the loss, from how it varies over the images
    losses: NDArray[np.float64] = field(compare=False, repr=False)  # [n] of every image, in their order
    confusion: NDArray[np.int64] | None = None  # [K, K]: how often images of the row's class are taken for the column's
    guesses: Guesses | None = field(default=None, compare=False, repr=False)


@torch.inference_mode()
def measure(
    network: Network,
    loader: EvalLoader,
    num_classes: int,
    *,
    numerics: Numerics,
    by_class: bool = False,
    ranks: Ranks = ALONE,
) -> Evaluation:
    """Go once over the images.

    Args:
        network: in evaluation mode.
        loader: of the images.
        num_classes: K.
        numerics: the precision to compute in.
        by_class: also count what is taken for what.
        ranks: the processes that share the images; each goes over its part, and all have the same result.
    """
    device, size = loader.labels.device, num_classes
    right = torch.zeros(2, dtype=torch.float64, device=device)
    counts = torch.zeros(size * size, dtype=torch.int64, device=device)
    rows = torch.zeros(3 if by_class else 1, len(loader.labels), dtype=torch.float64, device=device)  # by image
    part = loader.part(ranks.rank, ranks.size)
    place = part.start
    for images, labels in part:
        with numerics.autocast():
            logits = network(images).float()
        here = slice(place, place + len(labels))
        place = here.stop
        rows[0, here] = F.cross_entropy(logits, labels, reduction="none").double()
        right += _right(logits, labels)
        if by_class:
            rows[1, here], rows[2, here] = logits.softmax(1).max(1)
            counts.index_add_(0, labels * size + logits.argmax(1), torch.ones_like(labels))  # bincount would wait
    ranks.total(rows, right, *([counts] if by_class else []))
    losses = rows[0]  # summed at the end: sums by batches would depend on their size
    spread = ((losses - losses.mean()).square().mean() / len(losses)).sqrt()  # 0 for one image
    loss, first, first5, error = torch.stack((losses.mean(), *right / len(losses), spread)).tolist()
    confusion = counts.view(size, size).cpu().numpy() if by_class else None
    each_loss, *found = rows.cpu().numpy()  # in one copy: a device is waited for once
    guesses = Guesses(found[1].astype(np.int64), found[0]) if by_class else None
    return Evaluation(loss, first, first5, error, each_loss, confusion, guesses)


def _right(logits: Tensor, labels: Tensor) -> Tensor:
    """How many of a batch are right: at the first guess, among five guesses."""
    guesses = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
    return torch.stack([guesses[:, 0].sum(), guesses.sum()])
