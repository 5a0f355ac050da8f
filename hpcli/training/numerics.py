"""The precision of a trainer, and whether its runs repeat to the bit."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch

from hpcli.errors import HpcliWarning


@dataclass(frozen=True)
class Numerics:
    """Switches of torch that are process-wide: they are set while a trainer computes, and put back after."""

    device: torch.device
    dtype: torch.dtype | None = None  # that autocast computes in; None: float32 throughout
    fp32_precision: str | None = None  # of float32 products on a GPU: ieee or tf32; None: as it is
    deterministic: bool = False
    threads: int | None = None  # of the CPU; None: as many as they are

    @classmethod
    def of(
        cls, precision: str, device: torch.device, *, deterministic: bool = False, threads: int | None = None
    ) -> Numerics:
        """The numerics of `train.precision` on a device. `auto` is bfloat16 on a GPU with bfloat16, else float32."""
        if device.type != "cuda":
            return cls(device, torch.bfloat16 if precision == "bf16" else None, threads=threads)
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        if precision == "bf16" or (precision == "auto" and has_bf16):
            return cls(device, torch.bfloat16, None, deterministic, threads)
        return cls(device, None, "tf32" if precision == "tf32" else "ieee", deterministic, threads)

    def warn_if_slow(self) -> None:
        """Warn of bfloat16 on a processor without units for it."""
        if self.device.type == "cpu" and self.dtype is not None and not torch.cpu._is_avx512_bf16_supported():
            warnings.warn(
                "train.precision: bf16 is many times slower than fp32 on a CPU without bf16 units; use auto",
                HpcliWarning,
                stacklevel=2,
            )

    def exact(self) -> Numerics:
        """The same in float32 throughout, for comparisons: TF32 keeps three digits."""
        return replace(self, dtype=None, fp32_precision="ieee")

    def autocast(self) -> torch.autocast:
        """The context to compute in."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not None)

    @contextmanager
    def active(self) -> Iterator[None]:
        """While entered, torch's process-wide switches are this trainer's. Leaving restores them."""
        threads = torch.get_num_threads()
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        try:
            with self._on_gpu() if self.device.type == "cuda" else nullcontext():
                yield
        finally:
            if self.threads is not None:
                torch.set_num_threads(threads)

    @contextmanager
    def _on_gpu(self) -> Iterator[None]:
        before = (
            _fp32_precisions(),
            torch.backends.cudnn.benchmark,
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        )
        if self.deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        own = before[0] if self.fp32_precision is None else [self.fp32_precision] * len(before[0])
        try:
            self._set(own, not self.deterministic, self.deterministic)
            yield
        finally:
            self._set(*before)

    @staticmethod
    def _set(fp32_precisions: Sequence[str], benchmark: bool, deterministic: bool, warn_only: bool = False) -> None:
        for switch, precision in zip(_fp32_switches(), fp32_precisions, strict=True):
            if switch.fp32_precision != precision:
                switch.fp32_precision = precision
        torch.backends.cudnn.benchmark = benchmark
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


def _fp32_precisions() -> list[str]:
    return [switch.fp32_precision for switch in _fp32_switches()]


def _fp32_switches() -> tuple[Any, ...]:
    """The general switch first, then those of a GPU's products that it does not reach in every version of torch.

    In torch 2.11 convolutions stay in TF32 when the general one says ieee.
    """
    backends: Any = torch.backends
    return backends, backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn
