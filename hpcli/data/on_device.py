"""A divided data set on a device: what a trainer trains on, and what it measures on."""

from __future__ import annotations

import torch

from hpcli.config import Config
from hpcli.data.dataset import Splits
from hpcli.data.loader import EvalLoader, TrainLoader
from hpcli.data.mixing import Mixing


class DeviceData:
    """The training batches, and on demand the images that losses are measured on."""

    def __init__(
        self,
        splits: Splits,
        *,
        batch_size: int,
        augmentation: str = "none",
        eval_batch_size: int | None = None,
        resident_mb: float | None = None,
        steps_per_epoch: int | None = None,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        """Bring the training images to the device, if there is room for them.

        Args:
            splits: the images.
            batch_size: training images a step.
            augmentation: `none`, `standard` or `source`, as in the config.
            eval_batch_size: images a forward pass when evaluating; None: as many as are fast.
            resident_mb: training, validation or test images of more MiB stay on the host, from where every batch is
                sent; None: half of what a GPU has left, any number on a CPU.
            steps_per_epoch: so many batches count as an epoch; None: one pass over the images.
            mixup: α of its shares, 0: none; as in the config.
            cutmix: likewise.
            seed: of their order, augmentation and mixing.
            device: where.
        """
        self.splits, self.device = splits, torch.device(device)
        self.eval_batch_size = eval_batch_size or fast_eval_batch(self.device, splits.train.images.shape[1:3])
        self._resident = _resident_bytes(self.device, resident_mb)
        self.num_classes = len(splits.source.classes)
        self.steps_per_epoch = splits.steps_per_epoch(batch_size, steps_per_epoch)
        mixes = mixup > 0 or cutmix > 0
        mixing = Mixing(mixup, cutmix, classes=self.num_classes, device=self.device) if mixes else None
        self.loader = TrainLoader(
            splits.train,
            splits.source,
            batch_size=batch_size,
            augmentation=augmentation,
            seed=seed,
            device=self.device,
            resident=self._resident,
            mixing=mixing,
        )
        self._eval_loaders: dict[tuple[str, int | None, int], EvalLoader] = {}

    @classmethod
    def from_config(cls, splits: Splits, config: Config, *, device: torch.device) -> DeviceData:
        """As a config says."""
        data = config.data
        return cls(
            splits,
            batch_size=data.batch_size,
            augmentation=data.augment,
            eval_batch_size=data.eval_batch_size,
            resident_mb=data.resident_mb,
            steps_per_epoch=data.steps_per_epoch,
            mixup=config.train.mixup,
            cutmix=config.train.cutmix,
            seed=config.seed,
            device=device,
        )

    def eval_loader(self, split: str, count: int | None = None, *, batch_size: int | None = None) -> EvalLoader:
        """Batches to measure on: `valid`, `test`, or `train`, a fixed sample of `count` training images.

        Their size is `data.eval_batch_size`, where no other is asked for.

        Raises:
            DataError: there are no such images.
        """
        size = batch_size or self.eval_batch_size
        key = (split, count, size)
        if key not in self._eval_loaders:
            images = self.splits.part(split)
            self._eval_loaders[key] = (
                EvalLoader.sample(self.loader, self.splits.sample_index(count), batch_size=size)
                if split == "train"
                else EvalLoader.of(
                    images,
                    self.splits.source,
                    batch_size=size,
                    device=self.device,
                    resident=self._resident,
                )
            )
        return self._eval_loaders[key]


def fast_eval_batch(device: torch.device, size: tuple[int, ...]) -> int:
    """Images that are evaluated at once: 2,048 on a GPU, 128 on a CPU, fewer where they are larger than 32 × 32."""
    most = 2048 if device.type == "cuda" else 128  # on a CPU 512 took 1.7 times as long as 128: its caches are small
    return max(16, min(most, most * 32 * 32 // (size[0] * size[1])))


def _resident_bytes(device: torch.device, asked: float | None) -> int | None:
    """Bytes of images that may lie on a device; None: any number."""
    if asked is not None:
        return int(asked * 2**20)
    return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else None
