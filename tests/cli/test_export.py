"""`hpcli export`: training runs as logs of TensorBoard and trackio, read back by these programs."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from hpcli import FanOut, MemoryRecorder, TensorBoard, load_config, train
from hpcli.cli import main
from hpcli.recording import checkpoints
from hpcli.recording.rows import Row
from hpcli.results.train import Epoch, Step
from hpcli.runs.run import Run


def curves(folder: Path) -> dict[str, object]:
    """What TensorBoard reads in a folder: curve → its points."""
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    log = reader.EventAccumulator(str(folder)).Reload()
    return {tag: [(each.step, each.value) for each in log.Scalars(tag)] for tag in log.Tags()["scalars"]}


def test_tensorboard_reads_every_step_and_epoch(runs: Path, tmp_path: Path) -> None:
    assert main(["export", "tensorboard", str(runs / "train"), "--out", str(tmp_path / "logs")]) == 0
    found, run = curves(tmp_path / "logs/train"), Run.open(runs / "train")
    steps, epochs = run.rows(Step), run.rows(Epoch)
    assert found["steps/train_loss"] == [(each.step, pytest.approx(each.train_loss)) for each in steps]
    assert found["steps/lr"] == [(each.step, pytest.approx(each.lr)) for each in steps]
    assert found["metrics/valid_loss"] == [(each.step, pytest.approx(each.valid_loss)) for each in epochs]
    assert found["result/valid_loss"] == [(0, pytest.approx(epochs[-1].valid_loss))]


def test_a_sweep_is_a_log_for_each_trial_with_its_settings_and_results(runs: Path, tmp_path: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.plugin_event_multiplexer")
    data = pytest.importorskip("tensorboard.plugins.hparams.plugin_data_pb2")
    assert main(["export", "tensorboard", str(runs / "sweep"), "--out", str(tmp_path)]) == 0
    logs = reader.EventMultiplexer().AddRunsFromDirectory(str(tmp_path))
    logs.Reload()
    trials = Run.open(runs / "sweep").children
    found = {}
    for name in {name.removesuffix("/.") for name in logs.Runs()}:
        content = logs.SummaryMetadata(name, "_hparams_/session_start_info").plugin_data.content
        settings = data.HParamsPluginData.FromString(content).session_start_info.hparams
        found[name] = (settings["optimizer.weight_decay"].number_value, settings["seed"].number_value)
    assert found == {
        f"sweep/{key}": (run.config.optimizer.weight_decay, run.config.seed) for key, run in trials.items()
    }


def test_what_cannot_be_exported_is_said(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = str(tmp_path / "logs")
    assert main(["export", "tensorboard", str(runs / "lr-find"), "--out", logs]) == 3
    assert "lr-find: nothing to export" in capsys.readouterr().err
    assert main(["export", "tensorboard", str(tmp_path), "--out", logs]) == 2
    assert "not a run folder" in capsys.readouterr().err
    assert main(["export", "tensorboard", str(runs / "train"), "--out", logs]) == 0
    before = sorted(Path(logs).rglob("*"))
    assert main(["export", "tensorboard", str(runs / "sweep"), str(runs / "train"), "--out", logs]) == 2
    assert "has a log already" in capsys.readouterr().err
    assert sorted(Path(logs).rglob("*")) == before


def test_a_log_grows_while_a_run_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    log = TensorBoard(tmp_path)
    config = load_config(overrides={"train.epochs": 1, "model.name": "shallow3"})
    result = train(config, recorder=FanOut(MemoryRecorder(), log), device="cpu")
    log.finish()
    assert curves(tmp_path)["metrics/valid_loss"] == [(len(result.steps["step"]) - 1, pytest.approx(result.valid_loss))]


LOGGED = ("train", "-q", "--device", "cpu", "--set", "model.name=shallow3", "--set", "record.tensorboard=true")


def test_a_training_logs_while_it_goes_on_and_after_an_interruption_each_step_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")
    path, add, seen = tmp_path / "run", TensorBoard.add, [0]

    def interrupted(self: TensorBoard, row: Row, *, durable: bool = False) -> None:
        add(self, row, durable=durable)
        seen[0] += 1
        if seen[0] == 20:  # after the checkpoint at the first epoch's end
            raise RuntimeError("killed")

    monkeypatch.setattr(TensorBoard, "add", interrupted)
    monkeypatch.setattr(checkpoints, "AT_MOST_SECONDS", 0.0)
    assert main([*LOGGED, "--epochs", "2", "--out", str(path), "--set", "data.batch_size=128"]) == 1
    monkeypatch.undo()
    assert main(["train", "-q", "--device", "cpu", "--resume", str(path)]) == 0
    steps = Run.open(path).rows(Step)
    assert curves(path / "tensorboard")["steps/train_loss"] == [
        (each.step, pytest.approx(each.train_loss)) for each in steps
    ]


def test_a_log_that_cannot_be_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert main([*LOGGED, "--out", str(path)]) == 2
    assert "pip install 'hpcli[tensorboard]'" in capsys.readouterr().err
    assert not path.exists()


def test_one_config_serves_every_command_and_train_alone_logs(tmp_path: Path) -> None:
    words = ["-q", "--device", "cpu", "--set", "model.name=shallow3", "--set", "record.tensorboard=true"]
    assert main(["lr-find", *words, "--set", "lr_find.steps=20", "--out", str(tmp_path / "run")]) == 0
    assert not list(tmp_path.rglob("events.out.tfevents.*"))


def test_trackio_reads_them(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    trackio = pytest.importorskip("trackio")
    words = ["export", "trackio", str(runs / "train"), "--project", "ours"]
    assert main(words) == 0
    assert "trackio show --project ours" in capsys.readouterr().err
    (run,) = trackio.Api().runs("ours")
    assert run.name == "train"
    assert main(words) == 2
    assert "has a run train already" in capsys.readouterr().err


@pytest.mark.parametrize("program", ["tensorboard", "trackio"])
def test_a_program_that_is_not_there_is_named(
    runs: Path, program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    monkeypatch.setitem(sys.modules, "trackio", None)
    assert main(["export", program, str(runs / "train"), "--out", "logs"]) == 2
    assert f"{program} is not installed: pip install 'hpcli[{program}]'" in capsys.readouterr().err
