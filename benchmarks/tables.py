"""Where the benchmarks put their rows: a CSV whose first line says when and on what they were measured."""

from __future__ import annotations

import csv
import datetime
import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as they come: a benchmark that is stopped has kept what it measured."""
    with path.open("w", newline="") as file:
        machine = f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}"
        file.write(f"# {datetime.date.today()}, {machine}\n")
        for number, row in enumerate(rows):
            writer = csv.DictWriter(file, list(row), lineterminator="\n")
            if number == 0:
                writer.writeheader()
            writer.writerow(row)
            file.flush()
