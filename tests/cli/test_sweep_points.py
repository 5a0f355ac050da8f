"""Sweeps by points from the command line: what they leave, how they go on, how they are drawn, what they refuse."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hpcli.cli import main
from hpcli.config import load_config
from hpcli.results.sweep import SweepResult
from hpcli.runs.run import Run

THREE = [
    *("schedule.max_lr", "--values=1e-3,3e-2", "momentum", "--values=0.8,0.95"),
    *("optimizer.weight_decay", "--values=1e-3,1"),
]
FAST = [
    *("--set=data.train_fraction=0.2", "--set=data.batch_size=32", "--set=model.name=shallow3", "--device=cpu"),
    *("--epochs=3", "--seeds=1", "--set=train.threads=1", "--set=sweep.parallel=1"),
]


def table(folder: str) -> list[dict[str, str]]:
    """Without what a clock and the process say."""
    with (Path(folder) / "sweep.csv").open() as file:
        return [row | {"seconds": "", "reused": ""} for row in csv.DictReader(file)]


def swept(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["sweep", *arguments, "--json", "-q"]) == 0
    return dict(json.loads(capsys.readouterr().out))


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep of six points."""
    run = tmp_path_factory.mktemp("points") / "run"
    assert main(["sweep", *THREE, "--points=6", *FAST, "-q", f"--out={run}"]) == 0
    return run


def test_what_it_leaves(points: Path) -> None:
    assert {path.name for path in points.iterdir() if path.suffix == ".png"} == {"sweep_keys.png", "sweep_maps.png"}
    rows = table(str(points))
    assert len(rows) == len({row["value"] for row in rows}) == 6
    assert {row["parameter"] for row in rows} == {"schedule.max_lr & schedule.momentum & optimizer.weight_decay"}
    summary = json.loads((points / "summary.json").read_text())
    assert [line["key"] for line in summary["keys"]] == ["max_lr", "momentum", "weight decay"]
    assert all(line["what it does"] for line in summary["keys"])
    assert "One seed cannot tell values apart: use --seeds 3 or more." in summary["sentence"]
    assert "The surface through all 6 runs is lowest " in summary["sentence"]
    assert " and 2 more" not in summary["sentence"].partition("Not told apart")[0]
    assert {line["verdict"] for line in summary["ranking"]} <= {"best", "cannot tell", "at chance"}


def test_its_trials_are_known_by_what_they_are(points: Path) -> None:
    """A trial of one point is that of a sweep of any other number of points."""
    for trial in (points / "trials").iterdir():
        own = load_config(trial / "config.yaml").sweep
        assert (own.points, own.values) == (None, {})


def test_more_points_keep_those_that_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    first = swept(capsys, *THREE, "--points=4", "--out=a", *FAST)
    assert (first["trained"], first["reused"]) == (4, 0)
    before = table("a")
    assert swept(capsys, "--resume=a")["trained"] == 0
    more = swept(capsys, "--resume=a", "--points=7")
    assert (more["trained"], more["reused"]) == (3, 4)
    assert table("a")[:4] == before
    assert swept(capsys, *THREE, "--points=7", "--out=b", *FAST)["trained"] == 7
    assert table("a") == table("b")
    seeds = swept(capsys, "--resume=a", "--seeds=2")
    assert (seeds["trained"], seeds["reused"]) == (7, 7)
    assert seeds["noise_sd"] is not None


def test_workers_make_the_same_table(points: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert swept(capsys, *THREE, "--points=6", "--workers=2", "--out=a", *FAST)["failed"] == 0
    assert table("a") == table(str(points))


def test_a_dry_run_says_the_points(points: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", *THREE, "--points=6", *FAST, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["points"][1] == "schedule.momentum: 0.8 to 0.95, logarithmic in 1 − m"
    assert plan["values"] == [row["value"] for row in table(str(points))]
    assert main(["sweep", *THREE, *FAST, "--dry-run", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["trials"]) == 16
    assert main(["sweep", *THREE[:2], *FAST, "--dry-run", "--json"]) == 0
    assert "points" not in json.loads(capsys.readouterr().out)


def test_its_pictures_are_drawn_again_from_the_tables_without_torch(points: Path, tmp_path: Path) -> None:
    code = "import sys; from hpcli.cli import main; code = main(sys.argv[1:]); sys.exit(code or 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, "plot", str(points), "--out", str(tmp_path)], check=False)
    assert done.returncode == 0
    names = sorted(path.name for path in tmp_path.glob("*.png"))
    assert names == ["sweep_keys.png", "sweep_maps.png"]
    for name in names:
        assert (tmp_path / name).read_bytes() == (points / name).read_bytes()


def test_it_is_read_back(points: Path) -> None:
    result = Run.open(points).result
    assert isinstance(result, SweepResult)
    assert result.fitted is not None
    assert result.summary()["keys"] == json.loads((points / "summary.json").read_text())["keys"]
    assert len(result.fitted.profiles) == 3


@pytest.mark.parametrize(
    "more",
    [
        ["--values=1e-3,1e-1", "--values=0.8,0.95", "--values=1e-3,1"],
        ["--set=sweep.values={schedule.max_lr: [1e-3, 1e-2]}"],
    ],
)
def test_a_sweep_whose_points_would_move_is_another(
    more: list[str], points: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (points / "config.yaml").read_bytes()
    assert main(["sweep", f"--resume={points}", *more]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    says = "between other values its points would be others; that is a sweep of its own: start a new one"
    assert line == f"error: {points}: {says}"
    assert (points / "config.yaml").read_bytes() == before


def test_a_grid_is_not_gone_on_with_by_points(capsys: pytest.CaptureFixture[str]) -> None:
    swept(capsys, *THREE[:2], "--out=a", *FAST)
    assert main(["sweep", "--resume=a", "--points=4"]) == 4
    assert "error: a: it is a grid; points are a sweep of its own" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([*THREE[:4], "weight_decay", "--values=0,1"], "sweep.values.optimizer.weight_decay: 0 lies on no logarithmic scale"),
        ([*THREE[:4], "weight_decay", "--values=1"], "sweep.values.optimizer.weight_decay: 1 alone is no range"),
        ([*THREE[:4], "data.augment", "--values=none,none,source"], "sweep.values.data.augment: none is there twice"),
        ([*THREE, "--refine"], "--refine: takes one key whose values are numbers"),
        ([*THREE[:2], "--points=4", "--refine"], "and points: it goes on between the values of a grid"),
        ([*THREE, "--points=0"], "sweep.points=0: must be at least 2"),
        ([*THREE, "--points=many"], 'sweep.points=many: "many": must be a whole number'),
        ([*THREE[:4], "data.batch_size", "--values=16,5000"], "training images; lower it"),
        ([*THREE, "--retune=schedule.max_lr"], "--retune schedule.max_lr: is what is swept"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_bad_input(arguments: list[str], says: str, dry: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", *arguments, "-q", *dry]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert says in line


def test_a_range_is_refused_before_there_is_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", *THREE[:4], "weight_decay", "--values=0,1", "--out=a"]) == 2
    assert not Path("a").exists()


@pytest.mark.usefixtures("_anything_is_learnt")
def test_one_key_by_points(capsys: pytest.CaptureFixture[str]) -> None:
    """Also of a sweep with a name of its own."""
    assert main(["sweep-mom", "--values=0.8,0.95", "--points=4", "--out=a", *FAST, "--json", "-q"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert [path.name for path in Path("a").glob("*.png")] == ["sweep_keys.png"]
    assert [line["key"] for line in summary["keys"]] == ["momentum"]
    assert "edge" not in summary["choice_reason"]
