"""`hpcli interpolate` on the command line: what it takes, what it leaves, what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch

from hpcli.cli import main
from hpcli.recording.csv_text import read_rows
from hpcli.recording.progress import Progress
from hpcli.results.interpolate import Place
from hpcli.results.plane import PlanePoint
from hpcli.results.train import Epoch

SMALL = ["--set", "data.train_fraction=0.2", "--set", "data.batch_size=32", "--set", "model.options.num_blocks=[1,1,1]"]
CPU = ["--device", "cpu", "-q"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of two cycles each, and a run of another network."""
    folder = tmp_path_factory.mktemp("runs")
    cycles = ["--epochs", "4", "--set", "schedule.cycles=2", "--set", "train.checkpoint_epochs=[2]"]
    for seed in ("0", "1"):
        assert main(["train", "--out", str(folder / seed), "--seed", seed, *cycles, *SMALL, *CPU]) == 0
    assert main(["train", "--out", str(folder / "other"), "--epochs", "1", "--set", "model.name=shallow3", *CPU]) == 0
    return folder


@pytest.fixture(autouse=True)
def _runs_here(tmp_path: Path, runs: Path) -> None:
    shutil.copytree(runs, tmp_path, dirs_exist_ok=True)


def line(a: str, b: str, *more: str) -> list[str]:
    return ["interpolate", "--ckpt-a", a, "--ckpt-b", b, "--device", "cpu", *more]


def test_what_it_leaves(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line("0", "1", "--alphas", "-0.5:1.5:5", "--json", "--out", "line")) == 0
    printed = capsys.readouterr()
    summary = json.loads(printed.out)
    assert {"barrier", "barrier_alpha", "best_alpha", "distance", "cosine", "connected", "endpoints"} <= summary.keys()
    assert set(summary["barrier"]) == {"recompute", "interpolate"}
    assert set(summary["endpoints"]["recompute"]) == {"a", "middle", "b"}
    assert {"interpolation.csv", "interpolation.png", "summary.json"} <= {each.name for each in Path("line").iterdir()}
    header, *rows = Path("line/interpolation.csv").read_text().splitlines()
    assert header == "alpha,bn,train_loss,train_accuracy,valid_loss,valid_accuracy,rise_error"
    assert len(rows) == 2 * 5
    for end, run in (("a", "0"), ("b", "1")):  # in float32, what the run itself recorded
        recorded = read_rows(Path(run) / "metrics.csv", Epoch)[-1]
        assert summary["endpoints"]["interpolate"][end]["valid_loss"] == pytest.approx(recorded.valid_loss, abs=1e-5)
        assert summary["endpoints"]["interpolate"][end]["valid_accuracy"] == recorded.valid_accuracy


@pytest.mark.parametrize("alphas", ["-10,-5,0,1", "-10:4:3", "-1"])
def test_alphas_may_begin_with_a_dash(alphas: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line("0", "1", "--alphas", alphas, "--dry-run", "--json")) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["first_alpha"] == float(alphas.partition(":")[0].partition(",")[0])
    assert not Path("runs").exists()


def test_a_folders_config_runs_it_again() -> None:
    assert main(line("0:cycle-0", "0:cycle-1", "--alphas", "0,1", "-q", "--out", "one")) == 0
    assert main(["interpolate", "-c", "one/config.yaml", "--out", "two", *CPU]) == 0
    assert Path("one/interpolation.csv").read_bytes() == Path("two/interpolation.csv").read_bytes()


def test_checkpoints_by_label_and_by_file(capsys: pytest.CaptureFixture[str]) -> None:
    found = []
    for a in ("0:epoch-0002", "0/checkpoints/epoch-0002.pt"):
        assert main(line(a, "0:cycle-1", "--alphas", "0,1", "--bn", "interpolate", "--json", "-q")) == 0
        found.append(json.loads(capsys.readouterr().out)["endpoints"]["interpolate"]["a"])
    assert found[0] == found[1]
    assert found[0]["valid_loss"] == pytest.approx(read_rows(Path("0/metrics.csv"), Epoch)[2].valid_loss, abs=1e-5)
    assert main(line("0/model.safetensors", "1/model.safetensors", "--alphas", "0,1", "-q")) == 0


