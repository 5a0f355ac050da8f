"""Where a run computes, its memory there, and the state of the random generators."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from hpcli.errors import UsageError


def choose_device(name: str) -> torch.device:
    """`auto` (a GPU when there is one), `cpu`, `cuda` or `cuda:1`.

    Raises:
        UsageError: no such device on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdigit()) or (kind == "cpu" and number):
        raise UsageError(f"--device {name}: unknown; choose auto, cpu, cuda or cuda:0")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise UsageError(f"--device {name}: this machine has {count} CUDA devices; use --device cpu")
    return torch.device(name)


GIB = 2**30


def start_peak_memory(device: torch.device) -> None:
    """Start to count a GPU's peak memory, after giving unused memory back."""
    if device.type == "cuda":
        torch.cuda.init()  # the statistics of a device that has not started are an error
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> tuple[float, float] | None:
    """A GPU's peak memory in use and its total memory, in GiB; None for a CPU."""
    if device.type != "cuda":
        return None
    return torch.cuda.max_memory_allocated(device) / GIB, torch.cuda.get_device_properties(device).total_memory / GIB


Generators = dict[str, Any]
"""The states of the random generators, as tensors and plain values."""


@contextmanager
def generators_kept() -> Iterator[None]:
    """Leaving restores the random generators of torch, numpy and Python."""
    before = generator_states()
    try:
        yield
    finally:
        set_generator_states(before)


def seed_generators(seed: int, device: torch.device) -> None:
    """Seed torch's generators, which dropout and initial weights draw from."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(seed)


def generator_states() -> Generators:
    """The state of every random generator, as tensors and plain values: torch, CUDA, numpy, python.

    hpcli's own numbers need none of them; a model or data set of the user's may.
    """
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    version, internal, next_gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": list(torch.cuda.get_rng_state_all()) if torch.cuda.is_initialized() else [],
        "numpy": [kind, torch.from_numpy(np.asarray(keys, np.int64)), int(position), int(has_gauss), float(gauss)],
        "python": [version, list(internal), next_gauss],
    }


def set_generator_states(states: Generators) -> None:
    """Put every random generator where `generator_states` found it."""
    torch.set_rng_state(states["torch"])
    if len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
    elif not states["cuda"] and torch.cuda.is_initialized():  # it was not, then: it starts from the host's seed
        torch.cuda.manual_seed_all(torch.initial_seed())
    kind, keys, position, has_gauss, gauss = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
    version, internal, next_gauss = states["python"]
    random.setstate((version, tuple(internal), next_gauss))
