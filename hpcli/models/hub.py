"""Classifiers of torchvision and timm by name, with their own weights where those are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from hpcli.errors import ConfigError, DataError, did_you_mean

WITHOUT_AUXILIARY = ("googlenet", "inception_v3")
"""These have outputs besides the logits, unless told otherwise."""


def torchvision_model(name: str, *, num_classes: int, in_channels: int, pretrained: bool, **options: Any) -> nn.Module:
    """A torchvision classifier with `num_classes` outputs.

    Args:
        name: as torchvision lists it, such as resnet18.
        num_classes: K; with pretrained weights the last layer is drawn anew.
        in_channels: 1 or 3; grey images are shown to it as three equal channels.
        pretrained: start from torchvision's best weights (ImageNet).
        options: the builder's other arguments.

    Raises:
        ConfigError: no such classifier.
        DataError: its weights are neither in the cache nor to be had.
    """
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise ConfigError(f"model.name: torchvision/{name}: unknown; {_near(name, known)}")
    if name in WITHOUT_AUXILIARY:
        options = {"aux_logits": False, "init_weights": True, **options}
    if pretrained:
        weights = torchvision.models.get_model_weights(name).DEFAULT
        try:
            model: nn.Module = torchvision.models.get_model(name, weights=weights, **options)
        except (OSError, RuntimeError) as error:
            _say_where(f"torchvision/{name}", weights.url, error)
        replace_last(model, num_classes)
    else:
        model = torchvision.models.get_model(name, weights=None, num_classes=num_classes, **options)
    if in_channels == 1:
        model.register_forward_pre_hook(_as_colour)
    return model


def timm_model(name: str, *, num_classes: int, in_channels: int, pretrained: bool, **options: Any) -> nn.Module:
    """A timm model with `num_classes` outputs; see `torchvision_model`.

    Raises:
        ConfigError: timm is not installed, or has no such model.
        DataError: its weights are not to be had.
    """
    try:
        import timm
    except ImportError:
        raise ConfigError(f"model.name: timm/{name}: timm is not installed; pip install 'hpcli[timm]'") from None
    if not timm.is_model(name):
        raise ConfigError(f"model.name: timm/{name}: unknown; {_near(name, timm.list_models())}")
    try:
        model: nn.Module = timm.create_model(
            name, pretrained=pretrained, num_classes=num_classes, in_chans=in_channels, **options
        )
    except OSError as error:
        raise DataError(
            f"timm/{name}: its weights cannot be downloaded ({_first_line(error)}); model.pretrained: false needs none"
        ) from None
    return model


def last_layer(model: nn.Module) -> tuple[str, nn.Linear | nn.Conv2d]:
    """Name and module of the layer that makes the logits: the last linear layer, or convolution where there is none.

    Raises:
        ConfigError: the model has neither.
    """
    for kind in (nn.Linear, nn.Conv2d):
        found = [(name, module) for name, module in model.named_modules() if isinstance(module, kind)]
        if found:
            return found[-1]
    raise ConfigError("model: it has no linear layer and no convolution, so no head can be told from its body")


def replace_last(model: nn.Module, num_classes: int) -> None:
    """Draw the last layer anew, with `num_classes` outputs."""
    name, old = last_layer(model)
    parent, _, own = name.rpartition(".")
    if isinstance(old, nn.Linear):
        new: nn.Module = nn.Linear(old.in_features, num_classes, bias=old.bias is not None)
    else:
        new = nn.Conv2d(old.in_channels, num_classes, 1)
    setattr(model.get_submodule(parent), own, new)


def _as_colour(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return (inputs[0].expand(-1, 3, -1, -1), *inputs[1:])


def _near(name: str, known: list[str]) -> str:
    text = did_you_mean(name, known)
    return text if text.startswith("did you mean") else f"there are {len(known)}, such as {', '.join(known[:5])}"


def _say_where(name: str, url: str, error: Exception) -> None:
    place = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
    raise DataError(
        f"{name}: its weights are not at {place} and cannot be downloaded ({_first_line(error)}); put them there, "
        "or set model.pretrained: false"
    ) from None


def _first_line(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error).splitlines()[0][:80]
