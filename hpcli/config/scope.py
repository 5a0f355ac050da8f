"""What a config key affects: stated once, beside the key, and asked by everything that has to know."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag, auto


class Scope(Flag):
    """What changes when the key changes. A key's statement is a union of these."""

    EXPERIMENT = 0
    """How one command goes about its experiment; no training run changes."""
    RUN = auto()
    """What a training run comes to: part of a trial's identity, and worth sweeping."""
    TRAINER = auto()
    """What a trainer has ready before its first step, so that another value takes another trainer."""
    IMAGES = auto()
    """Which images there are, and which of them train, validate and test."""
    NETWORK = auto()
    """The network's layers, so that weights of another value do not fit."""
    LENGTH = auto()
    """The steps of a training run and their schedule; a range test has its own."""
    COST = auto()
    """How long a training run takes."""
    REPEAT = auto()
    """What the repeated runs of one value differ in."""
    EXTENDS = auto()
    """May be changed when a run is gone on with, because what is done already stays of use."""
    JUDGE = auto()
    """Which images judge a run, so that losses of two values tell images apart rather than values."""


RUN = Scope.RUN
TRAINER = Scope.TRAINER | RUN
IMAGES = Scope.IMAGES | TRAINER
JUDGES = Scope.JUDGE | IMAGES
NETWORK = Scope.NETWORK | TRAINER
LENGTH = Scope.LENGTH | RUN
COST, REPEAT, EXTENDS, EXPERIMENT = Scope.COST, Scope.REPEAT, Scope.EXTENDS, Scope.EXPERIMENT


@dataclass(frozen=True)
class OnlyWhere:
    """Where a key does something: where another key has one of these values. Beside the scope of the key."""

    key: str
    values: tuple[str | float, ...]
    but: bool = False  # the other way round: everywhere but there

    def holds(self, value: object) -> bool:
        """Whether the key does something where the other one has this value."""
        return (value in self.values) is not self.but


@dataclass(frozen=True)
class ArgumentOf:
    """What takes a key: the function that another key names, if it has a parameter of this key's name."""

    key: str


NOT_RESULTS = OnlyWhere("", ())
"""Nowhere: the key changes speed, memory or place."""
