"""What `--dry-run` works out, and at what cost."""

from __future__ import annotations

import time

from hpcli.config import Config, with_overrides
from hpcli.config.varying import with_values
from hpcli.experiments.plan import plan


def test_the_plan_of_a_large_sweep_takes_a_time_in_proportion(config: Config) -> None:
    """1,500 values, a million pairs of which cannot be told apart: they were a minute, and are about a second."""
    values = [float(f"{1e-6 * (1 + n / 100):.6g}") for n in range(1500)]
    asked = with_overrides(with_values(config, "sweep", {"weight_decay": values}), {"sweep.seeds": 1})
    started = time.process_time()
    found = plan("sweep", asked)
    assert time.process_time() - started < 10
    lines, trials = found["decay"], found["trials"]
    assert isinstance(lines, list)
    assert isinstance(trials, list)
    assert lines[-1] == f"… and {1500 * 1499 // 2 - 6} pairs more, in summary.json"
    assert len(lines) == 7
    assert len({trial["trial"] for trial in trials}) == 1500
