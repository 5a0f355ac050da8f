"""Workers on Ray, with a Ray that is played: what is asked for, what is refused and said, and how a worker ends.

With Ray itself: tests/reliability/test_ray.py.
"""

from __future__ import annotations

import importlib.util
import signal
import socket
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hpcli.cli import main
from hpcli.config import load_config
from hpcli.errors import ConfigError, HpcliWarning, UsageError
from hpcli.trials import ray_launcher
from hpcli.trials.launcher import End
from hpcli.trials.ray_host import Host, Order
from hpcli.trials.ray_launcher import RayLauncher, Request

SMALL = {"CPU": 4.0}
LARGE = {"CPU": 7.0, "GPU": 2.0}
ON_RAY = ["--set=train.threads=1", "--workers=2", "--launcher=ray"]


def node(resources: dict[str, float], *, alive: bool = True) -> dict[str, Any]:
    return {"Alive": alive, "Resources": resources}


class RayError(Exception):
    """Ray's class of errors, as it is called there."""


class Played:
    """As much of Ray as is used: answers that are there or not, and what was asked."""

    def __init__(self, *nodes: dict[str, Any], refuses: Exception | None = None) -> None:
        self.known, self.refuses = list(nodes), refuses
        self.there: dict[object, object] = {}  # answer → what it is
        self.asked: list[dict[str, Any]] = []
        self.orders: list[Order] = []
        self.killed: list[object] = []
        self.is_on, self.told = False, 0
        self.address: str | None = None  # of a cluster that is known of
        self.exceptions = SimpleNamespace(RayError=RayError)
        self._private = SimpleNamespace(
            worker=SimpleNamespace(_worker_logs_enabled=True),
            services=SimpleNamespace(canonicalize_bootstrap_address=lambda _: self.address),
        )

    def is_initialized(self) -> bool:
        return self.is_on

    def init(self, **_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as it does, in its own way
        if self.refuses is not None:
            raise self.refuses
        self.is_on = True

    def shutdown(self) -> None:
        self.is_on = False

    def nodes(self) -> list[dict[str, Any]]:
        return self.known

    def available_resources(self) -> dict[str, float]:
        return {"CPU": 1.0}

    def remote(self, **asked: Any) -> Any:
        self.asked.append(asked)

        def make(order: Order) -> Any:
            self.orders.append(order)
            return SimpleNamespace(
                __ray_ready__=SimpleNamespace(remote=lambda: "ready"),
                ended=SimpleNamespace(remote=lambda: "ended"),
                terminate=SimpleNamespace(remote=self._tell),
            )

        return lambda _: SimpleNamespace(remote=make)

    def _tell(self) -> None:
        self.told += 1

    def wait(self, answers: list[object], timeout: float) -> tuple[list[object], list[object]]:
        return [each for each in answers if each in self.there], []

    def get(self, answer: object) -> object:
        found = self.there[answer]
        if isinstance(found, Exception):
            raise found
        return found

    def kill(self, actor: object) -> None:
        self.killed.append(actor)
        self.there.setdefault("ended", RayError("It died.\nThe actor is dead because it was killed by `ray.kill`."))


def launcher(
    monkeypatch: pytest.MonkeyPatch, ray: Played, count: int = 1, threads: int = 1, device: str = "auto"
) -> RayLauncher:
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(ray_launcher, "check_ray", lambda: None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    return RayLauncher(Path("run"), count, ["--allow-code"], threads=threads, device=device)


@pytest.mark.parametrize(
    ("request_", "places"),
    [(Request(1, 0), 11), (Request(2, 0), 5), (Request(4, 0), 2), (Request(8, 0), 0), (Request(1, 1), 2), (Request(4, 1), 1)],
)  # fmt: skip
def test_a_worker_needs_its_place_on_one_node(request_: Request, places: int) -> None:
    assert request_.places([node(SMALL), node(LARGE), node(SMALL, alive=False), node({"GPU": 1.0})]) == places


@pytest.mark.parametrize(
    ("device", "nodes", "asked", "words"),
    [
        ("auto", [SMALL], {"num_cpus": 2, "num_gpus": 0}, ("--device", "cpu")),
        ("auto", [SMALL, LARGE], {"num_cpus": 2, "num_gpus": 1}, ("--device", "cuda")),
        ("cpu", [SMALL, LARGE], {"num_cpus": 2, "num_gpus": 0}, ("--device", "cpu")),
        ("cuda:1", [LARGE], {"num_cpus": 2, "num_gpus": 1}, ("--device", "cuda")),
    ],
)
def test_a_worker_asks_for_a_gpu_or_for_its_threads(
    device: str, nodes: list[dict[str, float]], asked: dict[str, int], words: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    ray = Played(*map(node, nodes))
    before = signal.getsignal(signal.SIGTERM)
    on_ray = launcher(monkeypatch, ray, threads=2, device=device)
    assert signal.getsignal(signal.SIGTERM) is before
    on_ray.start()
    assert {key: ray.asked[0][key] for key in asked} == asked
    (order,) = ray.orders
    assert order.options == ("--allow-code", *words)
    assert (order.run, order.folder) == (str(Path.cwd() / "run"), str(Path.cwd()))
    assert order.more == ({} if asked["num_gpus"] else {"CUDA_VISIBLE_DEVICES": ""})
    assert not ray._private.worker._worker_logs_enabled
    on_ray.close()
    assert not ray.is_on
    assert ray._private.worker._worker_logs_enabled


def test_what_a_cluster_can_never_do_is_refused_with_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    says = (
        r"sweep\.workers: 3 workers of 2 CPUs and a GPU each, and the ray cluster has room for 2: 11 CPUs, 2 GPUs on 2 nodes; "
        r"--workers 2, or --device cpu"
    )
    ray = Played(node(SMALL), node(LARGE), node(LARGE, alive=False))
    with pytest.raises(UsageError, match=says):
        launcher(monkeypatch, ray, count=3, threads=2)
    assert not ray.is_on
    with pytest.raises(UsageError, match=r"room for 0: 4 CPUs, 0 GPUs on 1 node; lower train\.threads, or add nodes"):
        launcher(monkeypatch, Played(node(SMALL)), threads=8)


def test_a_cluster_that_cannot_be_reached_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(
        UsageError, match=r"sweep\.launcher: ray: Failed to connect to Ray cluster at 1\.2\.3\.4:6; see RAY_ADDRESS"
    ):
        launcher(monkeypatch, Played(refuses=ConnectionError("Failed to connect to Ray cluster at 1.2.3.4:6\nmore")))
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_cluster_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = Played(node(SMALL))
    with socket.create_server(("127.0.0.1", 0)) as server:
        ray.address = f"127.0.0.1:{server.getsockname()[1]}"
        launcher(monkeypatch, ray).close()
    says = rf"sweep\.launcher: ray: no cluster answers at {ray.address} \(.*refused\); set RAY_ADDRESS to one, or forget it"
    with pytest.raises(UsageError, match=says):
        launcher(monkeypatch, ray)
    ray.address = "somewhere"
    with pytest.raises(UsageError, match="no cluster answers at somewhere"):
        launcher(monkeypatch, ray)


def test_a_ray_that_is_there_before_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = Played(node(SMALL))
    ray.init()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    launcher(monkeypatch, ray).close()
    assert ray.is_on
    assert ray._private.worker._worker_logs_enabled


def test_a_worker_ends_by_its_exit_code_and_what_it_said_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = Played(node(SMALL))
    process = launcher(monkeypatch, ray).start()
    assert process.end() is None
    assert not process.wait(0)
    ray.there = {"ready": None, "ended": (3, ["vm: error: no such images"])}
    with pytest.warns(HpcliWarning, match="a worker on vm: error: no such images"):
        assert process.end() == End("exit code 3", error=3)
    assert process.end() == End("exit code 3", error=3)  # said once
    assert len(ray.killed) == 1  # its place is free


def test_one_whose_actor_is_gone_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = Played(node(SMALL))
    process = launcher(monkeypatch, ray).start()
    ray.there["ended"] = RayError("It died.\n\tclass_name: Host\nThe actor is dead because its node has died.\n")
    assert process.wait(0)
    assert process.end() == End("its actor's end: The actor is dead because its node has died.")


def test_one_that_has_no_place_yet_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = Played(node(SMALL))
    process = launcher(monkeypatch, ray).start()
    process.terminate()
    assert ray.told == 0
    assert process.wait(0)
    ray.there = {"ready": None}
    process = launcher(monkeypatch, ray).start()
    process.terminate()
    assert ray.told == 1
    assert not process.wait(0)
    process.kill()
    assert process.end() == End("its actor's end: The actor is dead because it was killed by `ray.kill`.")


def test_a_worker_that_waits_for_a_place_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_launcher, "PLACE_SECONDS", 0.0)
    ray = Played(node(SMALL))
    says = r"waits on: it asks for 2 CPUs; free are 1 CPUs and 0 GPUs"
    process = launcher(monkeypatch, ray, threads=2).start()
    with pytest.warns(HpcliWarning, match=says):
        process.end()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        process.end()
        fits = launcher(monkeypatch, ray).start()  # it is only slow to start
        fits.end()
        ray.there["ready"] = None
        fits.end()


def test_the_actor_says_how_its_worker_ended_and_what_it_said(tmp_path: Path) -> None:
    code, (line,) = Host(Order(str(tmp_path / "nowhere"), (), str(tmp_path), {})).ended()
    assert code == 2
    assert line.split(": error: ")[0] == socket.gethostname()
    assert "nowhere: no such run folder" in line
    code, (line,) = Host(Order("run", (), str(tmp_path / "nowhere"), {})).ended()
    assert code == 2
    assert (
        line == f"{socket.gethostname()}: {tmp_path / 'nowhere'}: No such file or directory; every node has to see it"
    )


def test_a_worker_is_told_by_its_actor_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sleeps").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "sleeps").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "sleeps"))
    host = Host(Order("run", (), str(tmp_path), {}))
    host.terminate()
    assert host.ended() == (-signal.SIGTERM, [])


def test_without_ray_it_is_said_before_there_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "ray" else found(name, *more))
    for more in ([], ["--dry-run"]):
        assert main(["sweep-wd", "--values=0,1", *ON_RAY, *more]) == 2
        assert capsys.readouterr().err == "error: sweep.launcher: ray is not installed: pip install 'hpcli[ray]'\n"
    assert not list(tmp_path.iterdir())


def test_what_does_not_go_with_ray() -> None:
    with pytest.raises(ConfigError, match=r"sweep\.workers=1: needs train\.threads, the cores of each trial"):
        load_config(overrides={"sweep.workers": 1, "sweep.launcher": "ray"})
    with pytest.warns(HpcliWarning, match=r"sweep\.launcher: ray has no workers to start; say how many: --workers N"):
        load_config(overrides={"sweep.launcher": "ray"})
