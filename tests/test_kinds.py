"""A run of every kind there is: run again from its own config, read back, and drawn again without torch."""

from __future__ import annotations

import csv
import html
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from hpcli import Run
from hpcli.cli import main
from hpcli.commands import COMMANDS
from hpcli.errors import DIVERGED
from hpcli.recording.disk import DiskRecorder
from hpcli.recording.status import json_value
from hpcli.results import Result
from hpcli.runs.page import page_runs
from hpcli.states import RunStatus

pytestmark = pytest.mark.filterwarnings("ignore::hpcli.errors.HpcliWarning")

SMALL = ["--set=data.train_fraction=0.2", "--set=data.batch_size=32", "--set=schedule.max_lr=3e-3"]
NET = ["--set=model.name=shallow3"]
LINE = ["interpolate", "--ckpt-a", "{one}:cycle-0", "--ckpt-b", "{one}"]
KINDS = {
    "train": ["train", "--epochs=2", *SMALL, *NET],
    "train, from weights, by SGD": [
        *("train", "--init={one}:best", "--epochs=2", "--set=optimizer.name=sgd", "--set=train.clip_norm=1.0"),
        *(*SMALL, "--set=model.options.num_blocks=[1,1,1]"),
    ],
    "train, diverged": [
        *("train", "--epochs=2", *SMALL, *NET, "--max-lr=1e9", "--momentum=0.9"),
        *("--set=optimizer.name=sgd", "--set=schedule.name=constant"),
    ],
    "lr-find": ["lr-find", "--steps=120", "--start-lr=1e-6", "--seeds=2", "--valid", *SMALL, *NET],
    "lr-find, weight decays": [
        *("lr-find", "--steps=120", "--start-lr=1e-6", "--seeds=1", "--weight-decay=1e-4,1e-1", *SMALL, *NET),
    ],
    "lr-find, refused": ["lr-find", "--steps=20", "--seeds=1", *SMALL, *NET],
    "sweep-mom": ["sweep-mom", "--values=0.95-0.85,0.9", "--seeds=2", "--epochs=1", *SMALL, *NET],
    "sweep-wd": ["sweep-wd", "--values=1e-4,1,10", "--seeds=3", "--epochs=1", *SMALL, *NET],
    "sweep, refined": [
        *(
            "sweep",
            "schedule.max_lr",
            "--values=1e-4,1e-2",
            "--seeds=2",
            "--epochs=3",
            "--refine",
            *SMALL,
            "--set=model.options.num_blocks=[1,1,1]",
        ),
        "--set=data.batch_size=16",
    ],
    "sweep, from weights, until decided": [
        *("sweep-wd", "--values=1e-4,1e-2", "--seeds=2", "--until-decided", "--max-seeds=3", "--epochs=1"),
        *("--init={one}", *SMALL, "--set=model.options.num_blocks=[1,1,1]"),
    ],
    "sweep, one key": ["sweep", "data.batch_size", "--values=32,64", "--seeds=2", "--epochs=1", *SMALL, *NET],
    "sweep, retuned": [
        *("sweep", "data.batch_size", "--values=32,64", "--retune=schedule.max_lr=1e-3,1e-2", "--seeds=1"),
        *("--epochs=1", *SMALL, *NET),
    ],
    "sweep, two keys": [
        *("sweep", "schedule.max_lr", "--values=1e-3,1e9", "momentum", "--values=0.95-0.85,0.8", "--seeds=2"),
        *("--epochs=1", *SMALL, *NET),
    ],
    "sweep, by points": [
        *("sweep", "schedule.max_lr", "--values=1e-3,3e-2", "momentum", "--values=0.8,0.95", "--seeds=1", "--epochs=3"),
        *("data.augment", "--values=none,standard", "--points=8", *SMALL, *NET),
    ],
    "sweep, diverged": ["sweep", "schedule.max_lr", "--values=1e8,1e9", "--seeds=1", "--epochs=1", *SMALL, *NET],
    "tune": [
        "tune",
        "--runs=9",
        "--confirm=2",
        "--set=tune.range_test=true",
        "--set=tune.epochs=9",
        "--set=train.epochs=10",
        *SMALL,
        *NET,
    ],
    "tune, searched": [
        *("tune", "--runs=6", "--confirm=0", "--until=search", "--set=tune.epochs=3", *SMALL, *NET),
        "--set=tune.values={{schedule.momentum: [0.9], data.augment: [standard, none]}}",
    ],
    "tune, diverged": [
        *("tune", "--runs=5", "--confirm=0", *SMALL, *NET, "--set=optimizer.name=sgd", "--set=schedule.max_lr=1e9"),
        "--set=tune.values={{schedule.max_lr: [1e8, 1e9]}}",
    ],
    "batch-size": ["batch-size", "--sizes=16,32", *SMALL, *NET],
    "interpolate, two": [*LINE, "--alphas=-1:3:5"],
    "interpolate, two, averaged": [*LINE, "--alphas=0,1", "--bn=interpolate", "--save-average=0.5"],
    "interpolate, three": [*LINE, "--ckpt-c={other}", "--alphas=0,1", "--plane-points=3"],
    "evaluate": ["evaluate", "{one}"],
    "evaluate, train": ["evaluate", "{one}:best", "--split=train"],
}
"""A command line for every kind of run there is; {one} and {other} are the folders of two training runs."""


