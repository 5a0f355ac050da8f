"""hpcli: Leslie N. Smith's disciplined method for setting hyper-parameters.

In a notebook: `from hpcli import load_config, lr_find, sweep, train, plots`. Names are imported on first use, so that
`hpcli --help` never loads torch; nothing is written unless you pass a `RunDir` as the store.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hpcli.version import __version__

if TYPE_CHECKING:
    from hpcli import plots
    from hpcli.analysis.suggestion import Suggestion, suggest
    from hpcli.analysis.verdict import Verdict, verdict
    from hpcli.catalog import allow_code
    from hpcli.config import Config, load_config, with_overrides
    from hpcli.data.dataset import ImageData, Split
    from hpcli.experiments.batch_size import BatchSizeResult, batch_size
    from hpcli.experiments.evaluate import EvaluateResult, evaluate
    from hpcli.experiments.interpolate import InterpolationResult, interpolate
    from hpcli.experiments.lr_find import LRFindResult, lr_find
    from hpcli.experiments.plane import PlaneResult, plane
    from hpcli.experiments.sweep import sweep
    from hpcli.experiments.sweep_result import SweepResult
    from hpcli.experiments.train import TrainResult, train
    from hpcli.run_dir import RunDir, load_weights
    from hpcli.training.trainer import Trainer

__all__ = [
    "BatchSizeResult",
    "Config",
    "EvaluateResult",
    "ImageData",
    "InterpolationResult",
    "LRFindResult",
    "PlaneResult",
    "RunDir",
    "Split",
    "Suggestion",
    "SweepResult",
    "TrainResult",
    "Trainer",
    "Verdict",
    "__version__",
    "allow_code",
    "batch_size",
    "evaluate",
    "interpolate",
    "load_config",
    "load_weights",
    "lr_find",
    "plane",
    "plots",
    "suggest",
    "sweep",
    "train",
    "verdict",
    "with_overrides",
]

_HOME = {
    "Verdict": "hpcli.analysis.verdict",
    "verdict": "hpcli.analysis.verdict",
    "allow_code": "hpcli.catalog",
    "ImageData": "hpcli.data.dataset",
    "Split": "hpcli.data.dataset",
    "BatchSizeResult": "hpcli.experiments.batch_size",
    "batch_size": "hpcli.experiments.batch_size",
    "EvaluateResult": "hpcli.experiments.evaluate",
    "evaluate": "hpcli.experiments.evaluate",
    "InterpolationResult": "hpcli.experiments.interpolate",
    "interpolate": "hpcli.experiments.interpolate",
    "PlaneResult": "hpcli.experiments.plane",
    "plane": "hpcli.experiments.plane",
    "Suggestion": "hpcli.analysis.suggestion",
    "suggest": "hpcli.analysis.suggestion",
    "Config": "hpcli.config",
    "load_config": "hpcli.config",
    "with_overrides": "hpcli.config",
    "LRFindResult": "hpcli.experiments.lr_find",
    "lr_find": "hpcli.experiments.lr_find",
    "SweepResult": "hpcli.experiments.sweep_result",
    "sweep": "hpcli.experiments.sweep",
    "TrainResult": "hpcli.experiments.train",
    "train": "hpcli.experiments.train",
    "RunDir": "hpcli.run_dir",
    "load_weights": "hpcli.run_dir",
    "Trainer": "hpcli.training.trainer",
}


def __getattr__(name: str) -> Any:
    if name == "plots":
        return importlib.import_module("hpcli.plots")
    if name not in _HOME:
        raise AttributeError(f"module 'hpcli' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
