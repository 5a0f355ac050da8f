"""A divided data set on a device: what a trainer trains on, and what it measures on."""

from __future__ import annotations

import torch

from hpcli.config.schema import DataConfig
from hpcli.data.dataset import Splits
from hpcli.data.loader import EvalLoader, TrainLoader


class DeviceData:
    """The training batches, and on demand the images that losses are measured on."""

    def __init__(
        self,
        splits: Splits,
        *,
        batch_size: int,
        augmentation: str = "none",
        eval_batch_size: int = 512,
        steps_per_epoch: int | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        """Bring the training images to the device.

        Args:
            splits: the images.
            batch_size: training images a step.
            augmentation: `none`, `standard` or `source`, as in the config.
            eval_batch_size: images a forward pass when evaluating.
            steps_per_epoch: so many batches count as an epoch; None: one pass over the images.
            seed: of their order and augmentation.
            device: where.
        """
        self.splits, self.eval_batch_size, self.device = splits, eval_batch_size, torch.device(device)
        self.num_classes = len(splits.source.classes)
        self.steps_per_epoch = splits.steps_per_epoch(batch_size, steps_per_epoch)
        self.loader = TrainLoader(
            splits.train,
            splits.source,
            batch_size=batch_size,
            augmentation=augmentation,
            seed=seed,
            device=self.device,
        )
        self._eval_loaders: dict[tuple[str, int | None], EvalLoader] = {}

    @classmethod
    def from_config(cls, splits: Splits, data: DataConfig, *, seed: int, device: torch.device) -> DeviceData:
        """As the section `data` says."""
        return cls(
            splits,
            batch_size=data.batch_size,
            augmentation=data.augment,
            eval_batch_size=data.eval_batch_size,
            steps_per_epoch=data.steps_per_epoch,
            seed=seed,
            device=device,
        )

    def eval_loader(self, split: str, count: int | None = None) -> EvalLoader:
        """Batches to measure on: `valid`, `test`, or `train`, a fixed sample of `count` training images.

        Raises:
            DataError: there are no such images.
        """
        key = (split, count)
        if key not in self._eval_loaders:
            images = self.splits.part(split)
            size = self.eval_batch_size
            self._eval_loaders[key] = (
                EvalLoader.sample(self.loader, self.splits.sample_index(count), batch_size=size)
                if split == "train"
                else EvalLoader(images, self.splits.source, batch_size=size, device=self.device)
            )
        return self._eval_loaders[key]
