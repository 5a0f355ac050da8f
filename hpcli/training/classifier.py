"""A trained network that answers images with probabilities.

Letters: N images, H × W pixels, C channels, K classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpcli.config import Config
from hpcli.data.decode import Pixels
from hpcli.data.loader import Normalize
from hpcli.data.on_device import fast_eval_batch
from hpcli.errors import CheckpointError
from hpcli.models import model_of
from hpcli.training.device import choose_device, generators_kept
from hpcli.training.numerics import Numerics
from hpcli.training.weights import first_difference


class Classifier:
    """A network in evaluation mode, in the precision that its config trains in."""

    def __init__(
        self,
        config: Config,
        weights: Mapping[str, Tensor],
        *,
        num_classes: int,
        shape: tuple[int, int, int],
        mean: Sequence[float],
        std: Sequence[float],
        device: str = "auto",
    ) -> None:
        """Build a config's network and give it weights.

        Args:
            config: its network and precision.
            weights: by name.
            num_classes: K.
            shape: (H, W, C) of its images.
            mean: a channel, of pixels in [0, 1], that images are normalised by.
            std: likewise.
            device: `auto`, `cpu`, `cuda` or `cuda:1`.

        Raises:
            CheckpointError: weights of another network; the first difference is named.
            ConfigError, UsageError: a network or a device that cannot be had.
        """
        self.device, self.num_classes = choose_device(device), num_classes
        with generators_kept():
            model = model_of(config, num_classes=num_classes, shape=shape, pretrained=False)
        difference = first_difference(model.state_dict(), weights)
        if difference is not None:
            raise CheckpointError(difference)
        model.load_state_dict(dict(weights))
        self.model = model.to(self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        train = config.train
        self.numerics = Numerics.of(
            train.precision, self.device, deterministic=train.deterministic, threads=train.threads
        )
        self.normalize = Normalize(mean, std, self.device, shape[1])
        self.at_once = config.data.eval_batch_size or fast_eval_batch(self.device, shape[:2])

    @torch.inference_mode()
    def probabilities(self, pixels: Pixels) -> NDArray[np.float32]:
        """uint8 [N, H, W, C] → float32 [N, K]; a row sums to 1. The caller keeps N to what fits, such as `at_once`."""
        if not len(pixels):
            return np.empty((0, self.num_classes), np.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an array that may not be written; nothing writes to it
            images = torch.from_numpy(pixels).to(self.device)
        with self.numerics.active(), self.numerics.autocast():
            logits = self.model(self.normalize(images)).float()
        found: NDArray[np.float32] = logits.softmax(1).cpu().numpy()
        return found
