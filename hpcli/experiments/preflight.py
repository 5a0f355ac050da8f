"""What a run would refuse before its first step, found without taking one: so that `--dry-run` is true.

torch is imported only where it alone can answer: for a GPU, weights, and networks that may be impossible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hpcli.config import Config
from hpcli.config.checks import check_together
from hpcli.config.choices import with_choices
from hpcli.config.optimizers import CONTROLS, is_timm
from hpcli.config.space import Dimension
from hpcli.data.dataset import Splits
from hpcli.errors import CheckpointError, HpcliError, UsageError
from hpcli.results.data import check_batch_size
from hpcli.training.launch import launched

if TYPE_CHECKING:
    from torch import Tensor, nn


def check_start(
    config: Config,
    splits: Splits,
    *,
    device: str = "auto",
    weights: Mapping[str, str | None] | None = None,
    measures: bool = False,
) -> None:
    """Check that a trainer can be had: the device, the network, and weights that fit it.

    Args:
        config: what would run.
        splits: its images, which may be listed alone; of a size that is not known yet no network is built.
        device: where.
        weights: checkpoints that are loaded, by what an error begins with; None: that of `init.weights`.
        measures: whether they are measured, and not trained further.

    Raises:
        ConfigError, DataError, UsageError, CheckpointError: as the run would.
    """
    named = {"": config.init.weights} if weights is None else weights
    measured = config if measures else None
    stored = {place: _stored(name, splits, measured) for place, name in named.items() if name is not None}
    where, processes = None, launched().size
    check_together(config, processes)
    if device not in ("auto", "cpu") or processes > 1:
        from hpcli.training.device import choose_device

        where = choose_device(device)
    if is_timm(config.optimizer.name) and not measures:
        from hpcli.training.timm_optimizer import check_timm_optimizer

        check_timm_optimizer(config.optimizer.name, config.optimizer.options)
    if config.optimizer.name in CONTROLS and not measures:
        from hpcli.training.control_optimizer import check_control_optimizer

        check_control_optimizer(config.optimizer.name, config.optimizer.options)
    model = _network(config, splits, needed=bool(stored) or processes > 1)
    if model is None:
        return
    from hpcli.training.batchnorm import check_batch
    from hpcli.training.weights import first_difference

    check_batch(config, model, processes, where)
    own = model.state_dict()
    for place, each in stored.items():
        difference = first_difference(own, each)
        if difference is not None:
            raise CheckpointError(place + difference)


def check_any_starts(configs: Sequence[Config], splits: Splits, *, device: str) -> None:
    """Check that a trainer can be had for one of several configs at least: a trial that fails ends no sweep.

    Raises:
        ConfigError, DataError, UsageError, CheckpointError: what the first one would fail of.
    """
    failed: HpcliError | None = None
    for config in configs:
        try:
            check_start(config, splits, device=device)
            return
        except HpcliError as error:
            failed = failed or error
    if failed is not None:
        raise failed


def check_sizes(sizes: Sequence[int], splits: Splits) -> None:
    """Check the sizes that `batch-size` is asked to measure.

    Raises:
        UsageError: one is larger than the training images are many.
    """
    images = len(splits.train)
    if sizes and max(sizes) > images:
        raise UsageError(f"--sizes {','.join(map(str, sizes))}: must be from 1 to {images}, the number of images")


def check_searched(config: Config, dimensions: Sequence[Dimension], splits: Splits) -> None:
    """Check the choices and the batch sizes that `tune` may come to.

    Raises:
        ConfigError: a choice goes with no values of the other keys, or a batch is larger than the images are many.
    """
    with_choices(config, dimensions)
    for each in dimensions:
        if each.key == "data.batch_size":
            check_batch_size(max(int(str(value)) for value in each.choices or (each.value(1.0),)), len(splits.train))


def _stored(name: str, splits: Splits, config: Config | None) -> dict[str, Tensor]:
    from hpcli.runs.trained_on import fitting
    from hpcli.runs.weights import read_weights

    return fitting(read_weights(name), splits, config)


def _network(config: Config, splits: Splits, *, needed: bool) -> nn.Module | None:
    """The network. None: nothing about it is in question, or the size of its images is not known."""
    model = config.model
    is_plain = not model.options and model.freeze is None and not {"/", ":"} & set(model.name)
    _, height, width, channels = splits.train.images.shape
    height, width = (height, width) if height else (config.data.image_size or 0,) * 2
    if not height or (is_plain and not needed and config.data.batch_size > 1):
        return None
    from hpcli.models import model_of
    from hpcli.training.device import generators_kept

    with generators_kept():
        return model_of(
            config, num_classes=len(splits.source.classes), shape=(height, width, channels), pretrained=False
        )
