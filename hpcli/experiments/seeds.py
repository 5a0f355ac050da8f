"""How many seeds a sweep can afford: `sweep.seeds: auto`."""

from __future__ import annotations

AUTO_SECONDS = 300.0
AUTO_SEEDS = (3, 5)
"""The second where that is forecast to take less than AUTO_SECONDS, else the first."""


def affordable_seeds(seconds: float, num_settings: int) -> int:
    """The number of seeds for each setting, from the seconds of one run and the number of settings."""
    few, many = AUTO_SEEDS
    return many if seconds * num_settings * many < AUTO_SECONDS else few
