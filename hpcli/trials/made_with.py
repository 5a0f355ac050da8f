"""What this process computes with."""

from __future__ import annotations

import warnings

from hpcli.errors import HpcliWarning
from hpcli.recording.recorder import RowRecorder
from hpcli.results.made_with import MadeWith
from hpcli.training.numerics import Numerics


def made_with(numerics: Numerics, step: int = 0, processes: int = 1) -> MadeWith:
    """What a trainer of these numerics computes with, from a step on, as one of so many processes."""
    import torch

    precision = "bf16" if numerics.dtype is torch.bfloat16 else numerics.fp32_precision or "fp32"
    resolved = "fp32" if precision == "ieee" else precision
    threads = numerics.threads or torch.get_num_threads()
    return MadeWith(step, numerics.device.type, resolved, threads, torch.__version__, processes)


def record_made_with(recorder: RowRecorder, now: MadeWith) -> None:
    """Note what a run is computed with; warn where it was begun with something else."""
    before = recorder.rows(MadeWith)
    if before and before[-1].kind != now.kind:
        warnings.warn(
            f"begun with {before[-1]}, goes on with {now}: it will not be what it would have been, to the bit",
            HpcliWarning,
            stacklevel=2,
        )
    if not before or before[-1].kind != now.kind or before[-1].torch != now.torch:
        recorder.add(now)