def test_an_average_can_be_evaluated_and_trained_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(line("0:epoch-0002", "0", "--alphas", "0,1", "--save-average", "0.5", "--json", "-q", "--out", "m")) == 0
    )
    average = json.loads(capsys.readouterr().out)["average"]
    for where in ("m", "m:average", "m/model.safetensors"):
        assert main(["evaluate", where, "--split", "valid", "--json", *CPU]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["accuracy"] == average["valid_accuracy"]
        assert found["loss"] == pytest.approx(average["valid_loss"], abs=1e-5)
    assert main(line("m:average", "1", "--dry-run", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["save_average"] is None  # m's own choices are not taken over
    assert main(["train", "--init", "m", "--epochs", "1", *SMALL, *CPU]) == 0


def test_the_plane_through_three(capsys: pytest.CaptureFixture[str]) -> None:
    plane = ["--ckpt-c", "0:cycle-0", "--plane-points", "3", "--alphas", "0,1", "--out", "p", "--json"]
    assert main(line("0", "1", *plane)) == 0
    printed = capsys.readouterr()
    assert "the plane: 9 points, about " in printed.err
    assert set(json.loads(printed.out)["plane"]["corners"]) == {"a", "b", "c"}
    assert len(read_rows(Path("p/plane.csv"), PlanePoint)) == 9
    assert Path("p/plane.png").exists()


def test_interrupted_and_resumed_the_csv_is_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = line("0", "1", "--alphas", "0:1:5", "-q")
    assert main([*arguments, "--out", "whole"]) == 0

    def interrupt(report: Progress) -> None:
        if report.done == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as context:
        context.setattr("hpcli.cli.terminal.silent", interrupt)
        assert main([*arguments, "--out", "half"]) == 143
    assert len(read_rows(Path("half/interpolation.csv"), Place)) == 4
    assert not Path("half/summary.json").exists()
    capsys.readouterr()
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")  # the folder knows where its checkpoints are
    assert main(["interpolate", "--resume", "../half", "--device", "cpu", "--json"]) == 0
    monkeypatch.chdir("..")
    assert Path("half/interpolation.csv").read_bytes() == Path("whole/interpolation.csv").read_bytes()
    assert main(["interpolate", "--resume", "half", "--device", "cpu"]) == 0
    assert "finished already" in capsys.readouterr().err
    assert main(["interpolate", "--resume", "half", "--bn", "recompute"]) == 4
    assert "differs in interpolate.bn" in capsys.readouterr().err
    assert main(["train", "--resume", "half"]) == 2
    assert "a run of interpolate, not of train" in capsys.readouterr().err


def test_what_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy("0/model.safetensors", "bare.safetensors")
    Path("junk.pt").write_bytes(b"junk")
    Path("0/junk.pt").write_bytes(b"junk")
    torch.save([1, 2], "0/list.pt")
    torch.save({"trainer": {"model": {"conv1.weight": 7}}}, "0/odd.pt")
    damaged = Path("1/checkpoints/epoch-0003.pt")
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    for arguments, code, what in (
        (line("0", "other"), 4, "other: its config differs from 0's in data.train_fraction, model.name, model.options.num_blocks"),
        (line("0", "other", "-c", "0/config.yaml"), 4, "checkpoint B: conv1.weight: the model has [16, 1, 3, 3], the"),
        (line("0", "nowhere"), 4, "nowhere: cannot be read"),
        (line("nowhere.pt", "0"), 4, "nowhere.pt: cannot be read"),
        (line("0", "0/junk.pt"), 4, "junk.pt: not a checkpoint of hpcli"),
        (line("0", "0/list.pt"), 4, "list.pt: holds no model of hpcli"),
        (line("0", "0/odd.pt"), 4, "odd.pt: holds no model of hpcli"),
        (line("0", "0:cycle-7"), 4, "no checkpoint cycle-7; it has best, last, "),
        (line("0", "1:epoch-0003"), 4, "damaged (its SHA-256 differs"),
        (line("0", "1/checkpoints/epoch-0003.pt"), 4, "damaged (its SHA-256 differs"),
        (line("0", "bare.safetensors"), 2, "bare.safetensors: no run folder around it to take the config from; name one by -c"),
        (line("0", "1", "--alphas", "a,b"), 2, "interpolate.alphas=a,b: "),
        (line("0", "1", "--alphas", "1:0:5"), 2, "1 must be below 0"),
        (line("0", "1", "--bn", "none"), 2, "interpolate.bn=none"),
        (["interpolate", "--ckpt-a", "0"], 2, "--ckpt-a, --ckpt-b: name the two checkpoints"),
        (["interpolate"], 2, "--ckpt-a, --ckpt-b: name the two checkpoints"),
    ):  # fmt: skip
        assert main(arguments) == code, what
        printed = capsys.readouterr()
        assert printed.out == ""
        (last,) = printed.err.splitlines()
        assert last.startswith("error: ")
        assert what in last
    assert main(line("bare.safetensors", "0", "-c", "0/config.yaml", "--alphas", "0,1", "-q")) == 0


def test_a_dry_run_looks_at_the_weights_and_draws_nothing() -> None:
    """The weights take torch: they may be another network's."""
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from hpcli.cli import main\n"
        "assert main(['interpolate', '--ckpt-a', '0', '--ckpt-b', '1', '--dry-run']) == 0\n"
        "assert 'matplotlib' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
