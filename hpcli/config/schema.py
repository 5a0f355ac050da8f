"""The config's keys: one frozen model a section; beside a key what it affects (see `scope`), its meaning under it.

A key that does something in some configs alone says so beside it, too. Checked strictly: an unknown key, a number
written as text, a boolean for an integer or a number that is not finite is a fault. Nothing here imports torch.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from hpcli.catalog import MOMENTUM_CYCLES
from hpcli.config.experiments import (
    BatchSizeConfig,
    EvaluateConfig,
    InterpolateConfig,
    LRFindConfig,
    RecordConfig,
    SweepConfig,
    TuneConfig,
)
from hpcli.config.kinds import (
    Checkpoint,
    DatasetName,
    Epochs,
    Fraction,
    Milestones,
    ModelName,
    MomentumKey,
    OptimizerName,
    Positive,
    PositiveInt,
    ScheduleName,
    Validation,
)
from hpcli.config.momentum import Momentum
from hpcli.config.optimizers import OWN
from hpcli.config.scope import (
    COST,
    IMAGES,
    JUDGES,
    LENGTH,
    NETWORK,
    NOT_RESULTS,
    REPEAT,
    RUN,
    TRAINER,
    ArgumentOf,
    OnlyWhere,
)
from hpcli.config.section import Section

ADAMW, SGD = OnlyWhere("optimizer.name", ("adamw",)), OnlyWhere("optimizer.name", ("sgd",))
TIMMS = OnlyWhere("optimizer.name", OWN, but=True)
DECAYS = OnlyWhere("optimizer.weight_decay", (0.0,), but=True)
PAIRS = OnlyWhere("data.batch_size", (1,), but=True)
HAS_BATCHNORM = OnlyWhere("model.name", ("shallow3",), but=True)
ONE_CYCLE = OnlyWhere("schedule.name", ("one_cycle",))
CYCLES = OnlyWhere("schedule.name", MOMENTUM_CYCLES)
FINAL = OnlyWhere("schedule.name", ("one_cycle", "cosine", "linear", "wsd"))
WARMUP = OnlyWhere("schedule.name", ("cosine", "linear", "wsd", "piecewise", "constant"))
WSD = OnlyWhere("schedule.name", ("wsd",))


class DataConfig(Section):
    """What is learnt from."""

    name: Annotated[DatasetName, IMAGES | COST] = "digits"
    """digits, cifar10, cifar100, folder (train/<class>/…), or module:function of your own (with --allow-code)."""
    root: Annotated[str, IMAGES, ArgumentOf("data.name")] = "data"
    """Where it is, or is downloaded to."""
    cache_dir: Annotated[str | None, TRAINER, NOT_RESULTS] = None
    """Where a folder's decoded images are kept; null: the user's cache folder."""
    image_size: Annotated[Annotated[int, Field(ge=1, le=4096)] | None, IMAGES | COST, ArgumentOf("data.name")] = None
    """folder, cifar10, cifar100: the shorter side is scaled to it and the middle cut out; null: images as they are, all
    of one size."""
    batch_size: Annotated[PositiveInt, TRAINER | COST] = 256
    """Training images a step, of all processes together; the last, smaller batch of a pass is dropped."""
    eval_batch_size: Annotated[PositiveInt | None, TRAINER, NOT_RESULTS] = None
    """Images a forward pass when evaluating; changes speed and memory, not results. null: 2,048 on a GPU, 128 on a CPU,
    fewer where images are larger than 32 × 32."""
    resident_mb: Annotated[Annotated[float, Field(ge=0)] | None, TRAINER, NOT_RESULTS] = None
    """Training, validation or test images of more MiB stay in their file, and every batch is sent to the device; null:
    half of what a GPU has left, on a CPU any number."""
    augment: Annotated[Literal["none", "standard", "source"], TRAINER | COST] = "standard"
    """none; standard: a crop out of the image padded by an eighth, and a flip where mirror images keep their class;
    source: what fastai v1 did by default: flip, warp, rotation, zoom, lighting."""
    validation: Annotated[Validation, JUDGES] = "auto"
    """A fraction held out of the training images, class by class; valid: a folder's own valid/ or val/; auto: that
    where there is one, else 0.1; test: the test images (a choice made on them is no longer tested by them, and draws
    a warning)."""
    split_seed: Annotated[int, Field(ge=0, lt=2**31), JUDGES] = 0
    """Which images are held out; not changed by `seed`."""
    valid_limit: Annotated[PositiveInt | None, JUDGES] = None
    """Evaluate on at most so many validation images."""
    train_fraction: Annotated[Fraction, IMAGES | COST] = 1.0
    """Train on this share of the training images, class by class: quick answers on large data."""
    steps_per_epoch: Annotated[PositiveInt | None, TRAINER | COST] = None
    """So many batches count as an epoch; null: one pass over the images. Order is shuffled once a pass all the same."""


class ModelConfig(Section):
    """What learns."""

    name: Annotated[ModelName, NETWORK | COST] = "resnet20"
    """The network: a name of hpcli's, torchvision/resnet18, timm/…, or module:function of your own (with --allow-code);
    channels, image size and classes come from the data."""
    options: Annotated[dict[str, JsonValue], NETWORK | COST] = Field(default={})
    """The network's own arguments, such as num_blocks."""
    pretrained: Annotated[bool, TRAINER, ArgumentOf("model.name")] = False
    """torchvision and timm: start from the library's weights, with a new last layer."""
    freeze: Annotated[Literal["body"] | None, TRAINER | COST] = None
    """body: train the head alone; null: train everything."""
    bn_momentum: Annotated[Fraction | None, TRAINER, HAS_BATCHNORM] = None
    """Weight of the newest batch in BatchNorm's running statistics; short runs need more than torch's 0.1."""


