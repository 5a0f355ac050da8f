"""The command line as a stranger meets it. In this process where that is enough; a new one where imports count."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from hpcli.cli import main
from hpcli.recording.disk import DiskRecorder
from hpcli.results.train import Epoch
from hpcli.states import RunStatus

FAST = [
    "--set",
    "data.train_fraction=0.2",
    "--set",
    "data.batch_size=32",
    "--set",
    "model.name=shallow3",
    "--device",
    "cpu",
]


def test_help_imports_no_torch_and_is_quick() -> None:
    code = (
        "import sys, time\n"
        "from hpcli.cli import main\n"
        "assert main(['--help']) == 0\n"
        "heavy = {'torch', 'torchvision', 'matplotlib', 'pydantic', 'numpy'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
        "print('CPU', time.process_time())\n"
    )
    times = []
    for _ in range(3):  # the fastest: other work on the machine slows some of them
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert "lr-find" in done.stdout
        times.append(float(done.stdout.split("CPU ")[1]))
    assert min(times) <= 0.4  # 0.24 on an idle machine


def test_dry_run_and_config_errors_import_no_torch() -> None:
    code = (
        "import sys\n"
        "from hpcli.cli import main\n"
        "assert main(['train', '--dry-run']) == 0\n"
        "assert main(['lr-find', '--dry-run']) == 0\n"
        "assert main(['train', '--set', 'x=1']) == 2\n"
        "assert not {'torch', 'matplotlib'} & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("hpcli 0.")


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (["trian"], 2, "No such command 'trian'. Did you mean 'train'?"),
        (["train", "--epoch"], 2, "No such option: --epoch"),
        (["train", "--epochs", "ten"], 2, 'train.epochs=ten: "ten": must be a whole number'),
        (["train", "--epochs", "0"], 2, "train.epochs=0: must be at least 1"),
        (["train", "--set", "train.epoch=3"], 2, "train.epoch=3: unknown key; did you mean epochs?"),
        (["train", "--set", "epochs"], 2, "--set epochs: write KEY=VALUE"),
        (["train", "--momentum", "0.85-0.95"], 2, "write 0.95-0.85"),
        (["train", "-c", "nothing.yaml"], 2, "nothing.yaml: cannot be read: No such file"),
        (["train", "--set", "model.name=resnet57"], 2, "did you mean resnet56?"),
        (["train", "--set", "data.name=digit"], 2, "did you mean digits?"),
        (["train", "--device", "tpu"], 2, "--device tpu: unknown"),
        (["train", "--set", "data.batch_size=5000"], 2, "data.batch_size: 5000 is more than the 1151 training images"),
        (["train", "--set", "data.validation=0.000001"], 3, "leaves none to validate on"),
        (["train", "--resume", "nowhere"], 2, "nowhere: no such run folder; hpcli runs DIR lists those in a folder"),
        (
            ["lr-find", "--resume", "a"],
            2,
            "--resume: lr-find is short and cannot be gone on with; run it again: hpcli lr-find -c a",
        ),
        (["evaluate", "b", "--resume", "a"], 2, "run it again: hpcli evaluate -c a/config.yaml"),
        (
            ["train", "--set", "batch_size=32"],
            2,
            "batch_size=32: must be a section of keys, not 32; did you mean data.batch_size?",
        ),
        (
            ["train", "--set", "epochs=3"],
            2,
            "epochs=3: unknown key; did you mean train.epochs or sweep.epochs or tune.epochs?",
        ),
        (["train", "--set", "train.batch_size=3"], 2, "unknown key; did you mean data.batch_size?"),
        (["train", "--set", "lr_find.seed=3"], 2, "unknown key; did you mean seeds?"),
        (["sweep", "batch_size", "--values=8,16"], 2, "batch_size: unknown key; did you mean data.batch_size?"),
        (["train", "--set", "model.name=resnet18"], 2, "resnet18: unknown model; did you mean torchvision/resnet18?"),
        (["train", "--resume", "a", "--out", "b"], 2, "--out and --resume"),
        (["lr-find", "--start-lr", "10"], 2, "must be below end_lr"),
        (["init", "digit"], 2, "did you mean digits?"),
    ],
)
def test_errors_are_one_line_with_their_code(
    arguments: list[str], code: int, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("error: ")
    assert what in line
    assert len(line) <= 200


def test_several_faults_are_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    Path("c.yaml").write_text("data: {batch_size: 0}\ntrain: {epochs: x}\n")
    assert main(["train", "-c", "c.yaml"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_bug_shows_its_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("hpcli.config.load_config", lambda *_: 1 / 0)
    assert main(["train", "--dry-run"]) == 1
    assert "ZeroDivisionError" in (printed := capsys.readouterr().err)
    assert "bug in hpcli" in printed


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(28, "No space left on device", "x"), 7),
        (PermissionError(13, "Permission denied", "x"), 7),
        (MemoryError(), 5),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), 5),
        (KeyboardInterrupt(), 130),
    ],
)
def test_what_the_machine_lacks_has_its_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("hpcli.config.load_config", fail)
    assert main(["train", "--dry-run"]) == code
    assert "Traceback" not in capsys.readouterr().err


def test_train_and_what_it_leaves(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--epochs", "2", "--json", "--out", "a run", *FAST]) == 0
    printed = capsys.readouterr()
    summary = json.loads(printed.out)
    assert (summary["command"], summary["status"], summary["run_dir"], summary["epochs"]) == (
        "train",
        RunStatus.FINISHED,
        "a run",
        2,
    )
    assert printed.err.count("epoch ") == 2
    assert {path.name for path in Path("a run").glob("*.png")} == {
        "loss.png",
        "accuracy.png",
        "schedule.png",
        "batch.png",
    }
    assert main(["train", "--out", "a run", *FAST]) == 2
    assert "a run: exists already; choose another, or go on with it by --resume a run" in capsys.readouterr().err
    Path("mine").mkdir()
    Path("mine/thesis.txt").touch()
    for words in (
        ["train", "--out=mine"],
        ["lr-find", "--out=a run"],
        ["sweep-wd", "--out=a run"],
        ["train", "--out=mine/thesis.txt"],
    ):
        for more in ([], ["--dry-run"]):
            assert main([*words, *FAST, *more]) == 2
            assert capsys.readouterr().err.strip().endswith("exists already; choose another")
    assert main(["train", "--resume", "a run", "--json"]) == 0
    again = capsys.readouterr()
    assert json.loads(again.out) == summary
    assert "finished already" in again.err
    assert main(["train", "--resume", "a run", "--epochs", "3"]) == 4
    assert "differs in train.epochs" in capsys.readouterr().err


def test_each_picture_is_drawn_once_those_of_the_start_before_the_first_epoch_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[tuple[str, int]] = []

    def keep(recorder: DiskRecorder, name: str, _: Figure) -> None:
        drawn.append((name, len(recorder.rows(Epoch))))

    monkeypatch.setattr(DiskRecorder, "keep_figure", keep)
    assert main(["train", "--epochs", "2", "-q", *FAST]) == 0
    assert drawn == [("schedule", 0), ("batch", 0), ("loss", 2), ("accuracy", 2)]


def test_a_damaged_summary_is_written_anew(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--epochs", "1", "-q", "--out", "a", *FAST]) == 0
    before, steps = json.loads(Path("a/summary.json").read_text()), Path("a/steps.csv").read_bytes()
    for damage in ("{", "3", ""):
        Path("a/summary.json").write_text(damage)
        assert main(["train", "--resume", "a", "--json", "-q", "--device", "cpu"]) == 0
        assert json.loads(capsys.readouterr().out) | {"seconds": 0} == before | {"seconds": 0}
        assert json.loads(Path("a/summary.json").read_text()) | {"seconds": 0} == before | {"seconds": 0}
        assert Path("a/steps.csv").read_bytes() == steps


def test_a_run_folders_config_runs_it_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--epochs", "1", "-q", "--out", "one", *FAST]) == 0
    assert main(["train", "-c", "one/config.yaml", "-q", "--out", "two", "--device", "cpu"]) == 0
    assert capsys.readouterr().out == ""
    assert Path("one/steps.csv").read_bytes() == Path("two/steps.csv").read_bytes()


def test_starting_from_weights(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--epochs", "2", "-q", "--out", "first", *FAST]) == 0
    assert main(["train", "--epochs", "1", "-q", "--out", "second", "--init", "first", *FAST]) == 0
    assert main(["lr-find", "--steps", "5", "--seeds", "1", "-q", "--init", "first/model.safetensors", *FAST]) == 0
    assert main(["train", "--init", "nowhere", *FAST]) == 4
    assert "nowhere: cannot be read" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore::hpcli.errors.HpcliWarning")
def test_divergence_is_exit_6_with_advice(capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["optimizer.name=sgd", "schedule.name=constant", "schedule.momentum=0.9"]
    arguments = [
        "train",
        "--epochs",
        "1",
        "--max-lr",
        "1e9",
        "--out",
        "d",
        *FAST,
        *(f"--set={each}" for each in settings),
    ]
    assert main(arguments) == 6
    printed = capsys.readouterr()
    assert "Lower schedule.max_lr" in printed.out
    assert "diverged" in printed.err
    assert json.loads(Path("d/summary.json").read_text())["status"] == RunStatus.DIVERGED
    assert json.loads(Path("d/status.json").read_text())["exit_code"] == 6


def test_dry_run_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--dry-run", "--json", "--epochs", "4"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["steps"], plan["steps_per_epoch"], plan["highest_lr_step"], plan["momentum"]) == (
        68,
        17,
        20,
        "0.95-0.85",
    )
    assert list(Path().iterdir()) == []


def test_init_copies_a_config_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "digits"]) == 0
    assert main(["train", "-c", "digits.yaml", "--dry-run", "-q"]) == 0
    assert main(["init", "digits"]) == 2
    assert "exists already" in capsys.readouterr().err


def test_init_names_the_schema_for_editors_where_it_is_there() -> None:
    assert main(["init", "folder"]) == 0
    assert "hpcli.schema.json" not in Path("folder.yaml").read_text()
    Path("checked").mkdir()
    Path("checked/hpcli.schema.json").touch()
    assert main(["init", "folder", "checked/mine.yaml"]) == 0
    first, rest = Path("checked/mine.yaml").read_text().split("\n", 1)
    assert (first, rest) == ("# yaml-language-server: $schema=hpcli.schema.json", Path("folder.yaml").read_text())


def test_an_override_that_is_wrong_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--set", "train.epochs=0"]) == 2
    assert capsys.readouterr().err == "error: train.epochs=0: must be at least 1\n"


def test_a_warning_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--dry-run", "--momentum", "0.09"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: ")
    assert "did you mean a pair such as 0.95-0.85?" in line


def test_strange_surroundings_and_what_training_on_digits_imports(tmp_path: Path) -> None:
    """No home, no locale, a folder with a space, a dash and an umlaut; and no torchvision, which takes a second."""
    code = (
        "import sys\n"
        "from hpcli.cli import main\n"
        f"assert main(['train', '--epochs', '1', '--out', sys.argv[1], *{FAST!r}]) == 0\n"
        "assert 'torch' in sys.modules\n"
        "assert 'torchvision' not in sys.modules\n"
    )
    strange = {"HOME": "/nonexistent", "LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", code, "räum — 1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | strange)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "räum — 1/loss.png").exists()


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m hpcli train --dry-run | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.parametrize("words", [["--debug", "verdict", "no.csv"], ["verdict", "no.csv", "--debug"]])
def test_debug_shows_a_traceback_wherever_it_stands(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "Traceback (most recent call last)" in said
    assert said.splitlines()[-1].startswith("error: no.csv")
