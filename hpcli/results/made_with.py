"""What a training run was computed with: on another device, or with other threads, its last digits differ."""

from __future__ import annotations

from dataclasses import dataclass

from hpcli.recording.rows import Row


@dataclass(frozen=True)
class MadeWith(Row, table="made_with"):
    """What computed a run, from a step on."""

    from_step: int
    device: str  # cpu or cuda
    precision: str  # as resolved: fp32, tf32 or bf16
    threads: int  # of the CPU
    torch: str  # its version
    processes: int | None = None  # that trained together, each a part of every batch; None: an older hpcli's, one

    @property
    def kind(self) -> tuple[str, str, int, int]:
        """What decides whether two runs are alike to the bit: device, precision, threads (on a CPU), processes."""
        return self.device, self.precision, self.threads if self.device == "cpu" else 0, self.processes or 1

    def __str__(self) -> str:
        threads = f", {self.threads} thread{'s' * (self.threads != 1)}" if self.device == "cpu" else ""
        processes = f", {self.processes} processes" if (self.processes or 1) > 1 else ""
        return f"{self.device}, {self.precision}{threads}{processes}"
