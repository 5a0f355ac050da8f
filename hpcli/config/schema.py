"""The config's keys: one frozen model a section, the meaning of a key under it.

Checked strictly: an unknown key, a number written as text, a boolean for an integer or a number that is not finite is
a fault. Nothing here imports torch.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from hpcli.config.checks import conflicts
from hpcli.config.interpolation import InterpolateConfig
from hpcli.config.kinds import (
    DatasetName,
    Epochs,
    Fraction,
    Milestones,
    ModelName,
    MomentumKey,
    Positive,
    PositiveInt,
    Seeds,
    Validation,
)
from hpcli.config.momentum import Momentum
from hpcli.config.section import Section


class DataConfig(Section):
    """What is learnt from."""

    name: DatasetName = "digits"
    """digits, cifar10, cifar100, folder (train/<class>/…), or module:function of your own (with --allow-code)."""
    root: str = "data"
    """Where it is, or is downloaded to."""
    cache_dir: str | None = None
    """Where a folder's decoded images are kept; null: the user's cache folder."""
    image_size: Annotated[int, Field(ge=1, le=4096)] | None = None
    """folder: the shorter side is scaled to it and the middle cut out; null: images as they are, all of one size."""
    batch_size: PositiveInt = 256
    """Training images a step; the last, smaller batch of a pass is dropped."""
    eval_batch_size: PositiveInt = 512
    """Images a forward pass when evaluating; changes speed and memory, not results."""
    augment: Literal["none", "standard", "source"] = "standard"
    """none; standard: a crop out of the image padded by an eighth, and a flip where mirror images keep their class;
    source: what fastai v1 did by default: flip, warp, rotation, zoom, lighting."""
    validation: Validation = "auto"
    """A fraction held out of the training images, class by class; valid: a folder's own valid/ or val/; auto: that
    where there is one, else 0.1; test: the test images (a choice made on them is no longer tested by them, and draws
    a warning)."""
    split_seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Which images are held out; not changed by `seed`."""
    valid_limit: PositiveInt | None = None
    """Evaluate on at most so many validation images."""
    train_fraction: Fraction = 1.0
    """Train on this share of the training images, class by class: quick answers on large data."""
    steps_per_epoch: PositiveInt | None = None
    """So many batches count as an epoch; null: one pass over the images. Order is shuffled once a pass all the same."""


class ModelConfig(Section):
    """What learns."""

    name: ModelName = "resnet20"
    """The network: a name of hpcli's, torchvision/resnet18, timm/…, or module:function of your own (with --allow-code);
    channels, image size and classes come from the data."""
    options: dict[str, Any] = Field(default={})
    """The network's own arguments, such as num_blocks."""
    pretrained: bool = False
    """torchvision and timm: start from the library's weights, with a new last layer."""
    freeze: Literal["body"] | None = None
    """body: train the head alone; null: train everything."""
    bn_momentum: Fraction | None = None
    """Weight of the newest batch in BatchNorm's running statistics; short runs need more than torch's 0.1."""


class OptimizerConfig(Section):
    """How a gradient becomes a step."""

    name: Literal["adamw", "sgd"] = "adamw"
    """adamw: its β1 is the momentum; sgd: with momentum."""
    weight_decay: Annotated[float, Field(ge=0, le=1e6)] = 1e-2
    """Strength of the pull to zero."""
    decay: Literal["decoupled", "coupled"] = "decoupled"
    """decoupled: weights shrink by lr × weight_decay a step (AdamW, SGDW); coupled: weight_decay × weight is added to
    the gradient (L2)."""
    decay_norm_and_bias: bool = True
    """Also decay biases and normalisation weights, as fastai v1 does."""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """AdamW: memory of the squared gradient."""
    eps: Positive = 1e-8
    """AdamW: added to the denominator."""
    nesterov: bool = False
    """SGD: look ahead along the momentum."""


