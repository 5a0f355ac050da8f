"""The result of `tune`: a tuning, and its summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hpcli.analysis.gain import Gain
from hpcli.results import Summary
from hpcli.results.following import EVALUATE, FIND, RESUME, RUN, Following
from hpcli.results.html import InNotebook
from hpcli.results.key_words import lines
from hpcli.results.tune_words import by_fresh_seeds, more_pairs, sentence, surer
from hpcli.results.tuning import Tuning
from hpcli.states import RunStatus

BEST = f"{RUN}/best.yaml"
LONGER = 2
"""A training of so many times a short run's epochs is another length."""


@dataclass(frozen=True)
class TuneResult(Tuning, InNotebook, frame="trials"):
    """A tuning in plain numbers. Losses of the surface are logarithms of nats."""

    @property
    def following(self) -> Following | None:
        """Training with what was found, or looking at what was trained; the rest of a tuning that has stopped early."""
        if self.status != RunStatus.FINISHED or (self.choice is None and self.trials):
            return FIND if self.status == RunStatus.FINISHED and self.fresh else None
        if self.choice is None or self.config.tune.until not in ("verdict", "train"):
            return Following(("tune", "--resume", RUN, "--until", "train"), why="The rest of the tuning.")
        if self.is_lost:
            return Following(("lr-find", "-c", BEST), why=FIND.why)
        is_trained = self.trained is not None
        words = ("evaluate", f"{RUN}/{self.trained_in}") if is_trained else ("train", "-c", BEST)
        why = EVALUATE.why if is_trained else "A training with what was found, at the config's own length."
        more = None if self.gain is None or self.gain.is_settled or self.is_idle else more_pairs(self)
        notes = self._of_length() + (() if more is None else (f"to be surer: {RESUME} {surer(*more)}",))
        return Following(words, notes=(*notes, f"what was found, each value with its reason: {BEST}"), why=why)

    def _of_length(self) -> tuple[str, ...]:
        """What is not known of a training that is longer than the short runs: a note, if it is."""
        if self.plan is None or self.is_kept or self.config.train.epochs < LONGER * self.plan.epochs:
            return ()
        own = f"{self.plan.epochs} epoch{'s' * (self.plan.epochs > 1)}"
        return (
            f"this was found in cycles of {own}, and train.epochs is {self.config.train.epochs}: what regularises, "
            "such as weight decay and augmentation, may rank differently there",
        )

    def summary(self) -> Summary:
        """The result in plain values."""
        runs = [trial for trial in (*self.trials, *self.fresh) if trial.has_begun]
        summary: Summary = {
            "sentence": sentence(self),
            "choice": self.choice,
            "kept": self.is_kept,
            "gain": _plain(self.gain),
            "keys": lines(self.fitted, by_fresh_seeds(self)),
            "runs": len(runs),
            "failed": self.num_failed,
            "epochs": self.plan.epochs if self.plan else None,
            "steps": self.plan.steps if self.plan else None,
            "range_steps": self.plan.range_steps if self.plan else None,
        }
        if self.trained is not None and self.trained.status == RunStatus.FINISHED:
            loss, accuracy = self.trained.judged[:2]
            summary |= {"trained_loss": loss, "trained_accuracy": accuracy}
        return summary


def _plain(found: Gain | None) -> Mapping[str, object] | None:
    if found is None:
        return None
    return {
        "log_loss": found.estimate,
        "low": found.low,
        "high": found.high,
        "pairs": found.pairs,
        "decided_by": found.decided,
    }
