"""The first training batch, which is kept to be looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcli.errors import CheckpointError
from hpcli.recording.recorder import Rows

BATCH = "batch"
"""Name of the arrays of a training batch: images and labels; where they are mixed partners and share."""
KEPT = ({"images", "labels"}, {"images", "labels", "partners", "share"})


@dataclass(frozen=True)
class Batch:
    """A training batch as the network gets it, before normalisation."""

    images: NDArray[np.uint8]  # [B, H, W, C]
    labels: NDArray[np.int64]  # [B]
    classes: tuple[str, ...]
    partners: NDArray[np.int64] | None = None  # [B], labels of the images that these are mixed with; None: they are not
    share: float = 1.0  # of its own label

    @classmethod
    def from_rows(cls, rows: Rows, classes: tuple[str, ...]) -> Batch | None:
        """The batch that a run has kept; None: it has kept none.

        Raises:
            CheckpointError: its file is damaged.
        """
        arrays = rows.arrays(BATCH)
        if arrays is None:
            return None
        if arrays.keys() not in KEPT:
            raise CheckpointError(f"{BATCH}.npz: damaged, it holds no images and labels; delete it, or start anew")
        found: Any = {name: arrays[name] for name in arrays if name != "share"}
        return cls(**found, classes=classes, share=float(arrays.get("share", np.array(1.0))))
