"""Workers on a cluster of Ray's, each with an actor, which lives where Ray has a place for it until the sweep is over.

Ray is imported when a launcher is made. Where actors live is all that it decides: trials are taken by their locks.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import socket
import threading
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpcli.errors import HpcliWarning, UsageError
from hpcli.trials.launcher import End, Process
from hpcli.trials.ray_host import Host, Order

PLACE_SECONDS = 10.0
"""So long a worker has no place before that is said."""
ANSWER_SECONDS = 5.0
"""So long a cluster has to answer."""
KILL_SECONDS = 10.0
"""So long an actor that is killed is waited for."""


@dataclass(frozen=True)
class Request:
    """What a worker asks a cluster for."""

    cpus: int
    gpus: int

    def __str__(self) -> str:
        """In words."""
        return f"{self.cpus} CPU{'s' * (self.cpus != 1)}" + (" and a GPU" if self.gpus else "")

    def places(self, nodes: Iterable[Mapping[str, Any]]) -> int:
        """For how many workers there is room, on nodes as `ray.nodes()` lists them."""
        asked = {"CPU": self.cpus, "GPU": self.gpus}
        return sum(
            min(int(each["Resources"].get(kind, 0) // count) for kind, count in asked.items() if count)
            for each in nodes
            if each["Alive"]
        )


def check_ray() -> None:
    """Check that Ray can be imported, importing nothing.

    Raises:
        UsageError: it is not installed.
    """
    spec = importlib.util.find_spec("ray")
    if spec is None or spec.origin is None:  # a folder that is called so
        raise UsageError("sweep.launcher: ray is not installed: pip install 'hpcli[ray]'")


class RayLauncher:
    """Has workers live on the cluster that runs, or on one of this machine alone, which is gone afterwards."""

    def __init__(self, run: Path, count: int, options: Sequence[str] = (), *, threads: int, device: str) -> None:
        """Connect, and see whether there is room. A cluster is what RAY_ADDRESS or `ray start` says.

        Args:
            run: the folder of the sweep, which all nodes see under this path.
            count: how many workers there will be.
            options: of a worker's command line, but for its device.
            threads: CPUs of each.
            device: auto: a GPU each, where the cluster has any; else cpu or a GPU, as asked for.

        Raises:
            UsageError: Ray is not installed, cannot be reached, or has no room for so many.
        """
        check_ray()
        import ray

        self._ray: Any = ray
        self._owns = not ray.is_initialized()
        try:
            if self._owns:
                _connect(ray)
            nodes = ray.nodes()
            gpus = sum(each["Resources"].get("GPU", 0) for each in nodes if each["Alive"])
            on_gpu = device != "cpu" and (device != "auto" or gpus >= 1)
            self.request = Request(threads, int(on_gpu))
            _check_room(self.request, count, nodes)
        except BaseException:
            self.close()
            raise
        self._order = Order(
            str(run.resolve()),
            (*options, "--device", "cuda" if on_gpu else "cpu"),
            str(Path.cwd()),
            {} if on_gpu else {"CUDA_VISIBLE_DEVICES": ""},  # Ray hides none from who asks for none
        )

    def start(self) -> Process:
        """Ask for an actor, whose child works as soon as Ray has a place for it."""
        remote = self._ray.remote(
            num_cpus=self.request.cpus, num_gpus=self.request.gpus, max_concurrency=3, max_restarts=0
        )
        return OnRay(self._ray, remote(Host).remote(self._order), self.request)

    def close(self) -> None:
        """Leave the cluster, or end it, if it was begun here."""
        if self._owns:
            self._ray.shutdown()
            _speak(self._ray, True)


def _connect(ray: Any) -> None:
    """Connect as `ray.init` does, without a word, and without its handler of SIGTERM."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    before = signal.getsignal(signal.SIGTERM)
    _speak(ray, False)
    try:
        if "://" not in os.environ.get("RAY_ADDRESS", ""):
            with suppress(AttributeError):  # Ray has no public name for where it would connect
                _check_answers(ray._private.services.canonicalize_bootstrap_address(None))
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        why = str(error).strip().split("\n")[0]
        raise UsageError(f"sweep.launcher: ray: {why}; see RAY_ADDRESS, and ray status") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _check_answers(address: str | None) -> None:
    """Refuse a cluster that is gone, for which `ray.init` waits for minutes. None: there is none.

    Raises:
        UsageError: nobody answers.
    """
    host, _, port = (address or "").rpartition(":")
    try:
        if address:
            socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
    except (OSError, ValueError) as error:
        raise UsageError(
            f"sweep.launcher: ray: no cluster answers at {address} ({error}); set RAY_ADDRESS to one, or forget it: "
            "unset RAY_ADDRESS, ray stop"
        ) from error