class InitConfig(Section):
    """What training starts from."""

    weights: Annotated[Checkpoint, TRAINER] = None
    """A checkpoint: a run folder (its last one), RUN_DIR:best, RUN_DIR:epoch-0007, or a file; null: weights drawn by
    the seed. Written into a run's config with its hash, CKPT@sha256:…, so that another file is not taken for it."""


class OptimizerConfig(Section):
    """How a gradient becomes a step."""

    name: Annotated[OptimizerName, TRAINER] = "adamw"
    """adamw: its β1 is the momentum; sgd: with momentum; timm's: timm/muon, timm/nadamw, timm/lion, timm/adamc …;
    schedulefree_adamw: needs no schedule that falls; prodigy: finds its learning rate."""
    options: Annotated[dict[str, JsonValue], TRAINER, TIMMS] = Field(default={})
    """A library's optimizer: its own arguments, such as ns_steps; of betas the first is the momentum all the same."""
    weight_decay: Annotated[float, Field(ge=0, le=1e6), RUN] = 1e-2
    """Strength of the pull to zero."""
    decay: Annotated[Literal["decoupled", "coupled"], TRAINER, DECAYS] = "decoupled"
    """decoupled: weights shrink by lr × weight_decay a step (AdamW, SGDW); coupled: weight_decay × weight is added to
    the gradient (L2). Each of timm's has one of the two."""
    decay_norm_and_bias: Annotated[bool, TRAINER, DECAYS] = True
    """Also decay biases and normalisation weights, as fastai v1 does."""
    beta2: Annotated[float, Field(ge=0, lt=1), TRAINER, ADAMW] = 0.99
    """AdamW: memory of the squared gradient."""
    eps: Annotated[Positive, TRAINER, ADAMW] = 1e-8
    """AdamW: added to the denominator."""
    nesterov: Annotated[bool, TRAINER, SGD] = False
    """SGD: look ahead along the momentum."""


