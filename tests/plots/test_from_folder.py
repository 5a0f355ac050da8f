"""Whatever a command has drawn and summed up can be drawn and summed up again from its folder, without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hpcli import Run
from hpcli.recording.status import json_value
from hpcli.results import Result
from hpcli.states import RunStatus

OF_THE_PROCESS = ("command", "status", "run_dir", "seconds")
"""What a summary.json says beside the result."""
DRAW = """
import json, sys
from pathlib import Path
from hpcli import Run, plots
from hpcli.recording.status import json_value

run, target = Run.open(sys.argv[1]), Path(sys.argv[2])
result = run.result
for name, figure in plots.figures(result).items():
    figure.savefig(target / f"{name}.png")
(target / "summary.json").write_text(json.dumps(json_value(dict(result.summary()))))
loaded = {"torch", "torchvision"} & sys.modules.keys()
assert not loaded, loaded
"""


def pixels(path: Path) -> NDArray[np.uint8]:
    """[H, W, 4]."""
    with Image.open(path) as image:
        return np.asarray(image)


def written(folder: Path) -> dict[str, object]:
    """The part of a summary.json that is its result's."""
    summary = json.loads((folder / "summary.json").read_text())
    return {name: value for name, value in summary.items() if name not in OF_THE_PROCESS}


def plain(result: Result) -> object:
    return json.loads(json.dumps(json_value(dict(result.summary()))))


def test_another_process_draws_the_same_pictures_and_finds_the_same_summary(
    run_of_each_kind: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DRAW, str(run_of_each_kind), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    drawn = {path.name for path in tmp_path.glob("*.png")}
    assert drawn or Run.open(run_of_each_kind).status is RunStatus.DIVERGED
    assert drawn == {path.name for path in run_of_each_kind.glob("*.png")}
    for name in drawn:
        assert np.array_equal(pixels(tmp_path / name), pixels(run_of_each_kind / name)), name
    assert json.loads((tmp_path / "summary.json").read_text()) == written(run_of_each_kind)


def test_the_summary_of_a_run_and_of_the_runs_within_it_follow_from_their_tables(run_of_each_kind: Path) -> None:
    run = Run.open(run_of_each_kind)
    assert bool(run.children) == run.command.startswith("sweep")
    for each in (run, *run.children.values()):
        assert plain(each.result) == written(each.path)
        assert each.result.status is each.status
