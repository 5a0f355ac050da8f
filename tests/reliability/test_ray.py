"""Workers on Ray: on a cluster that loses a node, and on one of this machine alone; the table is that of one process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hpcli.cli import main
from hpcli.files import is_locked
from hpcli.states import RunStatus
from tests.reliability.harness import differences, outcome
from tests.trials.stopped import stop_a_driver

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

SWEEP = [
    *("sweep-wd", "--values=1e-4,1e-2,1", "--seeds=2", "--device=cpu", "-q", "--set=data.train_fraction=0.3"),
    *("--set=data.batch_size=32", "--set=model.name=shallow3", "--set=train.threads=1"),
]
ON_RAY = ["--launcher=ray", "--workers"]
LONG, SHORT = "--epochs=25", "--epochs=2"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What one process makes of the long sweep."""
    run = tmp_path_factory.mktemp("whole") / "run"
    assert main([*SWEEP, LONG, "--set=sweep.parallel=1", f"--out={run}"]) == 0
    return outcome(run)


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A head without CPUs; the test adds nodes."""
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        yield found
    finally:
        found.shutdown()


def start(*arguments: str, said: Path, **environment: str) -> subprocess.Popen[bytes]:
    with said.open("wb") as file:
        words = [sys.executable, "-m", "hpcli", *arguments]
        return subprocess.Popen(words, env={**os.environ, **environment}, stdout=file, stderr=file)


def until(holds: Callable[[], bool], seconds: float = 120) -> None:
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < seconds
        time.sleep(0.1)


def workers_on(run: Path) -> list[str]:
    """Processes of the workers on a run, wherever they were started."""
    found = subprocess.run(["pgrep", "-f", f"hpcli.trials.local_launcher.*{run} "], capture_output=True, text=True)
    return found.stdout.split()


def training(run: Path) -> int:
    """How many trials are being trained."""
    files = run.glob("trials/*/status.json")
    return [json.loads(file.read_text())["status"] for file in files].count(RunStatus.RUNNING)


def outcome_of_trials(run: Path) -> list[list[str]]:
    return [line.split(",") for line in (run / "sweep.csv").read_text().splitlines()]


def test_a_node_that_is_lost_changes_nothing(cluster: Any, whole: dict[str, object], tmp_path: Path) -> None:
    _, other = (cluster.add_node(num_cpus=1) for _ in range(2))
    run, said = tmp_path / "run", tmp_path / "said"
    driver = start(*SWEEP, LONG, *ON_RAY, "2", f"--out={run}", said=said, RAY_ADDRESS=cluster.address)
    until(lambda: training(run) == 2 or driver.poll() is not None)
    cluster.remove_node(other, allow_graceful=False)
    assert driver.wait(300) == 0, said.read_text()
    assert outcome(run) == whole, differences(whole, outcome(run))
    until(lambda: not workers_on(run), 20)
    lines = said.read_text().splitlines()
    assert all("has waited for 10 s for a place on the ray cluster" in line for line in lines), lines


def test_a_request_that_a_cluster_can_never_meet_is_refused_at_once(cluster: Any, tmp_path: Path) -> None:
    cluster.add_node(num_cpus=1)
    for room in ("1", "2"):
        started, said = time.monotonic(), tmp_path / "said"
        more = [*ON_RAY, "3", f"--out={tmp_path / 'run'}"]
        assert start(*SWEEP, SHORT, *more, said=said, RAY_ADDRESS=cluster.address).wait(60) == 2
        assert time.monotonic() - started < 30
        (line,) = said.read_text().splitlines()
        assert f"3 workers of 1 CPU each, and the ray cluster has room for {room}: {room} CPUs, 0 GPUs on" in line
        cluster.add_node(num_cpus=1)


def test_a_worker_starts_once_and_nothing_is_left_nor_said(whole: dict[str, object], tmp_path: Path) -> None:
    """Six trials in two workers, on a cluster of this sweep's own: what they take, and the start."""
    run, said = tmp_path / "run", tmp_path / "said"
    driver = start(*SWEEP, LONG, *ON_RAY, "2", f"--out={run}", said=said)
    until(lambda: training(run) > 0 or driver.poll() is not None)
    began = time.monotonic()
    clusters = subprocess.run(["pgrep", "-P", str(driver.pid)], capture_output=True, text=True).stdout.split()
    assert clusters
    assert driver.wait(300) == 0, said.read_text()
    took, (header, *rows) = time.monotonic() - began, outcome_of_trials(run)
    assert outcome(run) == whole, differences(whole, outcome(run))
    own = sum(float(row[header.index("seconds")]) for row in rows)
    assert took < 2 * own, f"six trials of {own:.1f} s together took {took:.1f} s"
    assert said.read_text() == ""
    assert not workers_on(run)
    assert not [number for number in clusters if Path("/proc", number).exists()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_driver_that_is_stopped_goes_on_with_the_same_table(
    number: signal.Signals, whole: dict[str, object], tmp_path: Path
) -> None:
    """With a cluster of its own. Its workers save, but for those of a driver that is killed."""
    run = tmp_path / "run"
    stop_a_driver([*SWEEP, LONG, *ON_RAY, "2"], run, number, lambda _: workers_on(run), 2)
    standings = [json.loads(file.read_text()) for file in run.glob("trials/*/status.json")]
    left = [each for each in standings if each["status"] == RunStatus.INTERRUPTED]
    assert number == signal.SIGKILL or left
    assert all(each["saved"] is not None for each in left)
    until(lambda: not any(is_locked(lock) for lock in run.rglob(".lock")), 20)
    go_on = ["--set=sweep.workers=null", "--set=sweep.parallel=1", "--device=cpu", "-q"]
    assert main(["sweep-wd", f"--resume={run}", *go_on]) == 0
    assert outcome(run) == whole, differences(whole, outcome(run))