class ScheduleConfig(Section):
    """Learning rate and momentum of every step."""

    name: Literal["one_cycle", "triangular", "triangular2", "exp_range", "piecewise", "constant"] = "one_cycle"
    """The shape."""
    dialect: Literal["fastai", "fastai2", "torch", "smith"] = "fastai"
    """Whose one_cycle: fastai v1's (cosine, peak at 0.30), fastai 2's (0.25), torch's OneCycleLR, Smith's (lines)."""
    max_lr: Positive = 1e-2
    """The highest learning rate; of piecewise the first, of constant the only one."""
    momentum: MomentumKey = Momentum(0.95, 0.85)
    """A pair high-low mirrors the learning rate; one number stays constant."""
    cycles: PositiveInt = 1
    """Number of equal cycles in the run; a checkpoint is kept at each end."""
    base_lr: Positive | None = None
    """The learning rate a cycle starts from; null: max_lr / div_factor."""
    div_factor: Annotated[float, Field(ge=1)] | None = None
    """max_lr / base_lr; null: 25 (one_cycle), 10 (smith), 4 (triangular, triangular2, exp_range)."""
    final_div_factor: Annotated[float, Field(ge=1)] | None = None
    """one_cycle: max_lr / the final learning rate; null: 2.5e5 (fastai, torch), 1e5 (fastai2), 1e4 (smith)."""
    pct_start: Annotated[float, Field(gt=0, lt=1)] | None = None
    """one_cycle: share of the cycle spent rising; null: 0.3 (fastai, torch), 0.25 (fastai2), 0.45 (smith)."""
    step_size: PositiveInt | None = None
    """Steps from the lowest to the highest learning rate (smith and the triangular family); null: from pct_start or
    from the number of cycles."""
    gamma: Fraction | None = None
    """piecewise: factor at each milestone, null 0.1; exp_range: shrinks the cycle by this a step, null 0.99994."""
    milestones: Milestones | None = None
    """piecewise: epochs at which the learning rate drops; null: at 1/2 and 3/4 of the run."""


class TrainConfig(Section):
    """Length and numerics of a run."""

    epochs: PositiveInt = 15
    """Passes over the training images (or so many × steps_per_epoch)."""
    precision: Literal["auto", "fp32", "tf32", "bf16"] = "auto"
    """auto: bf16 on a GPU that has it, fp32 elsewhere."""
    checkpoint_epochs: Epochs = ()
    """Keep a checkpoint after these epochs (counted from 0), besides the last."""
    clip_norm: Positive | None = None
    """Clip the gradient's norm to this."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the target spread over all classes (training loss only)."""
    deterministic: bool = False
    """On a GPU: bit-identical repeats, at some cost. A CPU's are, with one number of threads."""


class LRFindConfig(Section):
    """The learning-rate range test."""

    start_lr: Positive = 1e-6
    """First learning rate."""
    end_lr: Positive = 10.0
    """Last learning rate."""
    steps: Annotated[int, Field(ge=2, le=10**7)] = 210
    """Number of steps between them: 30 a decade."""
    mode: Literal["exp", "linear"] = "exp"
    """exp: equal factors; linear: equal differences, as Smith's own."""
    seeds: Annotated[int, Field(ge=1, le=100)] = 3
    """Number of tests, each with its own initial weights and data order: seed, seed + 1, …"""
    valid: bool = False
    """Also measure the validation loss along the way, BatchNorm re-estimated each time; about three times the cost."""


class SweepConfig(Section):
    """Values compared by short, complete runs of several seeds."""

    epochs: PositiveInt = 2
    """Length of every run: a complete cycle of its own, not the start of a long one."""
    seeds: Seeds = "auto"
    """Runs a value: seed, seed + 1, …, the same for every value. auto: 5 where that takes less than five minutes, else
    3."""
    matters: Annotated[float, Field(ge=0, le=1)] = 0.01
    """The difference worth knowing, as a share of the lowest loss."""


class Config(Section):
    """One YAML for all commands, in the method's order."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Governs initial weights, data order, augmentation and dropout; not which images are held out."""
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    train: TrainConfig = TrainConfig()
    lr_find: LRFindConfig = LRFindConfig()
    sweep: SweepConfig = SweepConfig()
    interpolate: InterpolateConfig = InterpolateConfig()

    @model_validator(mode="after")
    def _check_across_keys(self) -> Config:
        faults = conflicts(self)
        if faults:
            raise PydanticCustomError("conflicts", "conflicting keys", {"faults": faults})
        return self
