"""Networks by name. Builders take plain arguments; what they need of the data they ask for by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from hpcli import catalog
from hpcli.errors import ConfigError, did_you_mean


def build_model(
    name: str,
    *,
    num_classes: int,
    in_channels: int,
    image_size: tuple[int, int],
    options: Mapping[str, Any] | None = None,
    bn_momentum: float | None = None,
) -> nn.Module:
    """Build a network with freshly drawn weights.

    Args:
        name: a name in the catalog.
        num_classes: K, of the data. Of this and the next two, a builder gets those it has parameters for.
        in_channels: C of the images.
        image_size: (H, W) of the images.
        options: the builder's other arguments.
        bn_momentum: weight of the newest batch in every BatchNorm's running statistics.

    Raises:
        ConfigError: an option that the builder does not take, or a value it refuses.
    """
    builder = catalog.load(catalog.MODELS[name])
    facts = {"num_classes": num_classes, "in_channels": in_channels, "image_size": image_size}
    arguments = _bind(builder, name, facts, options or {})
    try:
        model: nn.Module = builder(**arguments)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"model.options: {name}: {error}") from None
    for module in model.modules():
        if bn_momentum is not None and isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = bn_momentum
    return model


def _bind(
    builder: Callable[..., Any], name: str, facts: Mapping[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    parameters = inspect.signature(builder).parameters
    own = [parameter for parameter in parameters if parameter not in facts]
    for option in options:
        if option not in own:
            known = did_you_mean(option, own) if own else "it takes none"
            raise ConfigError(f"model.options.{option}: not an option of {name}; {known}")
    return {**{fact: value for fact, value in facts.items() if fact in parameters}, **options}
