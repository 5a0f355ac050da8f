"""`hpcli runs` and `hpcli compare`, as they are called."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from hpcli.cli import main
from hpcli.states import Judgement
from tests.runs.made import made
from tests.runs.test_compare import LOSSES, made_all

HOSTILE = (
    "esc\x1b[31mred\x1b[0m\x07", "<script>alert(1)<script>", "[bold]run", "実験の名前がとても長い漢字です第一回目",
    "🔥🚀 run", "two\nlines\tand a tab", "n" * 240, "right\u202eleft", "$x^2$",
)  # fmt: skip


def read(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    assert main([*arguments, "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_without_runs_a_line_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs"]) == 0
    assert capsys.readouterr().out == "runs: no runs yet; hpcli train makes one\n"
    Path("here").mkdir()
    assert main(["runs", "here"]) == 0
    assert capsys.readouterr().out == "here: no runs; hpcli train makes one\n"
    assert main(["runs", "gone"]) == 2
    assert capsys.readouterr().err.startswith("error: gone: no such folder; ")


def test_hostile_names_neither_break_the_table_nor_reach_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    runs = [made(Path("runs") / name, [0.5], seed=n) for n, name in enumerate(HOSTILE)]
    for arguments in (["runs"], ["compare", *map(str, runs)]):
        assert main(arguments) == 0
        printed = capsys.readouterr().out
        assert all(letter.isprintable() for letter in printed.replace("\n", ""))
        table = [line for line in printed.split("\n")[:-1] if "finished" in line or "83.3%" in line]
        assert len(table) >= len(HOSTILE)
        assert max(map(cell_len, table)) <= 80
        assert "[bold]run" in printed
    assert {run["name"] for run in read(capsys, "runs")["runs"]} == set(HOSTILE)
    assert main(["compare", *map(str, runs), "--out", "drawn"]) == 0
    assert Path("drawn/compare.png").stat().st_size > 10_000


def test_a_table_of_runs(capsys: pytest.CaptureFixture[str]) -> None:
    made(Path("runs/calm"), [1.0, 0.6], schedule__max_lr=3e-3)
    made(Path("runs/fast"), [1.0, 0.45], schedule__max_lr=3e-2)
    assert main(["runs", "--sort", "loss"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["run", "status", "differs", "in", "result", "age", "took"]
    assert lines[1].split()[:7] == ["fast", "finished", "max_lr", "0.03", "loss", "0.45,", "85.0%"]
    assert lines[3] == "all: train, batch_size 64, validation 0.2, epochs 2"
    assert main(["runs", "--filter", "calm"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 of 2 runs: the others do not meet --filter"
    assert main(["runs", "--filter", "none"]) == 0
    assert capsys.readouterr().out == "runs: none of 2 runs meets --filter\n"


def test_runs_as_csv(capsys: pytest.CaptureFixture[str]) -> None:
    made_all(Path("runs"))
    assert main(["runs", "--sort", "name", "--csv", "-"]) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [float(row["loss"]) for row in table] == [loss for own in LOSSES.values() for loss in own]
    assert main(["runs", "--csv", "runs.csv"]) == 0
    assert "0.001-0" in capsys.readouterr().out
    assert main(["verdict", "runs.csv", "--value", "schedule.max_lr", "--loss", "loss"]) == 0
    assert capsys.readouterr().out.startswith("Use 0.01, the best. 1e-3 is worse by 0.067 [")
    assert main(["runs", "--csv", "-", "--json"]) == 2
    assert main(["runs", "--csv", "runs"]) == 2
    assert main(["runs", "--csv", "gone/runs.csv"]) == 2


def test_runs_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    runs = list(map(str, made_all(Path("runs"))))
    assert main(["compare", *runs]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0].startswith("Use 0.01, the best. 1e-3 is worse by 0.067 [")
    assert lines[1].split() == ["setting", "runs", "loss", "accuracy", "above", "the", "best", "verdict"]
    assert lines[2].split() == ["max_lr", "0.01", "3", "0.867", "±", "0.023", "71.1%", "best"]
    assert lines[5].split() == ["run", "max_lr", "seed", "loss", "accuracy", "lowest", "took"]
    assert sorted(path.name for path in Path().iterdir()) == ["runs"]
    summary = read(capsys, "compare", *runs)
    assert [each["verdict"] for each in summary["settings"]] == [Judgement.BEST, Judgement.WORSE, Judgement.WORSE]
    assert summary["keys"]["schedule.max_lr"]["0.1-2"] == 0.1
    assert main(["compare", *runs, "--csv", "-"]) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["setting"] for row in table[::3]] == ["max_lr 0.01", "max_lr 1e-3", "max_lr 0.1"]


def test_keys_that_do_not_fit_stand_in_more_tables(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    made(Path("one"), [0.5])
    made(Path("two"), [0.6], schedule__div_factor=9.0, schedule__pct_start=0.4, data__batch_size=9, model__name="shallow3",
         optimizer__weight_decay=0.1, optimizer__name="sgd", train__label_smoothing=0.1, data__augment="none")  # fmt: skip
    assert main(["compare", "one", "two"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert max(map(cell_len, lines)) <= 80
    assert sum(line.split()[0] == "two" for line in lines) == 2


def test_where_nothing_can_be_compared(capsys: pytest.CaptureFixture[str]) -> None:
    made(Path("one"), [0.5])
    made(Path("two"), [0.5], images="b")
    assert main(["compare", "one", "two"]) == 3
    printed = capsys.readouterr()
    assert "left out: two: measured on other validation images" in printed.out
    assert printed.err == "error: nothing to compare: no two of these are runs of one command on the same data\n"
    assert main(["compare", "one"]) == 2
    assert main(["compare", "one", "gone"]) == 2
    assert main(["compare", "one", "two", "--matters", "nan"]) == 2


def test_other_commands_are_compared_by_their_main_facts(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--set=data.train_fraction=0.2", "--set=data.batch_size=32", "--set=model.name=shallow3", "-q"]
    for name, lr in (("a", "10"), ("b", "1")):
        assert main(["lr-find", "--steps=60", "--seeds=1", f"--end-lr={lr}", *small, "--out", name]) == 0
    assert main(["sweep-wd", "--values=1e-4,1", "--seeds=2", "--epochs=1", *small, "--out", "wd"]) == 0
    capsys.readouterr()
    assert main(["compare", "a", "b", "wd"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["lr-find", "status", "result"]
    assert lines[-1] == "compared with none, the only run of its command: wd (sweep-wd)"
    assert main(["runs", "."]) == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()[1:4]} == {"a", "b", "wd"}
    assert len(read(capsys, "runs", "wd")["runs"]) == 4


def test_no_torch_is_imported() -> None:
    made_all(Path("runs"))
    code = (
        "import sys\n"
        "from hpcli.cli import main\n"
        "assert main(['runs']) == 0\n"
        "assert not {'torch', 'torchvision', 'matplotlib', 'scipy'} & sys.modules.keys()\n"
        "assert main(['compare', 'runs/0.001-0', 'runs/0.01-0', '--out', 'drawn']) == 0\n"
        "assert not {'torch', 'torchvision'} & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
