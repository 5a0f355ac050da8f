"""The digits that come with hpcli: 1,797 handwritten digits, 8×8 pixels of 17 greys, in 10 classes.

From the UCI Optical Recognition of Handwritten Digits data set (E. Alpaydin, C. Kaynak, 1998), CC BY 4.0; these are the
images that scikit-learn ships. See DIGITS-LICENSE.txt.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hpcli.data.dataset import ImageData, Split
from hpcli.data.randomness import stratified
from hpcli.data.statistics import channel_statistics
from hpcli.errors import DataError

TEST_FRACTION = 0.2
TEST_SEED = 2718
"""The 359 test images never change, so that results of different days compare."""


def digits() -> ImageData:
    """All 1,797 images: 1,438 to train on and 359, a fifth of each class, to test on.

    Raises:
        DataError: the file inside the package is missing or damaged.
    """
    path = Path(__file__).with_name("digits.npz")
    try:
        with np.load(path, allow_pickle=False) as file:
            greys, labels = file["greys"], file["labels"].astype(np.int64)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: cannot be read ({error}); reinstall hpcli") from None
    images = np.round(greys * (255 / 16)).astype(np.uint8)[..., None]
    test, train = stratified(labels, TEST_FRACTION, TEST_SEED)
    everything = Split(images, labels)
    mean, std = channel_statistics(images[train])
    return ImageData(
        train=everything.take(train),
        test=everything.take(test),
        classes=tuple("0123456789"),
        mean=mean,
        std=std,
        flip=False,
    )
