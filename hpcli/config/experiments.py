"""The sections of single commands: how each goes about its experiment."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hpcli.config.alphas import Alphas
from hpcli.config.kinds import AtOnce, Checkpoint, CycleEpochs, FreshSeeds, Positive, PositiveInt, Seeds, Sizes, Values
from hpcli.config.scope import EXPERIMENT, EXTENDS, NOT_RESULTS
from hpcli.config.section import Section


class LRFindConfig(Section):
    """The learning-rate range test."""

    start_lr: Annotated[Positive, EXPERIMENT] = 1e-6
    """First learning rate."""
    end_lr: Annotated[Positive, EXPERIMENT] = 10.0
    """Last learning rate."""
    steps: Annotated[int, Field(ge=2, le=10**7), EXPERIMENT] = 210
    """Number of steps between them: 30 a decade."""
    mode: Annotated[Literal["exp", "linear"], EXPERIMENT] = "exp"
    """exp: equal factors; linear: equal differences, as Smith's own."""
    seeds: Annotated[int, Field(ge=1, le=100), EXPERIMENT] = 3
    """Number of tests, each with its own initial weights and data order: seed, seed + 1, …"""
    valid: Annotated[bool, EXPERIMENT] = False
    """Also measure the validation loss along the way, BatchNorm re-estimated each time; about three times the cost."""
    values: Annotated[Values, EXPERIMENT] = Field(default={})
    """A test of every seed for each value of a key, overlaid: {optimizer.weight_decay: [1e-4, 1e-2]}."""


class SweepConfig(Section):
    """Values compared by short, complete runs of several seeds."""

    values: Annotated[Values, EXTENDS] = Field(default={})
    """What is compared: {optimizer.weight_decay: [1e-5, 1e-4]}; with two keys every pair of their values; with more, or
    with `points`, settings between the lowest and the highest value of each."""
    points: Annotated[Annotated[int, Field(ge=2, le=1000)] | None, EXTENDS] = None
    """So many quasi-random settings instead of a grid; more of them begin with the same ones. null: of one key or two a
    grid, of more 16 points."""
    epochs: Annotated[PositiveInt, EXPERIMENT] = 2
    """Length of every run: a complete cycle of its own, not the start of a long one."""
    seeds: Annotated[Seeds, EXTENDS] = "auto"
    """Runs a value: seed, seed + 1, …, the same for every value. auto: 5 where that takes less than five minutes, else
    3."""
    matters: Annotated[float, Field(ge=0, le=1), EXPERIMENT] = 0.01
    """The difference worth knowing, as a share of the lowest loss."""
    scale_lr: Annotated[bool, EXPERIMENT] = True
    """Batch sizes, and momenta of SGD: give each its own max_lr, so that they are compared alike: it grows with the
    batch size (adamw: with its square root), and max_lr / (1 − momentum) stays the same."""
    retune: Annotated[Values, EXTENDS] = Field(default={})
    """Give each value its own best of these, chosen on seeds of their own: {schedule.max_lr: [3e-3, 1e-2, 3e-2]}."""
    refine: Annotated[bool, EXTENDS] = False
    """Go on between the values that may be the best and their neighbours: exponents halved, one significant figure."""
    parallel: Annotated[AtOnce, EXTENDS] = "auto"
    """Trials side by side, each in a process of its own; auto: on a CPU one for every train.threads of its cores."""
    workers: Annotated[Annotated[int, Field(ge=0, le=1000)] | None, EXTENDS] = None
    """Leave the trials to workers, hpcli sweep --resume RUN --worker, on any machine that sees the folder, and start so
    many of them here; 0: none. null: no workers."""
    launcher: Annotated[Literal["local", "ray"], EXTENDS] = "local"
    """Where the workers that it starts live. local: on this machine; ray: on a Ray cluster, or one begun for it, each
    with a GPU, or train.threads CPUs where there is none."""
    until_decided: Annotated[bool, EXTENDS] = False
    """Add seeds until nothing is undecided, in three looks that share the error rate."""
    max_seeds: Annotated[int, Field(ge=2, le=100), EXTENDS] = 12
    """With until_decided: at most so many seeds."""


