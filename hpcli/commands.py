"""The commands that are experiments: each registered here, once, and nowhere else.

A command `batch-size` has a function `batch_size` in `cli/batch_size.py`, an experiment of that name in
`experiments/batch_size.py`, a result in `results/batch_size.py`, and its pictures, `figures`, in `plots/batch_size.py`.
The names lead there; they are text only, so that nothing is imported before it is used.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from hpcli.results import Result


@dataclass(frozen=True)
class Experiment:
    """An experiment, and what its parts are called."""

    module: str  # in cli, experiments, results and plots
    result: str  # class in results
    about: str  # its line in `hpcli --help`
    swept: str | None = None  # of a sweep with a name of its own: the key, whose values are in config/grids.py
    example: str = ""  # the rest of a command line, for who gives too little


COMMANDS = {
    "lr-find": Experiment(
        "lr_find", "LRFindResult", "Find a learning rate: the range test, short runs from a tiny to a huge one."
    ),
    "train": Experiment("train", "TrainResult", "Train by the config's schedule, evaluating after every epoch."),
    "sweep-mom": Experiment(
        "sweep",
        "SweepResult",
        "Compare momenta, pairs and constants, by short runs of several seeds, and say which to use.",
        "schedule.momentum",
    ),
    "sweep-wd": Experiment(
        "sweep",
        "SweepResult",
        "Compare weight decays by short runs of several seeds: which can differ at all, which to use.",
        "optimizer.weight_decay",
    ),
    "sweep": Experiment(
        "sweep",
        "SweepResult",
        "Compare values of a config key, or of several, by short runs of several seeds, and say which to use.",
        example="schedule.max_lr --values 3e-3,1e-2,3e-2",
    ),
    "tune": Experiment(
        "tune",
        "TuneResult",
        "The whole method: learning rate, momentum and weight decay searched together, judged on fresh seeds, trained.",
    ),
    "batch-size": Experiment(
        "batch_size",
        "BatchSizeResult",
        "Time training at each batch size: where throughput stops growing, and on a GPU the largest that fits.",
    ),
    "interpolate": Experiment(
        "interpolate",
        "InterpolateResult",
        "The loss on the line between two checkpoints: one valley, or two with a barrier between them.",
    ),
    "evaluate": Experiment(
        "evaluate",
        "EvaluateResult",
        "Evaluate weights: loss, accuracy, top-5, accuracy by class, and what is taken for what.",
    ),
}


def result_class(command: str) -> type[Result]:
    """The class of a command's result."""
    about = COMMANDS[command]
    module = importlib.import_module(f"hpcli.results.{about.module}")
    return cast("type[Result]", getattr(module, about.result))


def module_of(result: Result) -> str:
    """The module name of a result's command."""
    return next(about.module for about in COMMANDS.values() if about.result == type(result).__name__)
