"""A trainer's network as a weighted sum of checkpoints: points on the line through two, on the plane through three.

Smith's w(α) = (1−α)·A + α·B (1702.04283, section 4) has the coefficients (1−α, α).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from hpcli.config.alphas import BN_IMAGES
from hpcli.errors import CheckpointError
from hpcli.states import BatchNorm
from hpcli.training.batchnorm import tracked_norms
from hpcli.training.evaluation import Evaluation
from hpcli.training.folding import FoldedNetwork
from hpcli.training.trainer import Trainer
from hpcli.training.weights import Weights, first_difference

Array = NDArray[np.float64]


class Mixture:
    """Checkpoints beside a network that takes on weighted sums of them, in place: nothing is loaded again.

    Buffers are summed like weights, BatchNorm's statistics too; integers, such as the number of batches BatchNorm has
    seen, are copied from the checkpoint with the largest coefficient.
    """

    def __init__(self, trainer: Trainer, *checkpoints: Weights) -> None:
        """Bring the checkpoints to where the network is; it is left with the first one's weights.

        Raises:
            CheckpointError: one is of another network; its first differing tensor is named.
        """
        self.trainer = trainer
        self.norms = tracked_norms(trainer.model)
        self.targets = trainer.model.state_dict()  # the network's own tensors, not copies
        for letter, weights in zip("ABC", checkpoints, strict=False):
            difference = first_difference(self.targets, weights)
            if difference is not None:
                raise CheckpointError(f"checkpoint {letter}: {difference}")
        self.checkpoints = [
            {name: torch.empty_like(target).copy_(weights[name]) for name, target in self.targets.items()}
            for weights in checkpoints
        ]
        self.set(1.0, *[0.0] * (len(checkpoints) - 1))
        trainer.model.eval()
        with trainer.numerics.exact().active():
            self.network = FoldedNetwork(trainer.model, trainer.data.loader.batch(0)[0])

    def set(self, *coefficients: float) -> None:
        """Give the network the weighted sum. Coefficients 1 and 0 give the one checkpoint, bit for bit."""
        largest = self.checkpoints[int(np.argmax(coefficients))]
        with torch.no_grad():
            for name, target in self.targets.items():
                if not target.is_floating_point():
                    target.copy_(largest[name])
                    continue
                torch.mul(self.checkpoints[0][name], coefficients[0], out=target)
                for checkpoint, coefficient in zip(self.checkpoints[1:], coefficients[1:], strict=True):
                    target.add_(checkpoint[name], alpha=coefficient)

    @contextmanager
    def at(self, *coefficients: float, bn: BatchNorm) -> Iterator[None]:
        """While entered, the network is the weighted sum, with BatchNorm statistics as `bn` says.

        Args:
            coefficients: one a checkpoint.
            bn: measured anew on 5,000 training images, or summed like the weights.
        """
        self.set(*coefficients)
        images = BN_IMAGES if bn == BatchNorm.RECOMPUTE else 0
        with self.trainer.numerics.active(), self.trainer.bn_statistics(images):
            self.network.refresh()
            yield

    def evaluate(self, split: str) -> Evaluation:
        """Evaluate the network as it is now, BatchNorm folded where that can be."""
        return self.trainer.evaluate(split, network=self.network)

    def products(self) -> Array:
        """Inner products of the checkpoints' parameters, without buffers: [n, n] for n checkpoints."""
        names = [name for name, _ in self.trainer.model.named_parameters()]
        return np.array([[_product(one, other, names) for other in self.checkpoints] for one in self.checkpoints])

    def variances(self) -> dict[str, tuple[Array, Array]]:
        """Of each BatchNorm, in the network's order: variance + eps in the first checkpoint and in the second, [C]."""
        found = {}
        for name, norm in self.norms.items():
            key = f"{name}.running_var" if name else "running_var"
            one, other = (checkpoint[key].double().cpu().numpy() + norm.eps for checkpoint in self.checkpoints[:2])
            found[name] = (one, other)
        return found


def _product(one: Weights, other: Weights, names: Sequence[str]) -> float:
    return float(sum((one[name].double() * other[name].double()).sum() for name in names))
