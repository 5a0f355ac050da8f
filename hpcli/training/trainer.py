"""The shared trainer: one model, one optimizer, one data set on one device, and the only training loop there is."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from hpcli.config import Config, differing_keys
from hpcli.data.dataset import Splits, load_splits
from hpcli.data.loader import EvalLoader, TrainLoader
from hpcli.data.randomness import STEP, seed_for
from hpcli.errors import CheckpointError, DataError
from hpcli.models import build_model
from hpcli.models.freezing import train_mode
from hpcli.training import device as devices
from hpcli.training.batchnorm import reestimated
from hpcli.training.losses import LossRecord
from hpcli.training.optimizer import Optimizer
from hpcli.training.schedules import Schedule
from hpcli.training.step import Step
from hpcli.training.weights import first_difference

RESTARTED = (
    "seed", "schedule", "train.epochs", "train.checkpoint_epochs", "optimizer.weight_decay", "lr_find", "sweep",
    "interpolate",
)  # fmt: skip
"""Keys and sections that nothing is prepared for: `restart` takes others of them."""


@dataclass(frozen=True)
class StepReport:
    """A step that has been taken. Its loss arrives later, by `Trainer.losses`."""

    step: int
    epoch: int
    lr: float
    momentum: float
    ends_epoch: bool


@dataclass(frozen=True)
class Evaluation:
    """Means over the images of a split; accuracies are fractions."""

    loss: float
    accuracy: float
    top5: float
    standard_error: float  # of the loss, from how it varies over the images
    confusion: NDArray[np.int64] | None = None  # [K, K]: how often images of the row's class are taken for the column's


Network = Callable[[Tensor], Tensor]
"""Normalised images [B, C, H, W] → logits [B, K]."""


class Trainer:
    """Trains by a schedule, evaluates, and can be put back to any step it has been at.

    A step is a function of (weights, optimizer state, seed, step number, its row of the schedule): batch, augmentation
    and dropout come from no generator that would have to be advanced.
    """

    def __init__(self, config: Config, *, device: str = "auto", splits: Splits | None = None) -> None:
        self.config = config
        self.device = devices.choose_device(device)
        self.dtype = devices.autocast_dtype(config.train.precision, self.device)
        devices.set_determinism(config.train.deterministic, self.device)
        self.splits = splits or load_splits(config)
        self.num_classes = len(self.splits.source.classes)
        self.steps_per_epoch = self.splits.steps_per_epoch(config.data.batch_size, config.data.steps_per_epoch)
        self.loader = TrainLoader(
            self.splits.train,
            self.splits.source,
            batch_size=config.data.batch_size,
            augmentation=config.data.augment,
            seed=config.seed,
            device=self.device,
        )
        self.eval_loaders: dict[tuple[str, int | None], EvalLoader] = {}
        self.model = self._new_model(config.seed).to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = Optimizer(self.model, config.optimizer)
        self.take_step = Step(
            self.model,
            self.optimizer,
            dtype=self.dtype,
            label_smoothing=config.train.label_smoothing,
            clip_norm=config.train.clip_norm,
        )
        self.seed = config.seed
        self.step = 0
        self.is_fresh = True  # the weights are those that the seed draws
        self.losses = LossRecord(0, 0, self.device)

    def train(self, schedule: Schedule, start: int = 0, stop: int | None = None) -> Iterator[StepReport]:
        """Take the steps [start, stop) of the schedule, reporting after each. The caller may stop at any.

        Nothing here waits for the device: read `losses` when you need numbers.
        """
        stop = len(schedule) if stop is None else stop
        self.losses = LossRecord(len(schedule), start, self.device)
        lrs, momenta = schedule.lr.tolist(), schedule.momentum.tolist()
        train_mode(self.model)
        for step in range(start, stop):
            images, labels = self.loader.batch(step)
            devices.seed_generators(seed_for(self.seed, STEP, step), self.device)
            loss = self.take_step(images, labels, lrs[step], momenta[step])
            self.losses.write(step, loss)
            self.step, self.is_fresh = step + 1, False
            ends_epoch = self.step % self.steps_per_epoch == 0
            yield StepReport(step, step // self.steps_per_epoch, lrs[step], momenta[step], ends_epoch)

    def evaluate(
        self, split: str, *, bn_images: int = 0, by_class: bool = False, network: Network | None = None
    ) -> Evaluation:
        """Loss, accuracy and top-5 accuracy, weighted by images, in evaluation mode and un-augmented.

        Args:
            split: `valid`; `train`, a fixed sample of the training images; or `test`.
            bn_images: with BatchNorm statistics measured on so many training images; 0: with the running ones.
            by_class: also count what is taken for what.
            network: another way through the model, for example a `FoldedNetwork`; None: the model itself.
        """
        loader = self._eval_loader(split)
        totals = torch.zeros(4, dtype=torch.float64, device=self.device)
        size = self.num_classes
        counts = torch.zeros(size * size, dtype=torch.int64, device=self.device)
        self.model.eval()
        try:
            with self.bn_statistics(bn_images), torch.inference_mode():
                for images, labels in loader:
                    logits = self._logits(network or self.model, images)
                    totals += self._scores(logits, labels)
                    if by_class:
                        counts += torch.bincount(labels * size + logits.argmax(1), minlength=size * size)
        finally:
            train_mode(self.model)
        loss, right, right5, squares = (totals / len(loader.labels)).tolist()
        error = (max(squares - loss**2, 0.0) / len(loader.labels)) ** 0.5
        return Evaluation(loss, right, right5, error, counts.view(size, size).cpu().numpy() if by_class else None)

    def _logits(self, network: Network, images: Tensor) -> Tensor:
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not None):
            return network(images).float()

    def _scores(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Sums over a batch: cross-entropy, first guess right, one of five guesses right, squared cross-entropy."""
        guesses = logits.topk(min(5, self.num_classes), dim=1).indices == labels[:, None]
        losses = F.cross_entropy(logits, labels, reduction="none").double()
        return torch.stack([losses.sum(), guesses[:, 0].sum(), guesses.sum(), losses.square().sum()])

    def bn_statistics(self, images: int) -> AbstractContextManager[None]:
        """While entered, BatchNorm's statistics are those of a fixed choice of training images; 0: the running ones."""
        if not images:
            return nullcontext()
        self.model.eval()  # dropout stays off; the BatchNorm modules alone are in training mode meanwhile
        return reestimated(self.model, (batch for batch, _ in self._eval_loader("train", images)))

    def _eval_loader(self, name: str, count: int | None = None) -> EvalLoader:
        key = (name, count)
        if key not in self.eval_loaders:
            splits = {"valid": self.splits.valid, "train": self.splits.train_sample(count), "test": self.splits.test}
            split = splits[name]
            if split is None:
                raise DataError("no test images: there are none, or data.validation: test uses them")
            size = self.config.data.eval_batch_size
            self.eval_loaders[key] = EvalLoader(split, self.splits.source, batch_size=size, device=self.device)
        return self.eval_loaders[key]

    def reset(self, seed: int) -> None:
        """Start anew with another seed: weights, data order, augmentation and dropout. Nothing is prepared again."""
        self.model.load_state_dict(self._new_model(seed).state_dict())
        self.optimizer.reset()
        self.seed = self.loader.seed = seed
        self.step, self.is_fresh = 0, True

    def restart(self, config: Config) -> bool:
        """Start anew by another config, nothing prepared again; False, and nothing done, where that cannot be."""
        changed = differing_keys(self.config, config)
        if not all(key in RESTARTED or key.split(".")[0] in RESTARTED for key in changed):
            return False
        self.config = config
        self.optimizer.set_weight_decay(config.optimizer.weight_decay)
        self.reset(config.seed)
        return True

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Start from these weights instead of fresh ones; `reset` still draws fresh ones.

        Raises:
            CheckpointError: they belong to another network; the first difference is named.
        """
        difference = first_difference(self.model.state_dict(), weights)
        if difference is not None:
            raise CheckpointError(difference)
        self.model.load_state_dict(weights)
        self.is_fresh = False

    def _new_model(self, seed: int) -> torch.nn.Module:
        before = devices.generator_states()
        devices.seed_generators(seed, torch.device("cpu"))
        try:
            return build_model(
                self.config.model.name,
                num_classes=self.num_classes,
                in_channels=self.splits.train.images.shape[3],
                image_size=self.splits.train.images.shape[1:3],
                options=self.config.model.options,
                bn_momentum=self.config.model.bn_momentum,
                pretrained=self.config.model.pretrained,
                freeze=self.config.model.freeze,
            )
        finally:
            devices.set_generator_states(before)

    def state_dict(self) -> dict[str, Any]:
        """A snapshot that later steps do not change: tensors and plain types, all a bit-exact continuation needs."""
        return {
            "model": {name: tensor.clone() for name, tensor in self.model.state_dict().items()},
            "optimizer": copy.deepcopy(self.optimizer.state_dict()),
            "seed": self.seed,
            "step": self.step,
            "is_fresh": self.is_fresh,
            "generators": devices.generator_states(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back, or on, to a snapshot."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        self.optimizer.torch_optimizer.zero_grad(set_to_none=True)
        self.seed = self.loader.seed = state["seed"]
        self.step, self.is_fresh = state["step"], state["is_fresh"]
        devices.set_generator_states(state["generators"])
