"""The tutorial made anew: every block of docs/tutorial.md is run, what it prints written below it, its pictures kept.

    python benchmarks/tutorial.py

A picture `pictures/tutorial/RUN-NAME.png` of the page is `runs/RUN/NAME.png`, made small. What was printed also goes
to benchmarks/results/tutorial.json, which a test holds the page to. Four minutes on two cores.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import torch
from PIL import Image

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/tutorial.md"
PRINTED = ROOT / "benchmarks/results/tutorial.json"
BLOCK = re.compile(r"^```bash\n(.*?)^```\n(?:\n```text\n.*?^```\n)?", re.DOTALL | re.MULTILINE)
PICTURE = re.compile(r"\(pictures/tutorial/([a-z]+)-(\w+)\.png\)")
WIDTH, COLOURS = 900, 128
"""Pixels and colours of a picture in the page."""
LINE = 108
"""Letters of a line."""


def main() -> None:
    """Run all blocks in a folder of their own, in the page's order."""
    printed: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def made(match: re.Match[str]) -> str:
            printed[match[1]] = run(match[1], folder)
            below = f"\n```text\n{printed[match[1]]}```\n" if printed[match[1]] else ""
            return f"```bash\n{match[1]}```\n{below}"

        text = BLOCK.sub(made, PAGE.read_text())
        for of, picture in PICTURE.findall(text):
            shrink(folder / f"runs/{of}/{picture}.png", PAGE.parent / f"pictures/tutorial/{of}-{picture}.png")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    about = {"made": f"{datetime.date.today()}, {machine}", "printed": printed}
    PRINTED.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(text)


def run(block: str, folder: Path) -> str:
    """What a block prints on stdout, long lines wrapped."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    more = {"PATH": path, "COLUMNS": str(LINE), "NO_COLOR": "1"}
    command = ["bash", "-euo", "pipefail", "-c", block]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | more, text=True, encoding="utf-8", check=True, stdout=subprocess.PIPE
    )
    return "".join(f"{part}\n" for line in done.stdout.splitlines() for part in parts(line.rstrip()))


def parts(line: str) -> list[str]:
    """A line as lines that fit; one that does is left as it is: its blanks may make a table."""
    return textwrap.wrap(line, LINE) if len(line) > LINE else [line]


def shrink(source: Path, target: Path) -> None:
    """A picture in fewer pixels and colours: a page has several."""
    with Image.open(source) as image:
        small = image.convert("RGB")
        small.thumbnail((WIDTH, WIDTH))
        small.quantize(COLOURS, dither=Image.Dither.NONE).save(target, optimize=True)


if __name__ == "__main__":
    main()
