"""`hpcli tune` on the command line: how long it may take, what its exit code says, what is drawn, what comes next."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hpcli import Run
from hpcli.cli import main
from hpcli.errors import DIVERGED

pytestmark = pytest.mark.filterwarnings("ignore::hpcli.errors.HpcliWarning")

FAST = ["--set=model.name=shallow3", "--set=data.train_fraction=0.2", "--set=data.batch_size=32", "--device=cpu"]
SHORT = [*FAST, "--set=tune.epochs=2", "--set=train.epochs=2", "--set=schedule.max_lr=0.01"]


def test_a_range_test_alone_has_found_something_and_leads_on(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["tune", "--until=range_test", "--set=tune.range_test=true", "--set=tune.epochs=9", *FAST, "--out=run"]
    assert main(words) == 0
    said = capsys.readouterr()
    assert said.out.startswith("range test: suggests ")
    assert "next: hpcli tune --resume run --until train" in said.err
    assert Path("run/lr-find/lr_find.png").exists()


def test_where_nothing_learns_the_exit_code_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["tune", "--runs=5", "--set=tune.values={schedule.max_lr: [1e-9, 1e-7]}", *SHORT]
    assert main([*words, "--set=schedule.max_lr=1e-8", "--out=run"]) == DIVERGED
    said = capsys.readouterr()
    assert said.out.startswith("Nothing was learnt at any of 5 settings")
    assert "next:" not in said.err
    assert not Path("run/best.yaml").exists()


def test_a_time_and_a_number_of_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "--runs=6", "--budget=5m", *SHORT]) == 2
    assert "--budget and --runs: give one of them" in capsys.readouterr().err
    for wrong in ("5", "m", "-1m", "0s", "1 day"):
        assert main(["tune", f"--budget={wrong}", *SHORT]) == 2
        assert "write a time such as 30m, 2h or 90s" in capsys.readouterr().err
    assert main(["tune", "--budget=5m", "--dry-run", *SHORT]) == 0
    said = capsys.readouterr().out
    assert "as many as fit into 5 minutes" in said
    assert "on fresh seeds" not in said  # how many is not known yet
    assert main(["tune", "--budget=0.01s", "--until=search", *SHORT, "--out=run", "-q"]) in (0, DIVERGED)
    assert Run.open("run").config.tune.minutes is not None
    assert main(["tune", "--resume=run", "--runs=6", "-q"]) in (0, DIVERGED)
    assert Run.open("run").config.tune.minutes is None
    assert len(Path("run/tune.csv").read_text().splitlines()) == 7


def test_only_the_folders_of_its_steps_are_drawn_into(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--epochs=1", "-q", *FAST, "--out=mine"]) == 0
    for picture in Path("mine").glob("*.png"):
        picture.unlink()
    assert main(["tune", "--runs=5", *SHORT, "--out=run"]) in (0, DIVERGED)
    Path("mine").rename("run/mine")
    before = {path.name for path in Path("run/mine").iterdir()}
    assert main(["tune", "--resume=run"]) in (0, DIVERGED)
    assert {path.name for path in Path("run/mine").iterdir()} == before


def test_what_was_found_trains(capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for word in SHORT if "epochs" not in word]
    assert main(["tune", "--runs=6", "--set=tune.epochs=9", "--until=verdict", *words, "--out=run"]) == 0
    assert "next: hpcli train -c run/best.yaml" in capsys.readouterr().err
    assert main(["train", "-c", "run/best.yaml", "--epochs=1", "--dry-run"]) == 0
    assert main(["tune", "--resume=run", "--until=train"]) == 0
    assert "next: hpcli evaluate run/train" in capsys.readouterr().err
    assert Path("run/train/loss.png").exists()
    choice = json.loads(Path("run/summary.json").read_text())["choice"]
    assert Run.open("run/train").config.schedule.max_lr == choice["schedule.max_lr"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("{data.batch_size: [16, 5000]}", "data.batch_size: 5000 is more than the"),
        ("{model.name: [torchvision/nope, torchvision/nada]}", "is not among them; add it"),
        ("{train.epochs: [1, 2]}", "is not searched, more would always win; tune.epochs sets the length"),
        ("{data.steps_per_epoch: [3, 9]}", "is not searched, more would always win; tune.epochs sets the length"),
        ("{data.train_fraction: [0.1, 1.0]}", "more would always win; --set sets it for all"),
    ],
)
def test_a_dry_run_refuses_what_the_run_would(values: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["tune", *FAST, f"--set=tune.values={values}"]
    assert main([*words, "--dry-run"]) == main([*words, "-q"]) == 2
    assert capsys.readouterr().err.count(said) == 2


@pytest.mark.parametrize("command", ["train", "tune", "sweep-wd"])
def test_a_dry_run_loads_neither_torch_nor_scipy(command: str) -> None:
    code = (
        "import sys\n"
        "from hpcli.cli import main\n"
        f"main(['{command}', '--dry-run'])\n"
        "print(sorted({'torch', 'scipy', 'matplotlib'} & sys.modules.keys()), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"
