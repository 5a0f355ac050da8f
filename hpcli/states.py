"""The words that programs and people both read: how a run stands, what is judged of a value, why nothing is suggested.

Each is an enum whose members are text, so that a CSV or JSON file holds the word itself. Sentences are made from these
states; no state is ever read back out of a sentence.
"""

from __future__ import annotations

from enum import StrEnum


class RunStatus(StrEnum):
    """How a run stands, or how it ended."""

    WAITING = "waiting"
    """A trial of a sweep whose turn has not come."""
    CREATED = "created"
    RUNNING = "running"
    FINISHED = "finished"
    DIVERGED = "diverged"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    """Somebody stopped it, and it can be gone on with."""
    CRASHED = "crashed"
    """Its files say that it runs, and no process does."""
    DAMAGED = "damaged"
    """In a list of runs: its files cannot be read, or are not what they were when it ended."""

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to train."""
        return self in (RunStatus.FINISHED, RunStatus.DIVERGED)

    @classmethod
    def read(cls, word: str) -> RunStatus | None:
        """The status that a word of hpcli, W&B, MLflow or Optuna stands for; None: none of theirs."""
        word = word.strip().lower()
        return next((each for each in cls if each == word), _ELSEWHERE.get(word)) if word else None


_ELSEWHERE = {
    "complete": RunStatus.FINISHED,
    "completed": RunStatus.FINISHED,
    "fail": RunStatus.FAILED,
    "killed": RunStatus.FAILED,
    "preempted": RunStatus.FAILED,
    "pruned": RunStatus.FAILED,
    "pending": RunStatus.WAITING,
    "scheduled": RunStatus.WAITING,
}
"""What other programs call a run's status."""


class Judgement(StrEnum):
    """What a sweep says of one value, compared with the best one."""

    BEST = "best"
    """The lowest mean."""
    EQUAL = "equal"
    """The difference is too small to matter."""
    UNDECIDED = "undecided"
    """The difference may be large, or nothing."""
    WORSE = "worse"
    AT_CHANCE = "at chance"
    """It has learnt nothing."""
    DIVERGED = "diverged"
    MISSING = "missing"
    """A run of it failed, or was never made."""
    CANNOT_TELL = "cannot tell"
    """One seed alone."""


class Reason(StrEnum):
    """Why a value of a sweep is the one to use."""

    BEST = "best"
    """Nothing else may be the best."""
    ONLY = "only"
    """Nothing else was tried."""
    KEPT = "kept"
    """It is in use now, and what it is above the lowest mean, if anything, does not matter."""
    CHEAPEST = "cheapest"
    """Its runs take the least time, and what it is above the lowest mean, if anything, does not matter."""
    LOWEST = "lowest"
    """The lowest mean, though others may be as good."""


class Refusal(StrEnum):
    """Why a learning-rate range test suggests nothing."""

    LOST_AT_START = "lost_at_start"
    """The loss is not finite near the start of the range."""
    TOO_FEW_STEPS = "too_few_steps"
    FLAT = "flat"
    """The loss falls by less than its noise, or hardly at all."""
    LOWEST_AT_START = "lowest_at_start"
    STILL_FALLING = "still_falling"


class Sign(StrEnum):
    """What the curves of a training run show."""

    DIVERGED = "diverged"
    COLLAPSED = "collapsed"
    """What had been learnt is gone, as where every image is taken for one class."""
    AT_CHANCE = "at chance"
    """It has learnt nothing."""
    UNSTABLE = "unstable"
    """The loss jumps, and recovers."""
    LR_TOO_HIGH = "lr too high"
    LR_TOO_LOW = "lr too low"
    LR_NOT_ANNEALED = "lr not annealed"
    BN_LAG = "batchnorm lag"
    """BatchNorm's running statistics are behind the weights."""
    OVERFITTING = "overfitting"
    UNDERFITTING = "underfitting"
    REGULARISED = "regularised"
    """The training loss is above the validation loss for dropout, augmentation or mixing: no fault."""

    @property
    def is_fault(self) -> bool:
        """Whether something is to be changed."""
        return self != Sign.REGULARISED


class Connection(StrEnum):
    """Whether low loss leads from one checkpoint to another along a line."""

    CONNECTED = "connected"
    """The loss surely rises by less than is noticeable."""
    SEPARATED = "separated"
    """The loss surely rises by more."""
    OPEN = "open"
    """Neither is sure, with so many images."""


class BatchNorm(StrEnum):
    """Where BatchNorm's statistics come from between two checkpoints."""

    RECOMPUTE = "recompute"
    """Measured anew on training images."""
    INTERPOLATE = "interpolate"
    """Averaged like the weights."""


class CheckStatus(StrEnum):
    """What a check before training comes to."""

    OK = "ok"
    LOOK = "look"
    """It may be meant; look at it."""
    BAD = "bad"
    """Training would fail, or what it says would be wrong."""


class Label(StrEnum):
    """Labels that every run with checkpoints has."""

    BEST = "best"
    """Of the epoch with the lowest validation loss."""
    LAST = "last"
