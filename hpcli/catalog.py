"""What can be named in a config, and the function behind each name, as `module:function`.

Text only: checking a name imports nothing. To add a model or a data set, write its function in its folder and one line
here. `load(MODELS["resnet56"])` imports it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, cast

MODELS = {
    "resnet20": "hpcli.models.resnet_cifar:resnet20",
    "resnet32": "hpcli.models.resnet_cifar:resnet32",
    "resnet44": "hpcli.models.resnet_cifar:resnet44",
    "resnet56": "hpcli.models.resnet_cifar:resnet56",
    "resnet110": "hpcli.models.resnet_cifar:resnet110",
    "shallow3": "hpcli.models.shallow:shallow3",
}

DATASETS = {
    "digits": "hpcli.data.digits:digits",
}


def load(reference: str) -> Callable[..., Any]:
    """Import the function named `module:function`."""
    module, _, function = reference.partition(":")
    return cast(Callable[..., Any], getattr(importlib.import_module(module), function))
