"""Results as matplotlib figures. Nothing here trains, saves or shows."""

from hpcli.plots.batch_size import batch_size
from hpcli.plots.confusion import confusion
from hpcli.plots.interpolation import interpolation, interpolations, plane
from hpcli.plots.range_test import lr_find
from hpcli.plots.sweep import curves, differences, heat_map, sweep
from hpcli.plots.training import accuracy, after_training, batch, before_training, loss, schedule

__all__ = [
    "accuracy",
    "after_training",
    "batch",
    "batch_size",
    "before_training",
    "confusion",
    "curves",
    "differences",
    "heat_map",
    "interpolation",
    "interpolations",
    "loss",
    "lr_find",
    "plane",
    "schedule",
    "sweep",
]