class ScheduleConfig(Section):
    """Learning rate and momentum of every step."""

    name: Annotated[ScheduleName, LENGTH] = "one_cycle"
    """The shape: one_cycle, triangular, triangular2, exp_range, cosine, linear, wsd, piecewise or constant."""
    dialect: Annotated[Literal["fastai", "fastai2", "torch", "smith"], LENGTH, ONE_CYCLE] = "fastai"
    """Whose one_cycle: fastai v1's (cosine, peak at 0.30), fastai2's (0.25), torch's OneCycleLR, Smith's (lines)."""
    max_lr: Annotated[Positive, LENGTH] = 1e-2
    """The highest learning rate; of piecewise the first, of constant the only one."""
    momentum: Annotated[MomentumKey, RUN] = Momentum(0.95, 0.85)
    """A pair high-low mirrors the learning rate; one number stays constant."""
    cycles: Annotated[PositiveInt, LENGTH, CYCLES] = 1
    """Number of equal cycles in the run; a checkpoint is kept at each end."""
    base_lr: Annotated[Positive | None, LENGTH, CYCLES] = None
    """The learning rate a cycle starts from; null: max_lr / div_factor."""
    div_factor: Annotated[Annotated[float, Field(ge=1)] | None, LENGTH, CYCLES] = None
    """max_lr / base_lr; null: 25 (one_cycle), 10 (smith), 4 (triangular, triangular2, exp_range)."""
    final_div_factor: Annotated[Annotated[float, Field(ge=1)] | None, LENGTH, FINAL] = None
    """max_lr / the final learning rate; null: 2.5e5 (one_cycle; fastai, torch), 1e5 (fastai2), 1e4 (smith); else
    it falls to 0."""
    pct_start: Annotated[Annotated[float, Field(gt=0, lt=1)] | None, LENGTH, ONE_CYCLE] = None
    """one_cycle: share of the cycle spent rising; null: 0.3 (fastai, torch), 0.25 (fastai2), 0.45 (smith)."""
    step_size: Annotated[PositiveInt | None, LENGTH, CYCLES] = None
    """Steps from the lowest to the highest learning rate (smith and the triangular family); null: from pct_start or
    from the number of cycles."""
    gamma: Annotated[Fraction | None, LENGTH, OnlyWhere("schedule.name", ("piecewise", "exp_range"))] = None
    """piecewise: factor at each milestone, null 0.1; exp_range: shrinks the cycle by this a step, null 0.99994."""
    warmup: Annotated[Annotated[float, Field(ge=0, lt=1)] | None, LENGTH, WARMUP] = None
    """Share of the run, at its start, over which the learning rate rises in a line; null: 0.05 (cosine, linear, wsd), 0
    (piecewise, constant)."""
    decay_ratio: Annotated[Fraction | None, LENGTH, WSD] = None
    """wsd: share of the run, at its end, over which the learning rate falls; null: 0.2."""
    decay_type: Annotated[Literal["sqrt", "linear", "cosine"] | None, LENGTH, WSD] = None
    """wsd: the shape of the fall, sqrt, linear or cosine; null: sqrt, 1 - √progress (2405.18392)."""
    milestones: Annotated[Milestones | None, LENGTH, OnlyWhere("schedule.name", ("piecewise",))] = None
    """piecewise: epochs at which the learning rate drops; null: at 1/2 and 3/4 of the run."""


class TrainConfig(Section):
    """Length and numerics of a run."""

    epochs: Annotated[PositiveInt, LENGTH | COST] = 15
    """Passes over the training images (or so many × steps_per_epoch)."""
    precision: Annotated[Literal["auto", "fp32", "tf32", "bf16"], TRAINER | COST] = "auto"
    """fp32, tf32 or bf16; auto: bf16 on a GPU that has it, fp32 elsewhere."""
    checkpoint_epochs: Annotated[Epochs, LENGTH] = ()
    """Keep a checkpoint after these epochs (counted from 0), besides the last."""
    clip_norm: Annotated[Positive | None, TRAINER] = None
    """Clip the gradient's norm to this."""
    ema: Annotated[Annotated[float, Field(gt=0, lt=1)] | None, TRAINER] = None
    """Evaluate and keep an average of the weights, of which a step keeps this share, such as 0.99; null: none."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1), TRAINER] = 0.0
    """Share of the target spread over all classes (training loss only)."""
    mixup: Annotated[Annotated[float, Field(ge=0, le=1000)], TRAINER, PAIRS] = 0.0
    """Average each training image with another of its batch, and their labels, the share drawn from Beta(α, α) for a
    batch; this is α, such as 0.2. 0: none. With cutmix too, a coin says for each batch which of the two."""
    cutmix: Annotated[Annotated[float, Field(ge=0, le=1000)], TRAINER, PAIRS] = 0.0
    """Put a box of another image of the batch into each training image, and mix their labels by area, the share drawn
    from Beta(α, α) for a batch; this is α, such as 1. 0: none."""
    deterministic: Annotated[bool, TRAINER | COST] = False
    """On a GPU: bit-identical repeats, at some cost. A CPU's are, with one number of threads."""
    threads: Annotated[PositiveInt | None, TRAINER] = None
    """CPU cores that a run computes with; null: all. Their number changes a result's last digits, so it is part of what
    a trial is; trials of one thread each can run side by side."""
    compile: Annotated[bool, TRAINER] = False
    """Compile the step's network: steps take a fifth less, after a minute or two; a result's last digits change."""
    cuda_graph: Annotated[Literal["auto", True, False], TRAINER, NOT_RESULTS] = "auto"
    """On a GPU: launch a step's kernels at once. auto: for every network but one of your own code."""


class Config(Section):
    """One YAML for all commands, in the method's order."""

    seed: Annotated[int, Field(ge=0, lt=2**31), RUN | REPEAT] = 0
    """Governs initial weights, data order, augmentation and dropout; not which images are held out."""
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    init: InitConfig = InitConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    train: TrainConfig = TrainConfig()
    lr_find: LRFindConfig = LRFindConfig()
    sweep: SweepConfig = SweepConfig()
    tune: TuneConfig = TuneConfig()
    batch_size: BatchSizeConfig = BatchSizeConfig()
    interpolate: InterpolateConfig = InterpolateConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    record: RecordConfig = RecordConfig()
