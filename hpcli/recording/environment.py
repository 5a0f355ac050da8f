"""What a result was made with: versions, device, commit, command."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path

from hpcli.version import __version__

PACKAGES = ("torch", "torchvision", "numpy", "matplotlib", "pydantic", "typer")


@cache
def environment() -> dict[str, object]:
    """Versions, machine, git commit of hpcli (null when installed from a package) and command line."""
    import torch

    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "hpcli": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "gpus": gpus,
        "cpus": os.cpu_count(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "argv": sys.argv,
    }


def _processor() -> str | None:
    """What the processor calls itself; None: it is not known."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").split("\n")
    except OSError:
        lines = []
    about = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return about.get("model name") or platform.processor() or None


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
