"""What a network takes images for: a row an image, without torch.

Letters: n images that could be read, K classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpcli.results import Summary
from hpcli.results.frame import framed

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Answer:
    """What one file is taken for."""

    file: Path
    guesses: tuple[tuple[str, float], ...] = ()  # class and probability, the likeliest first; none: it cannot be read
    reason: str | None = None  # why it cannot


@dataclass(frozen=True)
class PredictResult:
    """What a network takes images for, all probabilities."""

    names: tuple[str, ...]  # of the K classes, by label
    files: tuple[Path, ...]  # n
    probabilities: NDArray[np.float32]  # [n, K]
    unreadable: dict[Path, str]  # file → why it cannot be read

    @property
    def labels(self) -> NDArray[np.int64]:
        """The likeliest class of each image, [n]."""
        found: NDArray[np.int64] = self.probabilities.argmax(1)
        return found

    def top(self, count: int = 1) -> Iterator[Answer]:
        """A row an image: its `count` likeliest classes."""
        return answers(self.files, self.probabilities, {}, self.names, count)

    def frame(self) -> DataFrame:
        """An image a row: its file, its likeliest class and how likely that is.

        Raises:
            UsageError: pandas is not installed.
        """
        classes = [self.names[label] for label in self.labels]
        probability = self.probabilities.max(1)
        return framed({"file": list(map(str, self.files)), "class": classes, "probability": probability})

    def summary(self) -> Summary:
        """The result in plain values."""
        return tally(Counter(self.names[label] for label in self.labels), len(self.unreadable))


def answers(
    files: Sequence[Path],
    probabilities: NDArray[np.float32],
    unreadable: dict[int, str],
    names: Sequence[str],
    count: int,
) -> Iterator[Answer]:
    """A row a file, in their order.

    Args:
        files: n and those that cannot be read.
        probabilities: [n, K].
        unreadable: place in `files` → reason.
        names: of the K classes.
        count: classes a row.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    row = iter(range(len(probabilities)))
    for place, file in enumerate(files):
        if place in unreadable:
            yield Answer(file, reason=unreadable[place])
        else:
            here = next(row)
            yield Answer(file, tuple((names[each], float(probabilities[here, each])) for each in order[here].tolist()))


def tally(counts: Counter[str], unreadable: int) -> Summary:
    """How many images were taken for what, in plain values and in a sentence."""
    images, most = sum(counts.values()), counts.most_common(3)
    taken = ", ".join(f"{count:,} {name}" for name, count in most) + (", …" if len(counts) > len(most) else "")
    not_read = f"; {unreadable:,} could not be read" if unreadable else ""
    word = "image" if images == 1 else "images"
    return {
        "sentence": f"{images:,} {word}: {taken}{not_read}." if images else f"No image could be read ({unreadable:,}).",
        "images": images,
        "unreadable": unreadable,
        "classes": dict(counts.most_common()),
    }