def _speak(ray: Any, aloud: bool) -> None:
    """Whether Ray tells of lost nodes on stdout, which none of its options says."""
    with suppress(AttributeError):
        ray._private.worker._worker_logs_enabled = aloud


def _check_room(request: Request, count: int, nodes: Sequence[Mapping[str, Any]]) -> None:
    """Refuse what a cluster can never do; Ray would wait for it.

    Raises:
        UsageError: there is no room for so many.
    """
    places = request.places(nodes)
    if places < count:
        alive = [each["Resources"] for each in nodes if each["Alive"]]
        has = ", ".join(f"{sum(each.get(kind, 0) for each in alive):.0f} {kind}s" for kind in ("CPU", "GPU"))
        advice = f"--workers {places}" if places else "lower train.threads, or add nodes"
        advice += ", or --device cpu" if request.gpus else ""
        raise UsageError(
            f"sweep.workers: {count} workers of {request} each, and the ray cluster has room for {places}: {has} on "
            f"{len(alive)} node{'s' * (len(alive) != 1)}; {advice}"
        )


class OnRay(Process):
    """A worker of an actor's, from afar."""

    def __init__(self, ray: Any, actor: Any, request: Request) -> None:
        """Of an actor that has been asked for."""
        self._ray, self._actor, self._request = ray, actor, request
        self._ready, self._ended = actor.__ray_ready__.remote(), actor.ended.remote()
        self._end: End | None = None
        self._look_at = time.monotonic() + PLACE_SECONDS

    def end(self) -> End | None:
        """How it has ended; None: not yet. What it has said is passed on."""
        if self._end is None and self._is_there(self._ended):
            self._end = self._read()
        elif self._end is None and time.monotonic() >= self._look_at:
            self._look_for_a_place()
        return self._end

    def terminate(self) -> None:
        """Tell it to stop, once it has saved; one that has no place yet is not asked for any more."""
        if self._is_there(self._ready):
            self._actor.terminate.remote()
        else:
            self._ray.kill(self._actor)

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended, so long at most. Whether it has."""
        self._is_there(self._ended, seconds)
        return self.end() is not None

    def kill(self) -> None:
        """End it at once, if it has not ended, and wait until it has."""
        self._ray.kill(self._actor)
        self.wait(KILL_SECONDS)

    def _is_there(self, answer: Any, seconds: float = 0) -> bool:
        return bool(self._ray.wait([answer], timeout=seconds)[0])

    def _read(self) -> End:
        try:
            code, said = self._ray.get(self._ended)
        except self._ray.exceptions.RayError as error:
            return End(_why(error))
        for line in said:
            warnings.warn(f"a worker on {line}", HpcliWarning, stacklevel=4)
        self._ray.kill(self._actor)  # its place is free for another
        return End.by(code)

    def _look_for_a_place(self) -> None:
        """Say once what is missing, where a worker waits for a place."""
        if self._is_there(self._ready):
            self._look_at = float("inf")
            return
        self._look_at += PLACE_SECONDS
        free = self._ray.available_resources()
        if free.get("CPU", 0) < self._request.cpus or free.get("GPU", 0) < self._request.gpus:
            self._look_at = float("inf")
            warnings.warn(
                f"a worker has waited for {PLACE_SECONDS:.0f} s for a place on the ray cluster, and waits on: it asks "
                f"for {self._request}; free are {free.get('CPU', 0):.0f} CPUs and {free.get('GPU', 0):.0f} GPUs",
                HpcliWarning,
                stacklevel=4,
            )


def _why(error: Exception) -> str:
    """The last sentence of Ray's about an actor that is gone."""
    lines = [line.strip() for line in str(error).split("\n") if line.strip()]
    return f"its actor's end: {lines[-1] if lines else type(error).__name__}"