CLOCK = {"seconds", "step_seconds", "images_per_second"}
"""Columns of a clock."""


def tables(folder: Path) -> dict[str, list[dict[str, str]]]:
    """Every CSV of a run and of the runs within it, without what a clock said."""
    found = {}
    for path in sorted(folder.rglob("*.csv")):
        with path.open(newline="") as file:
            rows = [{name: text for name, text in row.items() if name not in CLOCK} for row in csv.DictReader(file)]
        found[str(path.relative_to(folder))] = rows
    return found


def arrays(folder: Path) -> dict[str, list[object]]:
    found = {}
    for path in sorted(folder.rglob("*.npz")):
        with np.load(path) as stored:
            found[f"{path.relative_to(folder)}"] = [stored[name].tolist() for name in stored.files]
    return found


def configs(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("config.yaml"))}


OF_THE_PROCESS = ("command", "status", "run_dir", "seconds")
"""What a summary.json says beside the result."""
DRAWER = """
import json, sys
from pathlib import Path
from hpcli import Run, plots
from hpcli.recording.status import json_value
from hpcli.views.report import report

for line in sys.stdin:
    source, target = map(Path, json.loads(line))
    result = Run.open(source).result
    for name, figure in plots.figures(result).items():
        figure.savefig(target / f"{name}.png")
    (target / "summary.json").write_text(json.dumps(json_value(dict(result.summary()))))
    (target / "report.html").write_text(report([Run.open(source)]))
    print(json.dumps(sorted({"torch", "torchvision"} & sys.modules.keys())), flush=True)
"""
"""A process that draws run folders again, as many as it is told, and says what it should not have loaded."""


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two seeds of two cycles each, of a network with BatchNorm."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("two_runs")
    runs = {name: folder / name for name in ("one", "other")}
    words = ["--epochs=4", "--set=schedule.cycles=2", "--set=model.options.num_blocks=[1,1,1]", "--device=cpu", "-q"]
    for seed, path in enumerate(runs.values()):
        assert main(["train", f"--out={path}", f"--seed={seed}", *SMALL, *words]) == 0
    return runs


@pytest.fixture(scope="module")
def drawer() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", DRAWER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def pixels(path: Path) -> NDArray[np.uint8]:
    """[H, W, 4]."""
    with Image.open(path) as image:
        return np.asarray(image)


def plain(result: Result) -> object:
    return json.loads(json.dumps(json_value(dict(result.summary()))))


