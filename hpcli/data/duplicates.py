"""Images of one part of the data that are also in another, pixel by pixel."""

from __future__ import annotations

import hashlib
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from hpcli.data.mapped import in_parts


def digests(images: NDArray[np.uint8]) -> list[bytes]:
    """The hash of each image, uint8 [N, H, W, C]: equal pixels, equal hash. About a second for 300 MB."""
    return [
        hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in chain.from_iterable(in_parts(images))
    ]


def shared(known: list[bytes], other: list[bytes]) -> list[tuple[int, int]]:
    """Which of `other` are among the `known`: pairs (place in `known`, place in `other`), the first of each."""
    places = {digest: place for place, digest in reversed(list(enumerate(known)))}
    return [(places[digest], place) for place, digest in enumerate(other) if digest in places]
