"""Smith's experiments again: what the configs in configs/papers/ say at their heads, at small size.

    python benchmarks/papers.py NAME … [--images DIR]     # run these, and keep their tables
    python benchmarks/papers.py                           # make docs/papers.md's table and pictures from what is kept

A config's head says what was published, and by which commands it is tried: a small edition, minutes on two cores, and the
whole one, for a GPU. The small one is run as it stands, in a folder of its own (`--work`, to look at the runs afterwards).
Its tables lie in benchmarks/results/papers/, RUN-TABLE.csv, under a line on when and where they were made, of a sweep also the
curves of all trials; what the commands printed lies in NAME.txt. `--images DIR` takes CIFAR-10 from a folder in ImageNet layout.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from hpcli import Run

ROOT = Path(__file__).parents[1]
CONFIGS, KEPT = ROOT / "configs/papers", ROOT / "benchmarks/results/papers"
SMALL = re.compile(r"^# Small.*:\n((?:#   .*\n)+)", re.MULTILINE)
TABLES = ("sweep", "sweep_retune", "lr_find", "interpolation", "negative_variance")
"""Tables of a run that are kept, where it has them."""
FRACTION = re.compile(r"-?\d+\.\d+(e-?\d+)?")
DIGITS = 7
"""Of a kept number."""


def main() -> None:
    """Run what is named; else make the page anew."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", help="configs of configs/papers; none: make the page from what is kept")
    parser.add_argument("--images", type=Path, help="CIFAR-10 as a folder, train/<class>/… and test/<class>/…")
    parser.add_argument("--work", type=Path, help="where the runs lie; default: a folder that is removed afterwards")
    asked = parser.parse_args()
    if not asked.names:
        from papers_page import make_page

        make_page()
    for name in asked.names:
        with tempfile.TemporaryDirectory() as place:
            folder = (asked.work or Path(place)).resolve() / name
            keep(name, folder, run(name, folder, asked.images))


def small(name: str) -> str:
    """The commands of a config's small edition.

    Raises:
        ValueError: its head names none.
    """
    found = SMALL.search((CONFIGS / f"{name}.yaml").read_text())
    if found is None:
        raise ValueError(f"{name}.yaml: no small edition at its head")
    return "".join(f"{line[4:]}\n" for line in found[1].splitlines())


def run(name: str, folder: Path, images: Path | None) -> str:
    """Run the small edition in a folder; what it prints."""
    commands = small(name)
    if images is not None:
        file = f"-c configs/papers/{name}.yaml"
        commands = commands.replace("data.name=cifar10", "data.name=folder")
        commands = commands.replace(file, f"{file} --set data.name=folder --set data.root={images.resolve()}")
    folder.mkdir(parents=True)
    (folder / "configs").symlink_to(ROOT / "configs")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    more = {"PATH": path, "COLUMNS": "1000", "NO_COLOR": "1"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], cwd=folder, env=os.environ | more, text=True, check=True,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    return done.stdout


def keep(name: str, folder: Path, printed: str) -> None:
    """Copy the tables of the runs to the results."""
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / f"{name}.txt").write_text(printed)
    for place in sorted((folder / "runs").iterdir()):
        for table in TABLES:
            if (file := place / f"{table}.csv").is_file():
                write(KEPT / f"{place.name}-{table}.csv", rows_of(file))
        trials = [
            (each.path.name, row)
            for each in Run.open(place).children.values()
            if (each.path / "metrics.csv").is_file()  # not of one that diverged within its first epoch
            for row in rows_of(each.path / "metrics.csv")
        ]
        if trials:
            write(KEPT / f"{place.name}-curves.csv", [{"trial": trial, **row} for trial, row in trials])


def rows_of(file: Path) -> list[dict[str, str]]:
    """A table, its numbers in as many digits as matter."""
    with file.open(newline="") as opened:
        return [{key: rounded(text) for key, text in row.items()} for row in csv.DictReader(opened)]


def write(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Rows under a line that says when and where they were made."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    with path.open("w", newline="") as file:
        file.write(f"# {datetime.date.today()}, {machine}\n")
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def rounded(text: str) -> str:
    """A number with a fraction in so many digits as matter; other text as it is."""
    return f"{float(text):.{DIGITS}g}" if FRACTION.fullmatch(text) else text


if __name__ == "__main__":
    main()
