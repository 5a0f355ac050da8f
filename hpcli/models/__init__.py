"""Networks by name. A builder takes plain arguments, and gets the facts of the data that its parameters name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from hpcli import catalog
from hpcli.config import Config
from hpcli.errors import ConfigError, did_you_mean
from hpcli.models import hub
from hpcli.models.freezing import freeze_body


def build_model(
    name: str,
    *,
    num_classes: int,
    in_channels: int,
    image_size: tuple[int, int],
    options: Mapping[str, Any] | None = None,
    bn_momentum: float | None = None,
    pretrained: bool = False,
    freeze: str | None = None,
) -> nn.Module:
    """Build a network with freshly drawn weights.

    Args:
        name: a name in the catalog, `torchvision/NAME`, `timm/NAME`, or `module:function` of the user's own.
        num_classes: K, of the data. Of this and the next two, a builder gets those it has parameters for.
        in_channels: C of the images.
        image_size: (H, W) of the images.
        options: the builder's other arguments.
        bn_momentum: weight of the newest batch in every BatchNorm's running statistics.
        pretrained: start from the library's own weights (torchvision and timm).
        freeze: `body` trains the head alone; None: everything.

    Raises:
        ConfigError: an option that the builder does not take, or a value it refuses.
        DataError: pretrained weights that are not to be had.
    """
    facts = {"num_classes": num_classes, "in_channels": in_channels, "image_size": image_size}
    model = _built(name, {**facts, "pretrained": pretrained}, options or {})
    if catalog.is_code(name):
        _check_output(model, name, (in_channels, *image_size), num_classes)
    for module in model.modules():
        if bn_momentum is not None and isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = bn_momentum
    if freeze is not None:
        freeze_body(model)
    return model


def model_of(
    config: Config, *, num_classes: int, shape: tuple[int, int, int], pretrained: bool | None = None
) -> nn.Module:
    """The network that a config describes, for images of that shape (H, W, C).

    `pretrained` in place of the config's: False asks for no weights of a library, which may be a download.

    Raises:
        ConfigError, DataError: as `build_model`.
    """
    height, width, channels = shape
    return build_model(
        config.model.name,
        num_classes=num_classes,
        in_channels=channels,
        image_size=(height, width),
        options=config.model.options,
        bn_momentum=config.model.bn_momentum,
        pretrained=config.model.pretrained if pretrained is None else pretrained,
        freeze=config.model.freeze,
    )


def _built(name: str, facts: dict[str, Any], options: Mapping[str, Any]) -> nn.Module:
    library, _, own_name = name.rpartition("/")
    builder = getattr(hub, f"{library}_model") if library else catalog.load_named(catalog.MODELS, name, "model.name")
    arguments = _bind(builder, name, {**facts, "name": own_name}, options)
    try:
        model = builder(**arguments)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"model.options: {name}: {error}") from None
    if not isinstance(model, nn.Module):
        raise ConfigError(f"model.name: {name}: returns {type(model).__name__}; it must return a torch.nn.Module")
    return model


def _check_output(model: nn.Module, name: str, shape: tuple[int, ...], num_classes: int) -> None:
    """Try a network of the user's on two black images."""
    try:
        with torch.no_grad():
            logits = model.eval()(torch.zeros(2, *shape))
        model.train()
    except Exception as error:
        first_line = (str(error).splitlines() or [""])[0][:120]
        raise ConfigError(f"model.name: {name}: fails on images {list(shape)}: {first_line}") from error
    found = list(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    if found != [2, num_classes]:
        raise ConfigError(f"model.name: {name}: answers two images with {found}; it must be logits [2, {num_classes}]")


def _bind(
    builder: Callable[..., Any], name: str, facts: Mapping[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    parameters = inspect.signature(builder).parameters
    own = [parameter for parameter in parameters if parameter not in facts]
    anything = any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters.values())
    for option in options:
        if option not in own and not anything:
            known = did_you_mean(option, own) if own else "it takes none"
            raise ConfigError(f"model.options.{option}: not an option of {name}; {known}")
    return {**{fact: value for fact, value in facts.items() if fact in parameters}, **options}
