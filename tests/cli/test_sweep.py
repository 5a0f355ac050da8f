"""Sweeps by the command line: what they leave, what they reuse, how they end."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from hpcli import Run
from hpcli.cli import main
from hpcli.config import Config, load_config
from hpcli.config.varying import value_of
from hpcli.recording.progress import OnProgress
from hpcli.recording.recorder import Recorder
from hpcli.results.sweep import SweepResult
from hpcli.results.train import TrainResult
from hpcli.states import RunStatus
from hpcli.training.trainer import Trainer
from hpcli.trials import run as trials

pytestmark = pytest.mark.usefixtures("_anything_is_learnt")

FAST_FILE = """
schedule: {max_lr: 0.003}
data: {batch_size: 32, train_fraction: 0.1}
model: {name: shallow3}
"""
FAST = [
    *("--set=data.train_fraction=0.1", "--set=data.batch_size=32", "--set=model.name=shallow3"),
    *("--set=schedule.max_lr=3e-3", "--device=cpu", "--epochs=2"),
]
OWN = {"seconds": "", "reused": ""}
"""What a row says of the process that wrote it."""


def swept(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    assert main([*arguments, "--json", "-q"]) == code
    return dict(json.loads(capsys.readouterr().out))


def table(folder: str) -> list[dict[str, str]]:
    with (Path(folder) / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


def comparable(folder: str) -> list[dict[str, str]]:
    return [row | OWN for row in table(folder)]


def finished_trials(folder: str) -> list[Path]:
    files = Path(folder).glob("trials/*/status.json")
    return [file for file in files if json.loads(file.read_text())["status"] == RunStatus.FINISHED]


def test_what_a_sweep_leaves(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep-wd", "--values", "1e-4,1e-2,1", "--seeds", "3", "--out", "a", *FAST]) == 0
    printed = capsys.readouterr()
    assert "no systematic difference expected" in printed.err
    assert "8 more trials, about" in printed.err
    assert "For 2-epoch cycles (" in printed.out
    names = {path.name for path in Path("a").iterdir()}
    assert {"sweep.csv", "sweep.png", "sweep_curves.png", "summary.json", "trials", "config.yaml"} <= names
    trial = next(Path("a/trials").iterdir())
    assert {path.name for path in trial.iterdir()} == {
        "classes.csv", "config.yaml", "data.csv", "environment.json", "made_with.csv", "metrics.csv", "status.json", "steps.csv", "summary.json",
        "weight_norms.csv", ".lock",
    }  # fmt: skip
    assert json.loads((trial / "status.json").read_text())["status"] == RunStatus.FINISHED
    assert load_config(trial / "config.yaml").train.epochs == 2
    rows = table("a")
    assert list(rows[0])[:8] == [
        "trial", "value", "seed", "status", "valid_loss", "valid_accuracy", "valid_top5", "seconds",
    ]  # fmt: skip
    assert {row["trial"] for row in rows} == {path.name for path in Path("a/trials").iterdir()}
    summary = json.loads(Path("a/summary.json").read_text())
    assert summary["command"] == "sweep-wd"
    assert summary["parameter"] == "optimizer.weight_decay"


@pytest.mark.filterwarnings("ignore::hpcli.errors.HpcliWarning")
def test_resuming_trains_only_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    first = swept(capsys, "sweep-mom", "--values", "0.95-0.85,0.9", "--seeds", "2", "--out", "a", *FAST)
    assert (first["trained"], first["reused"]) == (4, 0)
    assert swept(capsys, "sweep-mom", "--resume", "a")["trained"] == 0
    more = swept(capsys, "sweep-mom", "--resume", "a", "--values", "0.9,0.5")
    assert (more["trained"], more["reused"]) == (2, 4)
    seeds = swept(capsys, "sweep-mom", "--resume", "a", "--seeds", "3")
    assert (seeds["trained"], seeds["reused"], seeds["seeds"]) == (3, 6, 3)
    assert load_config("a/config.yaml").sweep.seeds == 3
    (lost, damaged, changed) = sorted(Path("a/trials").iterdir())[:3]
    shutil.rmtree(lost)
    (damaged / "summary.json").write_text("{")
    (changed / "config.yaml").write_text(
        (changed / "config.yaml").read_text().replace("batch_size: 32", "batch_size: 16")
    )
    before = table("a")
    mended = swept(capsys, "sweep-mom", "--resume", "a", "--device", "cpu")
    assert (mended["trained"], mended["reused"]) == (3, 6)
    assert comparable("a") == [row | OWN for row in before]


def test_a_picture_of_what_there_was_before_does_not_stay(capsys: pytest.CaptureFixture[str]) -> None:
    """One value is compared with nothing, and so its curve is drawn; of two, one epoch is no curve."""
    once = [*FAST, "--epochs=1"]
    swept(capsys, "sweep", "optimizer.weight_decay", "--values", "0", "--seeds", "2", "--out", "a", *once)
    assert [file.name for file in Path("a").glob("*.png")] == ["sweep_curves.png"]
    Path("a/mine.png").write_bytes(b"of somebody's own")
    swept(capsys, "sweep", "--resume", "a", "--values", "0.1")
    assert {file.name for file in Path("a").glob("*.png")} == {"sweep.png", "mine.png"}


def test_further_values_of_the_key_that_was_swept(capsys: pytest.CaptureFixture[str]) -> None:
    """As the note at an edge says it, for a sweep without a name of its own too."""
    swept(capsys, "sweep", "optimizer.weight_decay", "--values", "0,1", "--seeds", "2", "--out", "a", *FAST)
    assert swept(capsys, "sweep", "--resume", "a", "--values", "0.1")["trained"] == 2
    assert main(["sweep", "--resume", "a", "--values", "1", "--values", "2"]) == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["sweep-wd", "schedule.max_lr", "--values", "1"], 2, "unexpected extra argument"),
        (["sweep-wd", "--values", "1e-5,-1"], 2, "optimizer.weight_decay=-1: must be at least 0"),
        (["sweep-wd", "--values", "1e-5,x"], 2, 'optimizer.weight_decay=x: "x": must be a number'),
        (["sweep-wd", "--values", "1e-5,0.00001"], 2, "--values: 1e-5 is there twice"),
        (["sweep-wd", "--values", "1e-5,"], 2, "an empty value"),
        (["sweep-mom", "--values", "0.85-0.95"], 2, "write 0.95-0.85"),
        (["sweep-mom", "--values", "0.9,1.0"], 2, "schedule.momentum=1.0: a momentum must be at least 0 and below 1"),
        (["sweep"], 2, "none given; for example hpcli sweep schedule.max_lr --values 3e-3,1e-2,3e-2"),
        (["sweep", "--values", "1"], 2, "--values: of which key? write KEY --values LIST"),
        (["sweep", "optimizer.eps"], 2, "optimizer.eps: no values; write optimizer.eps --values LIST"),
        (["sweep", "optimizer.wd", "--values", "1"], 2, "optimizer.wd: unknown key"),
        (["sweep", "seed", "--values", "1,2"], 2, "error: sweep.values.seed: cannot be varied, it does not change"),
        (["sweep", "data.batch_size", "--values", "16,5000"], 2, "data.batch_size: 5000 is more than the 1151 training"),
        (["sweep-wd", "--values", "1", "--seeds", "many"], 2, "must be a whole number from 1 to 100, or the word auto"),
        (["sweep-wd", "--values", "1", "--refine", "--until-decided"], 2, "one at a time"),
        (["sweep", "model.name", "--values", "resnet20", "--refine"], 2, "--refine: takes one key whose values are numbers"),
        (["sweep-wd", "--resume", "nowhere"], 2, "nowhere: no such run folder"),
    ],
)  # fmt: skip
def test_bad_input(arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "-q"]) == code
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith("error: ")
    assert says in line


def test_a_named_sweep_takes_no_config_of_another_key(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mom.yaml").write_text("sweep: {values: {schedule.momentum: [0.9, 0.8]}}\n")
    for command, code in (("sweep-mom", 0), ("sweep", 0), ("sweep-wd", 2)):
        assert main([command, "-c", "mom.yaml", "--dry-run", "-q"]) == code
    assert "sweep.values: the config's are of schedule.momentum; hpcli sweep compares them" in capsys.readouterr().err


def test_a_resumed_sweep_keeps_its_config(capsys: pytest.CaptureFixture[str]) -> None:
    swept(capsys, "sweep-wd", "--values", "0,1", "--seeds", "1", "--out", "a", *FAST)
    for arguments, says in {
        ("sweep-wd", "--seed", "3"): "a: its config differs in seed",
        ("sweep-wd", "--epochs", "3"): "a: its config differs in sweep.epochs",
        ("sweep-wd", "--set", "data.batch_size=16"): "a: its config differs in data.batch_size",
        ("sweep-mom", "--values", "0.9"): "the sweep is of optimizer.weight_decay, not of schedule.momentum",
    }.items():
        assert main([arguments[0], "--resume", "a", *arguments[1:]]) == 4
        assert says in capsys.readouterr().err
    assert json.loads(Path("a/summary.json").read_text())["trained"] == 2  # and is not touched


def test_divergence_is_exit_6_and_failures_are_exit_9(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = swept(capsys, "sweep", "schedule.max_lr", "--values", "1e8,1e9", "--seeds", "2", "--out", "a", *FAST, code=6)
    assert (lost["status"], lost["choice"]) == (RunStatus.DIVERGED, None)
    assert {row["status"] for row in table("a")} == {RunStatus.DIVERGED}
    real = trials.run_training

    def fails(config: Config, trainer: Trainer, recorder: Recorder, on_progress: OnProgress) -> TrainResult:
        if config.optimizer.weight_decay == 1:
            raise RuntimeError("a fault")
        return real(config, trainer, recorder, on_progress)

    monkeypatch.setattr(trials, "run_training", fails)
    assert main(["sweep-wd", "--values", "0,1", "--seeds", "2", "--out", "b", *FAST]) == 9
    assert "2 trials failed: their error.log in b/trials says why" in capsys.readouterr().err
    some = json.loads(Path("b/summary.json").read_text())
    assert (some["status"], some["failed"], some["choice"]) == (RunStatus.FINISHED, 2, 0.0)
    assert json.loads(Path("b/status.json").read_text())["exit_code"] == 9
    (log,) = Path("b/trials").glob("1-seed-0-*/error.log")
    assert "a fault" in log.read_text()
    monkeypatch.setattr(trials, "run_training", real)
    assert swept(capsys, "sweep-wd", "--resume", "b")["trained"] == 2
    assert not list(Path("b/trials").glob("*/error.log"))


def test_dry_run_shows_trials_and_pairs_and_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep-wd", "--values", "1e-5,1e-4", "--seeds", "2", "--dry-run", "--json", *FAST]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [trial["value"] for trial in plan["trials"]] == ["1e-5", "1e-4", "1e-5", "1e-4"]
    assert plan["steps"] == 4 * 2 * 3
    assert "no systematic difference expected" in plan["decay"][0]
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("more", "count"),
    [
        ([], 1),
        (["--set", "train.threads=1", "--seeds", "2", "--device", "cpu"], 4),
        (["--set", "sweep.parallel=3", "--set", "train.threads=1"], 3),
        (["--set", "train.threads=2"], "4, on a GPU 1"),
        (["--set", "train.threads=2", "--device", "cpu"], 4),
        (["--set", "train.threads=2", "--device", "cuda"], 1),
    ],
)
def test_dry_run_says_how_many_trials_run_at_once(
    more: list[str], count: int | str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr("hpcli.experiments.plan.check_any_starts", lambda *_, **__: None)  # there is no GPU
    assert main(["sweep-wd", "--values", "1e-5,1e-4", "--dry-run", "--json", *more]) == 0
    assert json.loads(capsys.readouterr().out)["at_once"] == count


def test_a_choice_is_written_into_a_config(capsys: pytest.CaptureFixture[str]) -> None:
    Path("digits.yaml").write_text(FAST_FILE)
    arguments = ["sweep-mom", "-c", "digits.yaml", "--values", "0.8,0.9-0.8", "--seeds", "1", "--apply", "digits.yaml"]
    assert main([*arguments, "--set", "data.train_fraction=0.2", "--dry-run"]) == 2
    assert "another set-up: data.train_fraction; write it into digits.yaml" in capsys.readouterr().err
    summary = swept(capsys, *arguments, "--device", "cpu", "--epochs", "1")
    assert str(load_config("digits.yaml").schedule.momentum) == str(summary["choice"])


@pytest.mark.parametrize(("file", "what"), [("nofile.yaml", "no such file"), ("folder", "is a folder")])
@pytest.mark.parametrize("command", [["sweep-wd", "--values", "1e-5,1e-4"], ["lr-find"]], ids=["sweep-wd", "lr-find"])
def test_a_choice_is_not_written_where_there_is_no_config(
    command: list[str], file: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("folder").mkdir()
    assert main([*command, "--apply", file]) == 2
    said = f"error: --apply {file}: {what}; it takes the YAML config that the value is to be written into"
    assert said in capsys.readouterr().err.splitlines()
    assert [each.name for each in Path().iterdir()] == ["folder"]


def test_two_keys_draw_their_map(capsys: pytest.CaptureFixture[str]) -> None:
    keys = ["schedule.max_lr", "--values", "1e-3,1e-2", "optimizer.weight_decay", "--values", "0,1"]
    summary = swept(capsys, "sweep", *keys, "--seeds", "2", "--out", "a", *FAST)
    assert Path("a/sweep_map.png").stat().st_size > 10_000
    assert len(summary["ranking"]) == 4
    assert {row["value"] for row in table("a")} == {"1e-3 & 0", "1e-3 & 1", "0.01 & 0", "0.01 & 1"}
    assert swept(capsys, "sweep", "--resume", "a")["trained"] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_stopped_anywhere_it_goes_on_to_the_same_table(number: signal.Signals, tmp_path: Path) -> None:
    arguments = ["sweep-wd", "--values", "0,1", "--seeds", "2", *FAST]
    assert main([*arguments, "--out", "whole", "-q"]) == 0
    child = os.fork()
    if not child:
        os._exit(main([*arguments, "--out", "cut", "-q"]))
    deadline = time.monotonic() + 60
    while not finished_trials("cut") and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(child, number)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code == (130 if number == signal.SIGINT else -number)
    assert main(["sweep-wd", "--resume", "cut", "-q"]) == 0
    assert comparable("cut") == comparable("whole")
    assert {row["reused"] for row in table("whole")} == {"0"}
    assert {row["reused"] for row in table("cut")} == {"0", "1"}


def test_where_nothing_is_learnt_nothing_is_chosen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)  # undone as well
    text = FAST_FILE + "optimizer: {weight_decay: 0.5}\n"
    Path("c.yaml").write_text(text)
    arguments = ["sweep-wd", "-c", "c.yaml", "--values", "0,1", "--seeds", "2", "--apply", "c.yaml", "--epochs=2"]
    assert main([*arguments, "--device=cpu"]) == 0
    printed = capsys.readouterr()
    assert "no value has learnt anything (chance is a loss of 2.3), so they cannot be compared: " in printed.out
    assert "hpcli lr-find, or train longer (--epochs)" in printed.out.replace("\n", " ")
    assert "wrote" not in printed.err
    assert Path("c.yaml").read_text() == text


def test_retune_takes_a_list_or_a_grid_around_the_config(capsys: pytest.CaptureFixture[str]) -> None:
    vary = ["sweep", "data.batch_size", "--values", "16,32", "--dry-run"]
    assert main([*vary, "--retune", "schedule.max_lr", "--json", *FAST]) == 0
    tuning = [each["value"] for each in json.loads(capsys.readouterr().out)["trials"] if each["seed"] == 100]
    assert tuning == [f"{size} & {rate}" for size in (16, 32) for rate in ("3e-4", "9e-4", "3e-3", "9e-3", "0.03")]
    assert main(["sweep", "train.clip_norm", "--values", "1", "--retune", "optimizer.nesterov", *FAST]) == 2
    assert (
        "--retune optimizer.nesterov: give the values to try, --retune optimizer.nesterov=A,B,C"
        in capsys.readouterr().err
    )
    assert main([*vary, "--retune", "data.batch_size=16", *FAST]) == 2
    assert "--retune data.batch_size: is what is swept" in capsys.readouterr().err
    assert main([*vary, "--retune", "schedule.maxlr", *FAST]) == 2
    assert "schedule.max_lr" in capsys.readouterr().err


def test_a_batch_is_compared_with_the_images_of_its_own_share(capsys: pytest.CaptureFixture[str]) -> None:
    vary = [
        "sweep",
        "data.train_fraction",
        "--seeds=1",
        *FAST,
        "--set=data.batch_size=200",
        "--set=data.train_fraction=1.0",
    ]
    for way in ("--dry-run", "--quiet"):
        assert main([*vary, "--values=0.5,0.1", "--out=small", way]) == 2
        assert "data.batch_size: 200 is more than the 11" in capsys.readouterr().err
        assert main([*vary, "--values=0.5,1", "--out=enough", way]) == 0


def test_a_resumed_sweep_retunes_over_more_values(capsys: pytest.CaptureFixture[str]) -> None:
    vary = ["sweep", "data.batch_size", "--values=16,32", "--seeds=1", *FAST]
    assert main([*vary, "--retune=schedule.max_lr=1e-4", "--out=grown"]) == 0
    more = ["sweep", "--resume=grown", "--device=cpu", "--retune"]
    assert main([*more, "optimizer.eps=1e-8"]) == 4
    assert "grown: retunes schedule.max_lr, not optimizer.eps; start a new one" in capsys.readouterr().err
    assert main([*more, "schedule.max_lr=3e-3,1e-4"]) == 0
    assert main([*vary, "--retune=schedule.max_lr=1e-4,3e-3", "--out=whole"]) == 0
    capsys.readouterr()
    assert main([*more, "schedule.max_lr", "--dry-run", "--json"]) == 0
    tried = {each["value"] for each in json.loads(capsys.readouterr().out)["trials"]}
    assert {"16 & 1e-4", "16 & 3e-3", "16 & 0.03"} <= tried
    grown, whole = (SweepResult.from_run(Run.open(each)) for each in ("grown", "whole"))
    assert grown.config.sweep.retune == {"schedule.max_lr": [1e-4, 3e-3]}
    assert [each.also for each in grown.settings] == [each.also for each in whole.settings]
    assert {each.trial: each.loss for each in (*grown.tuning, *grown.trials)} == {
        each.trial: each.loss for each in (*whole.tuning, *whole.trials)
    }


def test_the_learning_rate_that_goes_with_a_value_is_applied_too(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text(FAST_FILE)
    vary = ["sweep", "data.batch_size", "--values", "8,128", "--seeds", "1", "--epochs", "1"]
    assert main([*vary, "-c", "mine.yaml", "--apply", "mine.yaml", "--device", "cpu"]) == 0
    chosen = load_config("mine.yaml")
    assert chosen.schedule.max_lr == {8: 0.0015, 128: 0.006}[chosen.data.batch_size]
    assert (
        "max_lr grows with the batch size's square root (--no-scale-lr: one learning rate)" in capsys.readouterr().out
    )


def test_an_argument_that_the_network_is_not_given_is_swept_and_applied(capsys: pytest.CaptureFixture[str]) -> None:
    """There is no present value then; and the file may have other arguments, or none."""
    net = "model: {name: resnet20, options: {num_blocks: [1, 1, 1]}}\n"
    Path("mine.yaml").write_text(f"{net}data: {{train_fraction: 0.2, batch_size: 32}}\n")
    vary = ["sweep", "model.options.dropout", "--values", "[0,0],[0.25,0.5]", "--seeds", "2", "--epochs", "1"]
    assert main([*vary, "-c", "mine.yaml", "--apply", "mine.yaml", "--device", "cpu", "--out=a"]) == 0
    chosen = SweepResult.from_run(Run.open("a")).chosen["model.options.dropout"]
    assert value_of(load_config("mine.yaml"), "model.options.dropout") == chosen
    assert "wrote model.options.dropout: [" in capsys.readouterr().err


def test_whole_numbers_are_refined_by_whole_numbers() -> None:
    vary = ["sweep", "data.batch_size", "--values", "16,64,256", "--seeds", "3", "--refine", "--epochs", "1", *FAST]
    assert main([*vary, "--set=data.train_fraction=0.25", "--out=a", "-q"]) == 0
    values = [setting.values[0] for setting in SweepResult.from_run(Run.open("a")).settings]
    assert all(isinstance(value, int) for value in values)


def test_a_sweep_ends_with_what_to_do_next(capsys: pytest.CaptureFixture[str]) -> None:
    short = ["--seeds", "1", *FAST, "--epochs", "1"]
    assert main(["sweep-wd", "--values", "1e-2", *short]) == 0
    said = capsys.readouterr().err
    assert "It was found in cycles of 1 epoch, and train.epochs is 10" in said
    assert "next: hpcli sweep-wd --values 0.0025,0.01,0.04 --epochs 10 --seeds 3 --set " in said
    assert "On all images theory carries the weight decay" in said
    assert main(["sweep-mom", "--values", "0.9", *short]) == 0
    assert "next: hpcli train --set " in (said := capsys.readouterr().err)
    assert "--set schedule.momentum=0.9" in said


def test_weight_decays_that_the_runs_are_too_short_for_are_not_called_as_good(
    capsys: pytest.CaptureFixture[str],
) -> None:
    keys = ["sweep-wd", "--values", "1e-6,1e-5,0.01", "--seeds", "2", "--set", "optimizer.weight_decay=1e-5"]
    summary = swept(capsys, *keys, *FAST)
    assert summary["choice"] == 1e-5
    assert "The runs are too short to tell 1e-6 and 0.01 from it." in summary["sentence"]
    assert "as good" not in summary["sentence"]
