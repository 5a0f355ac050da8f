"""A driver of workers, stopped while they train."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path


def stop_a_driver(
    command: Sequence[str], run: Path, number: signal.Signals, workers_of: Callable[[int], list[str]], count: int
) -> None:
    """Start a sweep, stop it by a signal while `count` workers train, and wait until these are gone.

    Args:
        command: of the sweep, without --out.
        run: its folder.
        number: SIGINT, which goes to the workers, too, or another one, to the driver alone.
        workers_of: process of the driver → its workers.
        count: how many workers there are.
    """
    start = [sys.executable, "-m", "hpcli", *command, f"--out={run}"]
    with subprocess.Popen(start, start_new_session=True, stdout=subprocess.DEVNULL) as driver:
        while not list(run.glob("trials/*/steps.csv")) or len(workers_of(driver.pid)) < count:
            time.sleep(0.1)
            assert driver.poll() is None
        assert len(workers_of(driver.pid)) == count
        if number == signal.SIGINT:
            os.killpg(driver.pid, number)  # as a terminal does
        else:
            driver.send_signal(number)
        assert driver.wait() == (-number if number == signal.SIGKILL else 128 + number)
    started = time.monotonic()
    while workers_of(driver.pid) and time.monotonic() - started < 20:
        time.sleep(0.1)
    assert not workers_of(driver.pid)
