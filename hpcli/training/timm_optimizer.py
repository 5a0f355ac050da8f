"""timm's optimizers by name; config/optimizers.py says which, and what their weight decay is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from hpcli.config.optimizers import LIBRARY, NOT_OPTIONS
from hpcli.errors import ConfigError
from hpcli.training.optimizer_options import as_arguments, check_options, refused

PEAK = 1.0
"""Learning rate that one is made with, before it has a schedule; some refuse 0."""


def timm_optimizer(name: str, groups: Iterable[Mapping[str, Any]], options: Mapping[str, Any]) -> torch.optim.Optimizer:
    """One of timm's optimizers, before its first step.

    Args:
        name: `timm/NAME`.
        groups: its parameters, with a weight decay for each group.
        options: timm's own arguments.

    Raises:
        ConfigError: timm is not installed, or is too old; an option that the optimizer does not take, or a value that
            it refuses.
    """
    check_timm_optimizer(name, options)
    return _built(name, groups, options)


def check_timm_optimizer(name: str, options: Mapping[str, Any]) -> None:
    """Check a name and its options; with options by a step on a weight of zeros, as some are looked at there alone.

    Raises:
        ConfigError: as `timm_optimizer`.
    """
    try:
        from timm.optim import get_optimizer_class
    except ImportError:
        raise ConfigError(f"optimizer.name: {name}: timm is not installed; pip install 'hpcli[timm]'") from None
    try:
        kind = get_optimizer_class(name.removeprefix(LIBRARY), bind_defaults=False)
    except ValueError:
        raise ConfigError(f"optimizer.name: {name}: not in the timm that is installed; pip install -U timm") from None
    check_options(name, kind, options, NOT_OPTIONS)
    if options:
        _try(name, options)


def _try(name: str, options: Mapping[str, Any]) -> None:
    weights = [torch.nn.Parameter(torch.zeros(size, device="cpu")) for size in ((8, 8), (8,))]
    for weight in weights:
        weight.grad = torch.zeros_like(weight)
    try:
        _built(name, [{"params": weights, "weight_decay": 0.0}], options).step()
    except Exception as error:  # whatever timm makes of a value
        raise refused(name, error) from None


def _built(name: str, groups: Iterable[Mapping[str, Any]], options: Mapping[str, Any]) -> torch.optim.Optimizer:
    from timm.optim import create_optimizer_v2

    own = as_arguments(options)
    optimizer: torch.optim.Optimizer = create_optimizer_v2(
        [dict(group) for group in groups], opt=name.removeprefix(LIBRARY), lr=PEAK, weight_decay=0.0, **own
    )
    return optimizer
