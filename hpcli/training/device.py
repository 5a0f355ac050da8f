"""Where a run computes, in what precision, and the state of the random generators there."""

from __future__ import annotations

import os
import random
import warnings
from typing import Any

import numpy as np
import torch

from hpcli.errors import HpcliWarning, UsageError


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


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """The reduced type to compute in, or None for float32.

    `auto` is bfloat16 on a GPU that has it. `tf32` and `fp32` also set how float32 products are computed on the GPU.
    """
    if device.type == "cpu":
        if precision == "bf16" and not torch.cpu._is_avx512_bf16_supported():
            warnings.warn(
                "train.precision: bf16 is many times slower than fp32 on a CPU without bf16 units; use auto",
                HpcliWarning,
                stacklevel=2,
            )
        return torch.bfloat16 if precision == "bf16" else None
    if precision == "bf16" or (precision == "auto" and torch.cuda.is_bf16_supported(including_emulation=False)):
        return torch.bfloat16
    backends: Any = torch.backends
    backends.fp32_precision = "tf32" if precision == "tf32" else "ieee"
    return None


def set_determinism(deterministic: bool, device: torch.device) -> None:
    """On a GPU, choose between bit-identical repeats and the fastest kernels. A CPU repeats itself anyway."""
    if device.type != "cuda":
        return
    torch.backends.cudnn.benchmark = not deterministic
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic)


OutOfMemory = (torch.OutOfMemoryError, MemoryError)
GIB = 2**30


def start_peak_memory(device: torch.device) -> None:
    """From now on `peak_memory` counts; what is no longer used is given back first."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> tuple[float, float] | None:
    """The most memory of a GPU that was in use, and what it has, in GiB; None for a CPU."""
    if device.type != "cuda":
        return None
    return torch.cuda.max_memory_allocated(device) / GIB, torch.cuda.get_device_properties(device).total_memory / GIB


def seed_generators(seed: int, device: torch.device) -> None:
    """Seed torch's generators, which dropout and initial weights draw from."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(seed)


def generator_states() -> dict[str, Any]:
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


def set_generator_states(states: dict[str, Any]) -> None:
    """Put every random generator where `generator_states` found it."""
    torch.set_rng_state(states["torch"])
    if len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
    kind, keys, position, has_gauss, gauss = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
    version, internal, next_gauss = states["python"]
    random.setstate((version, tuple(internal), next_gauss))
