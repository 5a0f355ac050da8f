"""`optimizer.options`: a library's own arguments of an optimizer, checked by name, and what it says of their values."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Container, Mapping
from typing import Any

from hpcli.errors import ConfigError, did_you_mean


def check_options(name: str, kind: Callable[..., Any], options: Mapping[str, Any], taken: Container[str]) -> None:
    """Check that an optimizer has these arguments.

    Args:
        name: of the optimizer.
        kind: its class.
        options: argument → value.
        taken: arguments that other keys stand for.

    Raises:
        ConfigError: it has no such argument, or another key stands for it.
    """
    own = [each for each in inspect.signature(kind).parameters if each not in taken]
    for option in options:
        if option not in own:
            raise ConfigError(f"optimizer.options.{option}: not an option of {name}; {did_you_mean(option, own)}")


def as_arguments(options: Mapping[str, Any]) -> dict[str, object]:
    """Options as a library takes them: a pair is a tuple."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}


def refused(name: str, error: Exception) -> ConfigError:
    """What a library says of an option's value, in a line."""
    first_line = (str(error).splitlines() or [""])[0][:120] or type(error).__name__
    return ConfigError(f"optimizer.options: {name}: {first_line}")
