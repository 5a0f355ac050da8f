"""The description of a trial: all that a process needs to run the trial."""

from __future__ import annotations

from dataclasses import dataclass

from hpcli import catalog
from hpcli.config import Config
from hpcli.config.varying import Setting


@dataclass(frozen=True)
class Spec:
    """One setting, one seed. It can be pickled and sent."""

    key: str  # the same for the same run, always
    name: str  # of its setting
    seed: int
    config: Config
    allowed_code: tuple[str, ...] = ()  # import paths of the user's own that may run

    @classmethod
    def of(cls, setting: Setting, seed: int) -> Spec:
        """The trial of a setting with a seed."""
        allowed = tuple(sorted(catalog.allowed_code))
        return cls(setting.identity(seed), setting.name, seed, setting.run(seed), allowed)
