"""`--worker`: what it refuses, what it says, and what it leaves of a sweep that is not its to drive."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hpcli.cli import main
from hpcli.config import load_config
from hpcli.files import Lock
from hpcli.states import RunStatus
from hpcli.trials import shared_worker

FAST = [
    *("--set=data.train_fraction=0.1", "--set=data.batch_size=32", "--set=model.name=shallow3", "--epochs=2"),
    *("--set=schedule.max_lr=3e-3", "--device=cpu", "--values=1e-4,1", "--seeds=1"),
]


@pytest.fixture
def stopped(runs: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A sweep with workers whose driver is gone, two of its trials waiting, one of them laid out."""
    shutil.copytree(runs / "sweep", "a")
    assert main(["sweep-wd", "--resume", "a", "--set", "sweep.workers=0", "-q"]) == 0
    rows = Path("a/sweep.csv").read_text().splitlines()
    cells = [line.split(",") for line in rows[1:]]
    for cell in cells[:2]:
        cell[3] = RunStatus.WAITING
    Path("a/sweep.csv").write_text("\n".join([rows[0], *map(",".join, cells)]) + "\n")
    about = json.loads(Path("a/status.json").read_text())
    about |= {"status": RunStatus.INTERRUPTED, "files": {}, "sha256": None}
    Path("a/status.json").write_text(json.dumps(about))
    Path("a/summary.json").unlink()
    shutil.rmtree(Path("a/trials", cells[0][0]))
    trial = Path("a/trials", cells[1][0])
    for each in trial.iterdir():
        if each.name not in ("config.yaml", "status.json", ".lock"):
            each.unlink()
    about = json.loads((trial / "status.json").read_text())
    about |= {"status": RunStatus.CREATED, "files": {}, "sha256": None, "saved": None}
    (trial / "status.json").write_text(json.dumps(about))
    capsys.readouterr()
    return trial


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--worker: of which sweep? write hpcli sweep --resume RUN_DIR --worker"),
        (["--resume", "nowhere"], "nowhere: no such run folder"),
        (["--resume", "{runs}/train"], "train: a run of train, and workers take the trials of sweeps; name a sweep's folder"),
        (["--resume", "{runs}/sweep", "--seeds", "3"], "leave out --seeds: it is for the command that drives the sweep, hpcli sweep"),
        (["--resume", "{runs}/sweep", "--set", "a=b", "-c", "x", "--values", "1"], "leave out --values, -c, --set: it is"),
    ],
)  # fmt: skip
def test_what_it_refuses(arguments: list[str], says: str, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep-wd", *(each.format(runs=runs) for each in arguments), "--worker"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert says in line


def test_a_sweep_that_is_over_has_nothing_to_train(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "--resume", str(runs / "sweep"), "--worker"]) == 0
    assert capsys.readouterr().err.splitlines() == [f"{runs / 'sweep'}: over already; nothing to train"]


def test_a_sweep_that_trains_by_itself_is_left_alone(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(runs / "sweep", "a")
    lock = Lock(Path("a/.lock"))
    assert main(["sweep", "--resume", "a", "--worker"]) == 2
    lock.release()
    assert "go on with it by hpcli sweep-wd --resume a --workers 0" in capsys.readouterr().err


def test_it_trains_what_lies_there_and_says_so(
    stopped: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_worker, "LINGER_SECONDS", 0.0)
    assert main(["sweep", "--resume", "a", "--worker", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"driven": False, "waiting": 1, "not laid out": 1}
    before = {file: file.read_bytes() for file in Path("a").glob("*.*")}
    assert main(["sweep", "--resume", "a", "--worker", "--device", "cpu"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    first, last = said.err.splitlines()
    seed = load_config(stopped / "config.yaml").seed
    assert f", seed {seed}: valid loss " in first
    assert last == "a: nobody drives the sweep, and nothing is left to train; this worker's trials: 1 finished"
    assert json.loads((stopped / "status.json").read_text())["status"] == RunStatus.FINISHED
    assert {file: file.read_bytes() for file in Path("a").glob("*.*")} == before  # it is the driver's
    assert main(["sweep", "--resume", "a", "--worker", "-q"]) == 0
    assert capsys.readouterr() == ("", "")


def test_code_of_a_sweep_is_run_where_it_is_allowed(stopped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in (Path("a/config.yaml"), Path("a/status.json")):
        file.write_text(file.read_text().replace("shallow3", "mine:net"))
    about = json.loads(Path("a/status.json").read_text())
    Path("a/status.json").write_text(json.dumps(about | {"sha256": None}))
    assert main(["sweep", "--resume", "a", "--worker"]) == 2
    assert "--allow-code" in capsys.readouterr().err
