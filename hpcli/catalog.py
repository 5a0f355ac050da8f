"""What can be named in a config, and the function behind each name, as `module:function`.

Text only: checking a name imports nothing. To add a model, a data set or a schedule, write its function in its folder
and one line here. A name with a colon is a function of the user's own; it is imported only where that is allowed.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from hpcli.errors import ConfigError

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
    "cifar10": "hpcli.data.cifar:cifar10",
    "cifar100": "hpcli.data.cifar:cifar100",
    "folder": "hpcli.data.folder:folder",
}

SCHEDULES = {
    "one_cycle": "hpcli.training.one_cycle:one_cycle_table",
    "triangular": "hpcli.training.schedules:cyclical_table",
    "triangular2": "hpcli.training.schedules:cyclical_table",
    "exp_range": "hpcli.training.schedules:cyclical_table",
    "cosine": "hpcli.training.decays:cosine_table",
    "linear": "hpcli.training.decays:linear_table",
    "wsd": "hpcli.training.decays:wsd_table",
    "piecewise": "hpcli.training.schedules:piecewise_table",
    "constant": "hpcli.training.schedules:constant_table",
}

MOMENTUM_CYCLES = ("one_cycle", "triangular", "triangular2", "exp_range")
"""Schedules that take a pair of momenta, high-low, and mirror the learning rate with it."""

ABOUT = {
    **{f"resnet{n}": f"a residual network of {n} layers for small images" for n in (20, 32, 44, 56, 110)},
    "shallow3": "Smith's shallow network of three convolutions",
    "digits": "handwritten digits of 8×8 grey pixels",
    "cifar10": "photographs of 32×32 pixels",
    "cifar100": "photographs of 32×32 pixels",
}
"""A few words on a network or on images, for who was sent a result of them. A folder has a name of its own."""

LIBRARIES = ("torchvision", "timm")
"""Models are also named `torchvision/NAME` and `timm/NAME`."""

allowed_code: set[str] = set()
"""Import paths that the user has allowed to run, by `--allow-code` or `allow_code`."""


def in_libraries(name: str) -> list[str]:
    """`torchvision/NAME` and `timm/NAME`, where the library is installed and has such a model, read off its source."""
    found = []
    for library in LIBRARIES if name.isidentifier() else ():
        spec = find_spec(library)  # imports nothing
        folders = [] if spec is None else spec.submodule_search_locations or []
        sources = (file for each in folders for file in sorted(Path(each, "models").glob("*.py")))
        if any(f"\ndef {name}(" in file.read_text("utf-8", "replace") for file in sources):
            found.append(f"{library}/{name}")
    return found


def is_code(name: str) -> bool:
    """Whether a name is an import path, whose module would run."""
    return ":" in name


def allow_code(*names: str) -> None:
    """Let these import paths run; modules are also looked for in the working directory."""
    allowed_code.update(names)
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))


def check_allowed(name: str, key: str) -> None:
    """Check that an import path may run.

    Raises:
        ConfigError: nobody has allowed it.
    """
    if name not in allowed_code:
        raise ConfigError(f"{key}: {name} would run code of that module; add --allow-code if you trust it")


def load_named(known: Mapping[str, str], name: str, key: str) -> Callable[..., Any]:
    """Import the function behind a name.

    Args:
        known: a catalog above.
        name: one of its names, or `module:function`.
        key: the config key that holds it, for errors.

    Raises:
        ConfigError: code that is not allowed to run, or that is not there.
    """
    if not is_code(name):
        return _imported(known[name])
    check_allowed(name, key)
    try:
        function = _imported(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{key}: {name}: {error}; write module:function, importable from here") from None
    if not callable(function):
        raise ConfigError(f"{key}: {name}: is a {type(function).__name__}, not a function")
    return _explained(function, f"{key}: {name}")


def _explained(function: Callable[..., Any], where: str) -> Callable[..., Any]:
    """The user's function, whose exceptions become a ConfigError."""

    @wraps(function)
    def call(**arguments: Any) -> Any:
        """Call the function, and name it where it fails."""
        try:
            return function(**arguments)
        except Exception as error:
            first_line = (str(error).splitlines() or [""])[0][:120]
            raise ConfigError(f"{where}: {type(error).__name__}: {first_line} (--debug shows where)") from error

    return call


def _imported(reference: str) -> Callable[..., Any]:
    module, _, function = reference.partition(":")
    return cast(Callable[..., Any], getattr(importlib.import_module(module), function))
