"""The line in a picture's corner that says what ran: a picture goes to places where nobody knows."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from hpcli.config import Config
from hpcli.config.varying import written
from hpcli.plots.style import shortened

LONGEST = 32
"""Letters that a name of the user's has room for, and a network's options."""
FADED = "#6b747d"
HEIGHT = 0.17
"""Inches of the line."""
ONE_SEED = ("train", "evaluate", "interpolate", "batch_size")


def what_ran(config: Config, module: str) -> str:
    """Network, data, optimizer and seed of a run: `resnet20 on digits, adamw, seed 0`.

    Args:
        config: the run's.
        module: of its command, as in `commands.py`.
    """
    root, data = config.data.root, config.data.name
    if data == "folder" and root is not None:
        called = Path(root).name  # a link what the user calls it
        data = called if called not in ("", "..") else Path(root).resolve().name
    seed = f"seed {config.seed}" if module in ONE_SEED else f"seeds from {config.seed}"
    options = ", ".join(f"{name} {written(value)}" for name, value in config.model.options.items())
    network = shortened(config.model.name, LONGEST) + (f" ({shortened(options, LONGEST)})" if options else "")
    return f"{network} on {shortened(data, LONGEST)}, {config.optimizer.name}, {seed}"


def say_at_corner(figure: Figure, text: str) -> None:
    """A faint line at the upper right, above all else; the figure grows by as much."""
    before = figure.get_figheight()
    figure.set_figheight(before + HEIGHT)
    share = before / (before + HEIGHT)
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(0, 0, 1, share))
    else:
        for axes in figure.axes:
            left, low, wide, high = axes.get_position().bounds
            axes.set_position((left, share * low, wide, share * high))
    figure.text(0.995, 1 - 0.03 / figure.get_figheight(), text, ha="right", va="top", fontsize=7, color=FADED)
