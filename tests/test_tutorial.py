"""docs/tutorial.md shows what its commands printed, and its commands are commands."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from tests.commands import Commands

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/tutorial.md").read_text()
BLOCKS: list[tuple[str, str]] = re.findall(
    r"^```bash\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", PAGE, re.DOTALL | re.MULTILINE
)
COMMANDS = "".join(block for block, _ in BLOCKS)
SHORT = {"train": "--epochs 2", "sweep-wd": "--seeds 1 --epochs 1"}
"""How commands that later ones go on from are run here; all others show their plan."""


def test_below_each_block_stands_what_it_printed() -> None:
    """`python benchmarks/tutorial.py` has written both."""
    printed = json.loads((ROOT / "benchmarks/results/tutorial.json").read_text())["printed"]
    assert len(BLOCKS) == len(printed) >= 8
    assert dict(BLOCKS) == printed


def test_its_commands_are_commands(tmp_path: Path) -> None:
    lines = [in_short(line) for block, _ in BLOCKS for line in block.splitlines()]
    assert sum("--dry-run" in line for line in lines) >= 6
    with Commands(tmp_path) as commands:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(lines)], cwd=tmp_path, capture_output=True, text=True,
            check=False, env=commands.environment,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def in_short(line: str) -> str:
    """A command as it is run here; a line that is none, such as one of a config, as it stands."""
    if not line.startswith("hpcli "):
        return line
    (out,) = re.findall(r"--out (\S+)", line) or [""]
    is_needed = out and re.search(rf"(?<!--out )\b{out}\b", COMMANDS)
    return f"{line} {SHORT[line.split()[1]]}" if is_needed else f"{line} --dry-run"


def test_its_pictures_are_small() -> None:
    shown = set(re.findall(r"\(pictures/tutorial/(.*?)\)", PAGE))
    there = {path.name: path.stat().st_size for path in (ROOT / "docs/pictures/tutorial").iterdir()}
    assert shown == set(there)
    assert max(there.values()) <= 60_000
