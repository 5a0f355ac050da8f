"""What the checks before a training come to."""

from __future__ import annotations

from dataclasses import dataclass

from hpcli.analysis.sanity import Check
from hpcli.results import Summary
from hpcli.results.html import InNotebook, html_of
from hpcli.states import CheckStatus, RunStatus


@dataclass(frozen=True)
class CheckResult(InNotebook, frame="checks"):
    """All checks, and what a training would take."""

    checks: tuple[Check, ...]
    images_per_second: float
    train_seconds: float  # all epochs, evaluations included
    epochs: int
    seconds: float  # the checks themselves

    @property
    def status(self) -> CheckStatus:
        """The worst of all."""
        found = {each.status for each in self.checks}
        return next((each for each in (CheckStatus.BAD, CheckStatus.LOOK) if each in found), CheckStatus.OK)

    def _repr_html_(self) -> str:
        return html_of(self.summary(), status=RunStatus.FINISHED)  # the sentence says how they ended

    def summary(self) -> Summary:
        """The result in plain values."""
        return {
            "sentence": self._sentence(),
            "status": str(self.status),
            "images_per_second": self.images_per_second,
            "train_seconds": self.train_seconds,
            "seconds": self.seconds,
            "checks": [
                {
                    "name": each.name,
                    "status": str(each.status),
                    "text": each.text,
                    "remedy": each.remedy or None,
                    "value": each.value,
                }
                for each in self.checks
            ],
        }

    def _sentence(self) -> str:
        counts = {each: sum(one.status == each for one in self.checks) for each in CheckStatus}
        if self.status == CheckStatus.OK:
            return f"All {len(self.checks)} checks are ok."
        parts = [f"{count} {each}" for each, count in counts.items() if count]
        return f"Of {len(self.checks)} checks: {', '.join(parts)}."