class TuneConfig(Section):
    """The whole method: a range test, a joint search, a verdict on fresh seeds, the training."""

    values: Annotated[Values, EXPERIMENT] = Field(default={})
    """What is searched beside or instead of the usual ranges of max_lr, momentum and weight decay: two numbers are a
    range, words or more numbers are choices, one value stays: {data.augment: [none, standard]}."""
    runs: Annotated[int, Field(ge=4, le=1000), EXTENDS] = 24
    """Short runs in all, the range test and the verdict counted in."""
    minutes: Annotated[Positive | None, EXTENDS] = None
    """As many runs as fit into this time, by what the first one took, instead of `runs`."""
    epochs: Annotated[CycleEpochs, EXPERIMENT] = "auto"
    """Length of a short run, a complete cycle; auto: sweep.epochs, or more where that is less than 100 steps."""
    range_test: Annotated[Literal["auto", True, False], EXPERIMENT] = "auto"
    """Bound the learning rate by a range test of one seed, where `values` gives it no range. auto: where the usual
    ranges are not known to hold, for weights that are trained further and networks of your own code."""
    confirm: Annotated[FreshSeeds, EXTENDS] = "auto"
    """Fresh seeds on which the winner and the present setting are compared; auto: 3, with less than 20 runs 1, with
    less than 12 none."""
    until: Annotated[Literal["range_test", "search", "verdict", "train"], EXTENDS] = "train"
    """The last step to take: range_test, search, verdict or train."""


class BatchSizeConfig(Section):
    """Training throughput at each batch size."""

    sizes: Annotated[Sizes, EXPERIMENT] = ()
    """Measure these sizes; none: powers of two from 16 up, until a larger batch gains nothing or does not fit."""


class InterpolateConfig(Section):
    """The loss between two checkpoints, or on the plane through three."""

    ckpt_a: Annotated[Checkpoint, EXPERIMENT] = None
    """Checkpoint A, where α = 0: a run folder (its last checkpoint), RUN_DIR:best, RUN_DIR:epoch-0007, RUN_DIR:cycle-1,
    or a file."""
    ckpt_b: Annotated[Checkpoint, EXPERIMENT] = None
    """Checkpoint B, where α = 1."""
    ckpt_c: Annotated[Checkpoint, EXPERIMENT] = None
    """A third one: the plane through all three is measured too."""
    alphas: Annotated[Alphas, EXPERIMENT] = "-0.5:1.5:41"
    """low:high:count, or a list; 0, 0.5 and 1 are added where they are missing."""
    bn: Annotated[Literal["recompute", "interpolate", "both"], EXPERIMENT] = "both"
    """BatchNorm's statistics between checkpoints: recompute: measured anew on training images at every α;
    interpolate: averaged like the weights; or both."""
    save_average: Annotated[Annotated[float, Field(ge=-1e6, le=1e6)] | None, EXPERIMENT] = None
    """Keep the model at this α, its BatchNorm statistics measured anew."""
    plane_points: Annotated[int, Field(ge=3, le=501), EXPERIMENT] = 21
    """With ckpt_c: so many points along each side of the plane."""


class EvaluateConfig(Section):
    """Weights measured on a part of the data."""

    checkpoint: Annotated[Checkpoint, EXPERIMENT] = None
    """What is evaluated: a run folder (its last checkpoint), RUN_DIR:best, RUN_DIR:epoch-0007, or a file."""
    split: Annotated[Literal["train", "valid", "test"] | None, EXPERIMENT] = None
    """Which images, train, valid or test; null: the test images if there are any, else those that validate."""


class RecordConfig(Section):
    """What is written beside the run folder's own files."""

    tensorboard: Annotated[bool, EXTENDS, NOT_RESULTS] = False
    """train: also a TensorBoard log, `tensorboard` in the run folder, while it goes on."""
    grad_norm: Annotated[bool, EXTENDS, NOT_RESULTS] = False
    """Also the norm of every step's gradient, before clipping, in steps.csv; a run with train.clip_norm has it
    anyway."""
