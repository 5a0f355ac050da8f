"""Smith's experiments (configs/papers) can be tried in the ways that the heads of their configs say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from hpcli.cli import main

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "configs/papers").glob("*.yaml"))
EDITION = r"^# {}, [\w ]+ on (?:two cores|an H100):\n((?:#   .*\n)+)"
DIGITS = ("data.name=digits", "data.image_size=null", "data.train_fraction=1", "data.batch_size=16")
"""In place of CIFAR-10, which is downloaded: all images and small batches, as there are few."""


def commands(file: Path, edition: str) -> list[list[str]]:
    """The command lines of an edition that begin with a config, of a loop the first turn."""
    found = re.search(EDITION.format(edition), file.read_text(), re.MULTILINE)
    assert found is not None, f"{file.name}: {edition}"
    text = re.sub(r"^#   ", "", found[1], flags=re.MULTILINE).replace("$seed", "0")
    lines = [shlex.split(line) for line in text.replace("\\\n", " ").splitlines() if "hpcli" in line]
    return [line[line.index("hpcli") + 1 :] for line in lines if "-c" in line]


def test_every_experiment_has_a_head() -> None:
    assert len(FILES) >= 12
    for file in FILES:
        head = file.read_text().partition("\ndata:")[0]
        assert "# Published: " in head
        assert re.search(r"\d{4}\.\d{5}|Singh", head), "the paper, or the notebook"
        assert max(map(len, head.splitlines())) <= 120


@pytest.mark.parametrize("edition", ["Small", "Whole"])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_its_commands_would_run(
    file: Path, edition: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    lines = commands(file, edition)
    assert lines
    for line in lines:
        assert line[line.index("-c") + 1] == f"configs/papers/{file.name}"
        weights = line.index("--init") if "--init" in line else None
        given = line if weights is None else line[:weights] + line[weights + 2 :]  # of a run before it
        assert main([*given, *(part for each in DIGITS for part in ("--set", each)), "--dry-run"]) == 0, (
            capsys.readouterr().err
        )
