"""The optimizers that do a schedule's work, by name; config/controls.py says what goes with them."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from hpcli.config.controls import NOT_THEIR_OPTIONS
from hpcli.config.optimizers import FREE, PRODIGY
from hpcli.errors import ConfigError
from hpcli.training.optimizer_options import as_arguments, check_options, refused

LIBRARIES = {FREE: ("schedulefree", "AdamWScheduleFree"), PRODIGY: ("prodigyopt", "Prodigy")}
"""Name → module and class."""


def control_optimizer(
    name: str, groups: Iterable[Mapping[str, Any]], options: Mapping[str, Any]
) -> torch.optim.Optimizer:
    """One of them, before its first step.

    Args:
        name: one of `CONTROLS`.
        groups: its parameters, with a weight decay for each group.
        options: the library's own arguments.

    Raises:
        ConfigError: the library is not installed; an option that the optimizer does not take, or a value that it
            refuses.
    """
    kind: Any = check_control_optimizer(name, options)
    try:
        optimizer: torch.optim.Optimizer = kind([dict(group) for group in groups], lr=1.0, **as_arguments(options))
    except Exception as error:  # whatever the library makes of a value
        raise refused(name, error) from None
    return optimizer


def check_control_optimizer(name: str, options: Mapping[str, Any]) -> type[torch.optim.Optimizer]:
    """The class of one, its options checked by name.

    Raises:
        ConfigError: as `control_optimizer`.
    """
    module, own_name = LIBRARIES[name]
    try:
        kind: type[torch.optim.Optimizer] = getattr(importlib.import_module(module), own_name)
    except ImportError:
        raise ConfigError(f"optimizer.name: {name}: {module} is not installed; pip install 'hpcli[controls]'") from None
    check_options(name, kind, options, NOT_THEIR_OPTIONS)
    return kind
