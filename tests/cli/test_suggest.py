"""`hpcli suggest`: range tests made elsewhere, from the files that other programs export."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcli import suggest
from hpcli.analysis.lr_find import combine
from hpcli.cli import main
from hpcli.states import Refusal

FAST = ["--set=data.train_fraction=0.2", "--set=data.batch_size=32", "--set=model.name=shallow3", "--device=cpu"]
Curve = list[tuple[float, float]]


def curve(seed: int = 0, *, steps: int = 120, breaks_at: float = 0.5, noise: float = 0.02) -> Curve:
    """Flat, falling around 3e-3, and rising steeply from where it breaks."""
    random = np.random.default_rng(seed)
    lr = np.logspace(-6, 1, steps)
    loss = 2.3 - 1.5 / (1 + (3e-3 / lr) ** 1.5) + 15 * np.log10(np.maximum(lr / breaks_at, 1))
    return list(zip(lr.tolist(), (loss + noise * random.normal(size=steps)).tolist(), strict=True))


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    assert main(["suggest", *arguments, "--json"]) == code
    summary: dict[str, Any] = json.loads(capsys.readouterr().out)
    return summary


def test_one_curve_is_read_as_suggest_reads_it(capsys: pytest.CaptureFixture[str]) -> None:
    points = curve()
    Path("a.csv").write_text(
        "Step,learning rate,loss\n" + "".join(f"{n},{x!r},{y!r}\n" for n, (x, y) in enumerate(points))
    )
    summary = said(capsys, "a.csv", "--lr", "learning rate", "--loss", "loss")
    expected = suggest(*zip(*points, strict=True))
    assert summary["suggested_lr"] == pytest.approx(expected.suggested_lr)
    assert (summary["blow_up_lr"], summary["refusal"]) == (expected.blow_up_lr, None)
    assert main(["suggest", "a.csv", "--lr", "learning rate", "--loss", "loss"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.startswith(f"max_lr {expected.suggested_lr:.2g} for 1cycle, range ")
    assert "(one seed, so its spread is unknown). The loss breaks at 0." in printed.out.splitlines()[0]
    assert "suggested lr  " in printed.out


def test_no_torch_is_imported() -> None:
    Path("a.csv").write_text("lr,train_loss\n" + "".join(f"{x},{y}\n" for x, y in curve()))
    code = (
        "import sys\n"
        "from hpcli.cli import main\n"
        "assert main(['suggest', 'a.csv']) == 0\n"
        "assert not {'torch', 'torchvision', 'matplotlib'} & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_seeds_are_combined_and_values_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    """Rows of all curves mixed, as a tracker exports them by step; each curve by its seed and value."""
    curves = {
        (wd, name): curve(seed, breaks_at=at)
        for wd, at in (("0", 0.5), ("0.1", 0.05))
        for seed, name in enumerate("abc")
    }
    rows = [f"{wd};{name};{own[n][0]};{own[n][1]}\n" for n in range(120) for (wd, name), own in curves.items()]
    Path("a.csv").write_text("wd;Name;lr;train_loss\n" + "".join(rows))
    summary = said(capsys, "a.csv", "--seed", "Name", "--value", "wd")
    for wd in ("0", "0.1"):
        expected = combine([suggest(*zip(*curves[wd, name], strict=True)) for name in "abc"])
        assert summary["by_value"][wd]["suggested_lr"] == pytest.approx(expected.suggested_lr)
    assert list(summary["by_seed"]) == ["a", "b", "c"]
    first, second = summary["sentence"].splitlines()
    assert first.startswith("wd 0: max_lr ")
    assert second.startswith("wd 0.1: max_lr ")
    assert "(3 seeds)" in second


def test_it_says_of_a_range_test_what_lr_find_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lr-find", "--steps", "60", "--seeds", "2", "--out", "a", "--json", "-q", *FAST]) == 0
    expected = json.loads(capsys.readouterr().out)
    for table in ("lr_find", "steps"):
        found = said(capsys, f"a/{table}.csv", "--chance", repr(math.log(10)))
        assert found["sentence"] == expected["sentence"]
        assert found["by_seed"] == expected["by_seed"]


def test_a_refusal_names_its_remedy_and_is_no_error_unless_strict(capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    Path("a.csv").write_text("lr,train_loss\n" + "".join(f"{x},{2.3 + 0.01 * random.normal()}\n" for x, _ in curve()))
    summary = said(capsys, "a.csv")
    assert (summary["refusal"], summary["suggested_lr"]) == (Refusal.FLAT, None)
    assert summary["sentence"].startswith("No suggestion: the loss falls by ")
    assert summary["sentence"].endswith("raise end_lr, or steps.")
    said(capsys, "a.csv", "--strict", code=6)


def test_losses_of_one_learning_rate_are_averaged(capsys: pytest.CaptureFixture[str]) -> None:
    points = curve()
    rows = [f"{x},{y + shift}\n" for x, y in points for shift in (-0.25, 0.25)]
    Path("a.csv").write_text("lr,train_loss\n" + "".join(rows))
    summary = said(capsys, "a.csv")
    assert summary["suggested_lr"] == pytest.approx(suggest(*zip(*points, strict=True)).suggested_lr)
    assert summary["steps"] == len(points)
    assert summary["file_notes"] == ["Losses of one lr are averaged."]


def test_losses_that_are_empty_up_to_the_end_are_a_break(capsys: pytest.CaptureFixture[str]) -> None:
    """As pandas writes NaN; in between they are rows in which something else was logged."""
    points = [(x, y) for x, y in curve() if x < 0.5]
    rows = [f"{x},{y}\n{x},\n" for x, y in points]
    lost = [f"{x},\n" for x in (0.6, 0.7, 0.8)]
    Path("a.csv").write_text("lr,train_loss\n0,2.3\n" + "".join(rows + lost))
    summary = said(capsys, "a.csv")
    assert summary["blow_up_lr"] == pytest.approx(0.6)
    assert summary["file_notes"] == ["train_loss is empty from lr 0.6 on, taken as not finite."]
    Path("a.csv").write_text("lr,train_loss\n" + "".join(rows))
    whole = said(capsys, "a.csv")
    assert (whole["blow_up_lr"], whole["plateau"], whole["file_notes"]) == (None, True, [])


ROWS = "".join(f"{x},{y}\n" for x, y in curve())


@pytest.mark.parametrize(
    ("text", "arguments", "code", "says"),
    [
        ("Wall time,Step,Value\n1,0,2\n", [], 2, "no column lr; name yours by --lr, one of Wall time, Step, Value"),
        ("lr,loss\n1,2\n", [], 2, "no column train_loss; name yours by --loss, one of lr, loss"),
        ("lr,loss\n1,2\n", ["--loss", "los"], 2, "--loss los: a.csv has no such column; did you mean loss?"),
        ("lr,loss\n1,2\n", ["--loss", "lr"], 2, "--lr and --loss: both are lr"),
        (f"lr,train_loss\n{ROWS}{ROWS}", [], 3,
         "a.csv:122: lr falls from 10 to 1e-06, and in a range test it rises; if another curve begins here, name the column "
         "that tells curves apart by --seed"),
        ("lr,train_loss\n0.1,2\n0.1,1\n0.1,1\n", [], 3, "lr is 0.1 throughout, and in a range test it rises"),
        ("lr,train_loss\n0.1,\n,1\n0.2,\n,1\n", [], 3, "no row has both a positive lr and a train_loss; join them by step"),
        ("lr,train_loss\n0.1,1\ninf,1\n", [], 3, "a.csv:3: lr: inf is no learning rate"),
        ("lr,train_loss\n0.1,1\nx,1\n", [], 3, "a.csv:3: lr: 'x' is no number"),
        ("lr,train_loss\n0.1,1\n", ["--chance", "nan"], 2, "--chance nan: must be a number"),
        ("", [], 3, "a.csv: empty"),
    ],
)  # fmt: skip
def test_what_is_no_range_test_is_said_in_a_line(
    text: str, arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a.csv").write_text(text)
    assert main(["suggest", "a.csv", *arguments]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert says in line
    assert len(line) <= 200


def test_a_column_called_value_may_be_the_loss(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.csv").write_text("seed,value\n" + ROWS)  # and one called seed the learning rate
    assert said(capsys, "a.csv", "--lr", "seed", "--loss", "value")["suggested_lr"] is not None