def written(folder: Path) -> dict[str, object]:
    """The part of a summary.json that is its result's."""
    summary = json.loads((folder / "summary.json").read_text())
    return {name: value for name, value in summary.items() if name not in OF_THE_PROCESS}


def run_of(name: str, two_runs: dict[str, Path], path: Path) -> Run:
    """A run of a kind, which is what its name says."""
    code = main([*(word.format(**two_runs) for word in KINDS[name]), f"--out={path}", "--device=cpu", "-q"])
    run = Run.open(path)
    assert run.standing is not None
    assert code == run.standing.exit_code == DIVERGED * ("diverged" in name)
    summary = written(path)
    assert ("refused" in name) == bool(summary.get("refusal"))
    given = math.prod(len(values) for values in run.config.sweep.values.values())
    ranking = summary.get("ranking", [])
    assert isinstance(ranking, list)
    assert ("refined" in name) == (len(ranking) > given)
    return run


def check_run_again(run: Run, again: Path) -> None:
    """`-c RUN/config.yaml` gives the same tables, the same configs and the same files."""
    assert run.standing is not None
    words = ["-c", str(run.path / "config.yaml"), "--out", str(again), "--device", "cpu", "-q"]
    assert main([run.command, *words]) == run.standing.exit_code
    assert Run.open(again).status is run.status
    assert configs(again) == configs(run.path)
    assert tables(again) == tables(run.path)
    assert arrays(again) == arrays(run.path)


def check_read_back(run: Run) -> None:
    """The result, also of the runs within it, follows from the tables alone."""
    assert bool(run.children) == run.command.startswith(("sweep", "tune"))
    for each in (run, *run.children.values()):
        assert plain(each.result) == written(each.path)
        assert each.result.status is each.status


def check_drawn_again(run: Run, target: Path, drawer: subprocess.Popen[str]) -> None:
    """Another process draws the same pictures, pixel by pixel, and finds the same summary, without torch."""
    assert drawer.stdin is not None
    assert drawer.stdout is not None
    target.mkdir()
    drawer.stdin.write(json.dumps([str(run.path), str(target)]) + "\n")
    drawer.stdin.flush()
    assert json.loads(drawer.stdout.readline()) == []
    drawn = {path.name for path in target.glob("*.png")}
    assert drawn or run.status is RunStatus.DIVERGED
    assert drawn == {path.name for path in run.path.glob("*.png")}
    for name in drawn:
        assert np.array_equal(pixels(target / name), pixels(run.path / name)), name
    assert json.loads((target / "summary.json").read_text()) == written(run.path)
    check_reported(run, target / "report.html", drawn)


def check_reported(run: Run, page: Path, drawn: set[str]) -> None:
    """The page says what the summary says, shows every picture, and holds the run."""
    text = page.read_text()
    assert html.escape(str(written(run.path).get("sentence", ""))).replace("&#x27;", "&#39;") in text.replace(
        "&#34;", "&quot;"
    )
    steps = [step for name in ("lr-find", "train") if (step := run.find_step(name)) is not None]
    of_steps = sum(len(list(step.path.glob("*.png"))) for step in steps)
    assert text.count('<figure class="picture') == len(drawn) + of_steps
    ((look, _),) = page_runs(page)
    assert (look.command, look.status, look.config) == (run.command, run.status, run.config)


def test_there_is_a_kind_of_every_command() -> None:
    assert {line[0] for line in KINDS.values()} == COMMANDS.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_is_run_again_read_back_and_drawn_again(
    kind: str,
    two_runs: dict[str, Path],
    drawer: subprocess.Popen[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hpcli.experiments.batch_size.SECONDS", 0.1)
    run = run_of(kind, two_runs, tmp_path / "run")
    check_read_back(run)
    check_drawn_again(run, tmp_path / "drawn", drawer)
    monkeypatch.setattr(DiskRecorder, "keep_figure", lambda *_: None)
    check_run_again(run, tmp_path / "again")
