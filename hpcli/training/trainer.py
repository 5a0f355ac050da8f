"""The shared trainer: one model, one optimizer, one data set on one device, and the only training loop there is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from hpcli.config import Config
from hpcli.config.checks import check_together
from hpcli.data.dataset import Splits, load_splits
from hpcli.data.on_device import DeviceData
from hpcli.data.randomness import STEP, seed_for
from hpcli.errors import CheckpointError
from hpcli.models.freezing import train_mode
from hpcli.training import device as devices
from hpcli.training.batchnorm import Reestimation, check_batch, synchronised
from hpcli.training.captured import CapturedStep, CudaGraph, is_captured
from hpcli.training.evaluation import Evaluation, Network, measure
from hpcli.training.initial import Draw, InitialWeights, drawn_by, same
from hpcli.training.losses import LossRecord, StepReport
from hpcli.training.numerics import Numerics
from hpcli.training.optimizer import Optimizer
from hpcli.training.ranks import ALONE, Measure, Ranks, Train
from hpcli.training.schedule_free import average_of
from hpcli.training.schedules import Schedule
from hpcli.training.step import CrossEntropy, Loss, Step
from hpcli.training.weights import State, Weights, first_difference, snapshot


class Trainer:
    """Trains by a schedule, evaluates, and can be put back to any step it has been at.

    A step is a function of (weights, optimizer state, seed, step number, its row of the schedule): batch, augmentation
    and dropout come from no generator that would have to be advanced.
    """

    def __init__(
        self,
        model: nn.Module,
        data: DeviceData,
        optimizer: Optimizer,
        loss: Loss | None = None,
        *,
        seed: int = 0,
        numerics: Numerics | None = None,
        clip_norm: float | None = None,
        compiles: bool = False,
        cuda_graph: bool = False,
        draw: Draw | None = None,
        ema: float | None = None,
        grad_norms: bool = False,
        ranks: Ranks = ALONE,
    ) -> None:
        """Make a trainer from its parts. `from_config` makes the parts too.

        Args:
            model: on the data's device.
            data: what is trained and measured on.
            optimizer: of the model's weights.
            loss: what is descended; None: the cross-entropy.
            seed: of dropout; the data have their own.
            numerics: the precision; None: float32.
            clip_norm: the gradient's norm is clipped to it.
            compiles: compile the step's network.
            cuda_graph: capture the step; on a GPU, and for a network whose forward pass is the same at every step.
            draw: gives the network with the weights that a seed draws, for `reset`; None: the model's own as they are.
            ema: share of an average of the weights that a step keeps; it is evaluated. None: the optimizer's, if any.
            grad_norms: measure the norm of every step's gradient, which a run that clips does anyway.
            ranks: the processes that train together.
        """
        self.model, self.data, self.optimizer, self.seed = model, data, optimizer, seed
        self.numerics, self.device, self.ranks = numerics or Numerics(data.device), data.device, ranks
        data.loader.share = ranks.rank, ranks.size
        step = Step(
            model, optimizer, loss or CrossEntropy(), numerics=self.numerics, clip_norm=clip_norm, compiles=compiles
        )
        step.norms, step.ranks = grad_norms, ranks
        self.take_step = CapturedStep(step) if cuda_graph else step
        self._reestimation = Reestimation(model, self.numerics, CudaGraph if cuda_graph else None)
        self._initial = InitialWeights(draw or same(model))
        self.average = average_of(model, optimizer, ema, data, self.numerics, self._reestimation)
        self.step, self.is_fresh = 0, True  # fresh: the weights are those that the seed draws
        self._losses = LossRecord(0, 0, self.device)

    @classmethod
    def from_config(
        cls,
        config: Config,
        *,
        device: str = "auto",
        splits: Splits | None = None,
        weights: Weights | None = None,
        ranks: Ranks = ALONE,
    ) -> Trainer:
        """The trainer that a config describes.

        Args:
            config: what is trained, and how.
            device: `auto` (a GPU when there is one), `cpu`, `cuda` or `cuda:1`.
            splits: the images, if you have loaded them.
            weights: to start from, for every seed, instead of those that the seed draws.
            ranks: the processes that train together.

        Raises:
            ConfigError, DataError, UsageError: a network, data or a device that cannot be had.
            CheckpointError: weights of another network; the first difference is named.
        """
        where, splits, about = devices.choose_device(device), splits or load_splits(config), config.train
        numerics = Numerics.of(about.precision, where, deterministic=about.deterministic, threads=about.threads)
        numerics.warn_if_slow()
        draw = drawn_by(config, splits)
        model: nn.Module = draw(config.seed).to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
        check_together(config, ranks.size)
        check_batch(config, model, ranks.size, where)
        model = synchronised(model, config, ranks.size)
        trainer = cls(
            model,
            DeviceData.from_config(splits, config, device=where),
            Optimizer.from_config(model, config.optimizer),
            CrossEntropy(about.label_smoothing),
            seed=config.seed,
            numerics=numerics,
            clip_norm=about.clip_norm,
            compiles=about.compile,
            cuda_graph=is_captured(config, where, ranks.size),
            draw=draw,
            ema=about.ema,
            grad_norms=config.record.grad_norm,
            ranks=ranks,
        )
        if weights is not None:
            trainer.load_weights(weights)
        return trainer

    def train(self, schedule: Schedule, start: int = 0, stop: int | None = None) -> Iterator[StepReport]:
        """Take the steps [start, stop) of the schedule, reporting after each. The caller may stop at any.

        Only the last step of an epoch, and of all, waits for the device, so that its report has every loss.
        """
        stop = len(schedule) if stop is None else stop
        self._losses = LossRecord(len(schedule), start, self.device)
        lrs, momenta = schedule.lr.tolist(), schedule.momentum.tolist()
        per_epoch = self.data.steps_per_epoch
        self.optimizer.peak_lr = None if schedule.is_range else max(lrs, default=None)
        if schedule.is_range:
            self.average.reset()  # which would lag far behind
        train_mode(self.model)
        if self.ranks.leads:
            self.ranks.tell(Train(schedule, start, stop, snapshot(self.state_dict(), "cpu")))
        for step in range(start, stop):
            self.ranks.step()
            with self.numerics.active():
                images, labels = self.data.loader.batch(step)
                devices.seed_generators(seed_for(self.seed, STEP, step, *self.ranks.seeds), self.device)
                loss = self.take_step(images, labels, lrs[step], momenta[step])
                self._losses.write(step, loss, self.take_step.grad_norm)
                if not schedule.is_range:
                    self.average.update()
            self.step, self.is_fresh = step + 1, False
            ends_epoch = self.step % per_epoch == 0
            losses = tuple(self._losses.take(wait=ends_epoch or self.step == stop))
            yield StepReport(step, step // per_epoch, lrs[step], momenta[step], ends_epoch, losses, self._losses)

    def evaluate(
        self, split: str, *, bn_images: int = 0, by_class: bool = False, network: Network | None = None
    ) -> Evaluation:
        """Loss, accuracy and top-5 accuracy, weighted by images, in evaluation mode and un-augmented.

        Of the average of the weights where there is one.

        Args:
            split: `valid`; `train`, a fixed sample of the training images; or `test`.
            bn_images: with BatchNorm statistics measured on so many training images; 0: with the running ones.
            by_class: also count what is taken for what.
            network: another way through the model, for example a `FoldedNetwork`; None: the model itself.
        """
        loader, size = self.data.eval_loader(split), self.data.num_classes
        self.ranks.tell(Measure(split, bn_images, by_class))
        self.model.eval()
        try:
            with self.numerics.active(), self.average.shown(), self.bn_statistics(bn_images):
                return measure(
                    network or self.model, loader, size, numerics=self.numerics, by_class=by_class, ranks=self.ranks
                )
        finally:
            train_mode(self.model)

    def bn_statistics(self, images: int) -> AbstractContextManager[None]:
        """While entered, BatchNorm's statistics are those of a fixed choice of training images; 0: the running ones.

        In batches of the training's size: each layer meets what it met in training.
        """
        if not images:
            return nullcontext()
        self.model.eval()  # dropout stays off; the BatchNorm modules alone are in training mode meanwhile
        loader = self.data.eval_loader("train", images, batch_size=self.data.loader.batch_size)
        return self._reestimation.on(each for each, _ in loader)

    def reset(self, seed: int) -> None:
        """Start anew with another seed: weights, data order, augmentation and dropout. Nothing is prepared again."""
        self.model.load_state_dict(self._initial.of(seed))
        self.optimizer.reset()
        self.average.reset()
        self.seed = self.data.loader.seed = seed
        self.step, self.is_fresh = 0, True

    def load_weights(self, weights: Weights) -> None:
        """Start from these weights instead of fresh ones; `reset` still draws fresh ones.

        Raises:
            CheckpointError: they belong to another network; the first difference is named.
        """
        difference = first_difference(self.model.state_dict(), weights)
        if difference is not None:
            raise CheckpointError(difference)
        self.model.load_state_dict(weights)
        self.average.reset()
        self.is_fresh = False

    def state_dict(self) -> State:
        """A snapshot that later steps do not change: tensors and plain types, all a bit-exact continuation needs."""
        return {
            "model": snapshot(self.average.weights()),
            "trained": snapshot(self.average.trained()),
            "averaged": self.average.count,
            "optimizer": snapshot(self.optimizer.state_dict()),
            "seed": self.seed,
            "step": self.step,
            "is_fresh": self.is_fresh,
            "generators": devices.generator_states(),
        }

    def load_state_dict(self, state: State) -> None:
        """Go back, or on, to a snapshot."""
        self.model.load_state_dict(state.get("trained") or state["model"])
        self.average.reset()
        if state.get("trained"):
            self.average.begin_with(state["model"], state["averaged"])
        self.optimizer.load_state_dict(snapshot(state["optimizer"]))
        self.seed = self.data.loader.seed = state["seed"]
        self.step, self.is_fresh = state["step"], state["is_fresh"]
        devices.set_generator_states(state["generators"])
