"""What the checks before a training come to."""

from __future__ import annotations

from dataclasses import dataclass

from hpcli.analysis.sanity import Check
from hpcli.results import Summary
from hpcli.states import Finding


@dataclass(frozen=True)
class CheckResult:
    """All checks, and what a training would take."""

    checks: tuple[Check, ...]
    images_per_second: float
    train_seconds: float  # all epochs, evaluations included
    epochs: int
    seconds: float  # the checks themselves

    @property
    def finding(self) -> Finding:
        """The worst of all."""
        found = {each.finding for each in self.checks}
        return next((each for each in (Finding.BAD, Finding.LOOK) if each in found), Finding.OK)

    def summary(self) -> Summary:
        """The result in plain values."""
        return {
            "sentence": self._sentence(),
            "finding": str(self.finding),
            "images_per_second": self.images_per_second,
            "train_seconds": self.train_seconds,
            "seconds": self.seconds,
            "checks": [
                {
                    "name": each.name,
                    "finding": str(each.finding),
                    "text": each.text,
                    "remedy": each.remedy or None,
                    "value": each.value,
                }
                for each in self.checks
            ],
        }

    def _sentence(self) -> str:
        counts = {each: sum(one.finding == each for one in self.checks) for each in Finding}
        if self.finding == Finding.OK:
            return f"All {len(self.checks)} checks are ok."
        parts = [f"{count} {each}" for each, count in counts.items() if count]
        return f"Of {len(self.checks)} checks: {', '.join(parts)}."
