"""The command that follows a result: what to go on with, decided by what came out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hpcli.config.keys import scope_of
from hpcli.config.scope import Scope
from hpcli.config.spelling import assignable

RUN = "{run}"
"""Stands for the run's folder, which a result does not know."""
RESUME = "{resume}"
"""Stands for the command line that goes on with the run."""


WHY_TRAIN = "One cycle at the learning rate found, at the config's own length."
WHY_SWEEP = "A range test bounds the learning rate; short runs within its range say which of them trains best."
WHY_SIZES = "Which of the sizes around the fastest trains best, each at its own learning rate."
"""Why a command follows, for who has read nothing of Smith's."""


@dataclass(frozen=True)
class Following:
    """A command to go on with. All that made the run is to be added, but for a command that reads the run's folder."""

    words: tuple[str, ...]  # behind `hpcli`, with its own options
    keys: Mapping[str, object] = field(default_factory=dict)  # of the config, with the values that this run has found
    notes: tuple[str, ...] = ()  # what has to be known first
    why: str = field(default="", compare=False)  # a sentence for who has not read Smith: the command is the same
    seconds: float | None = field(default=None, compare=False)  # that it would train where this run did; None: unknown

    @property
    def of_run(self) -> bool:
        """Whether it reads the run's folder, which has the config in it."""
        return any(RUN in word for word in self.words)

    def line(self, path: Path | str) -> str:
        """The command line, of a run that lies at a path."""
        return shlex.join(["hpcli", *(word.replace(RUN, str(path)) for word in self.words)])

    def said(self, path: Path | str, again: str) -> list[str]:
        """The notes, of a run that lies at a path and is gone on with by a command line."""
        words = {RUN: str(path), RESUME: again}
        return [re.sub("|".join(words), lambda found: words[found[0]], note) for note in self.notes]


FIND = Following(
    ("lr-find",), why="The learning rate does not suit: a range test shows where the loss falls, and where it breaks."
)
EVALUATE = Following(
    ("evaluate", RUN), why="Accuracy class by class, what is taken for what, and the images that it errs on."
)


def set_words(keys: Mapping[str, object]) -> list[str]:
    """`--set KEY=VALUE` for each key, as words of a command line; those that change no training run are left out."""
    words = []
    for key, value in keys.items():
        if scope_of(key) & Scope.RUN:
            words += ["--set", f"{key}={assignable(key, value)}"]
    return words
