"""`hpcli verdict`: runs made elsewhere, from the files that other programs export."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcli.analysis.verdict import verdict
from hpcli.cli import main
from hpcli.recording.csv_text import header_of, line_of
from hpcli.results.looks import level_of
from hpcli.results.trials import SweepTrial
from hpcli.states import Judgement, RunStatus

LOSSES = {"0.0001": [0.93, 0.97, 0.90], "0.001": [0.95, 0.98, 0.91], "0.1": [1.12, 1.15, 1.08]}
SAID = (
    "Use 1e-4, the best; it lies at the edge of what was tried: extend the grid. 1e-3 is not the best (+0.013). 0.1 is worse "
    "by 0.18 [0.17, 0.2]."
)
WANDB = [
    {"Name": f"run-{n}", "lr": lr, "seed": str(seed), "_step": "999", "val_loss": str(loss)}
    for n, (lr, seed, loss) in enumerate((lr, s, loss) for lr, own in LOSSES.items() for s, loss in enumerate(own))
]


def write(rows: list[dict[str, str]], name: str = "runs.csv", **kind: Any) -> str:
    with Path(name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), **kind)
        writer.writeheader()
        writer.writerows(rows)
    return name


def judged(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["verdict", *arguments, "--json"]) == 0
    summary: dict[str, Any] = json.loads(capsys.readouterr().out)
    return summary


def words(summary: dict[str, Any]) -> dict[Any, str]:
    return {line["value"]: line["verdict"] for line in summary["ranking"]}


def test_a_wandb_export(capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence, a table of values, and the numbers that `verdict(losses)` gives at a sweep's level."""
    write(WANDB, quoting=csv.QUOTE_ALL)
    assert main(["verdict", "runs.csv", "--value", "lr", "--loss", "val_loss"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    lines = printed.out.splitlines()
    assert lines[0] == SAID
    assert lines[-4].split() == ["value", "runs", "mean", "above", "the", "best", "verdict", "best?"]
    assert lines[-3].split() == ["1e-4", "3", "0.9333", "best"]
    assert lines[-1].split() == ["0.1", "3", "1.117", "+0.18", "[0.17,", "0.2]", "worse", "no"]

    summary = judged(capsys, "runs.csv", "--value", "lr", "--loss", "val_loss")
    expected = verdict(list(LOSSES.values()), level=level_of(1))
    assert [line["low"] for line in summary["ranking"]] == [each.low for each in expected.comparisons]
    assert [line["value"] for line in summary["ranking"]] == [1e-4, 1e-3, 0.1]
    assert (summary["choice"], summary["extend"], summary["paired"], summary["seeds"]) == (1e-4, True, True, 3)
    assert summary["noise_sd"] == expected.noise_sd
    assert summary["file_notes"] == []


def test_no_torch_is_imported() -> None:
    write(WANDB)
    code = (
        "import sys\n"
        "from hpcli.cli import main\n"
        "assert main(['verdict', 'runs.csv', '--value', 'lr', '--loss', 'val_loss']) == 0\n"
        "assert not {'torch', 'torchvision', 'matplotlib'} & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_order_of_rows_and_the_way_numbers_are_written_say_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    write(WANDB)
    first = judged(capsys, "runs.csv", "--value", "lr", "--loss", "val_loss")
    turned = [{**row, "lr": {"0.0001": "1e-04", "0.1": "0,10"}.get(row["lr"], row["lr"])} for row in WANDB[::-1]]
    turned = [{**row, "seed": f"{row['seed']}.0", "val_loss": row["val_loss"].replace(".", ",")} for row in turned]
    write(turned, delimiter=";")
    again = judged(capsys, "runs.csv", "--value", "lr", "--loss", "val_loss")
    assert (again["sentence"], words(again)) == (first["sentence"], words(first))
    assert again["noise_sd"] == pytest.approx(first["noise_sd"])


def test_an_mlflow_export_with_runs_that_failed_or_still_run(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"run_id": row["Name"], "status": "FINISHED", "metrics.loss": row["val_loss"], "params.wd": row["lr"], "params.seed": row["seed"]}
        for row in WANDB
    ]  # fmt: skip
    rows[7] |= {"status": "FAILED"}
    rows += [{**rows[0], "status": "RUNNING", "params.seed": "3", "metrics.loss": "9.0"}]
    write(rows)
    summary = judged(capsys, "runs.csv", "--value", "params.wd", "--loss", "metrics.loss", "--seed", "params.seed")
    assert words(summary) == {1e-4: Judgement.BEST, 1e-3: Judgement.UNDECIDED, 0.1: Judgement.MISSING}
    assert "0.1 misses runs, which failed or were not made." in summary["sentence"]
    assert summary["file_notes"] == ["Rows of runs that have not ended are left out: 1."]


def test_rows_of_steps_are_put_together_to_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """The last row with a loss counts, or the one with the highest step; both are said."""
    rows = [
        {"epoch": str(epoch), "lr": row["lr"], "seed": row["seed"], "val_loss": str(float(row["val_loss"]) + 2 - epoch)}
        for row in WANDB
        for epoch in range(3)
    ]
    rows += [{**row, "epoch": "3", "val_loss": ""} for row in rows[::3]]
    write(rows)
    arguments = ["--value", "lr", "--loss", "val_loss"]
    summary = judged(capsys, "runs.csv", *arguments)
    assert summary["sentence"] == SAID
    told = "36 rows are taken for steps of 9 runs, by lr and seed: of each, "
    assert summary["file_notes"] == [f"{told}the last one in the file that has a loss counts."]
    write(rows[::-1])
    assert judged(capsys, "runs.csv", *arguments)["sentence"] != SAID
    summary = judged(capsys, "runs.csv", *arguments, "--step", "epoch")
    assert summary["sentence"] == SAID
    assert summary["file_notes"] == [f"{told}the one with the highest epoch that has a loss counts."]


def test_values_that_have_different_seeds_are_judged_unpaired(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the order in the file: sorted by loss, pairs would have hardly any noise."""
    random = np.random.default_rng(0)
    losses = {
        "sgd": random.normal(1.0, 0.05, 5),
        "adam": random.normal(1.03, 0.05, 7),
        "lion": random.normal(2, 0.05, 3),
    }
    rows = [
        {"optimizer": name, "run": f"{name}-{n}", "loss": f"{loss:.6f}"}
        for name, own in losses.items()
        for n, loss in enumerate(own)
    ]
    write(rows)
    arguments = ["--value", "optimizer", "--loss", "loss"]
    named = judged(capsys, "runs.csv", *arguments, "--seed", "run")
    expected = verdict([own.round(6) for own in losses.values()], level=level_of(1), paired=False)
    assert words(named) == dict(zip(losses, [each.verdict for each in expected.comparisons], strict=True))
    assert (named["paired"], named["noise_sd"]) == (False, pytest.approx(expected.noise_sd))
    assert named["file_notes"][0].startswith("The values share no seed. Runs are not paired, so what a seed does")

    write(sorted(rows, key=lambda row: row["loss"]))
    sorted_ = judged(capsys, "runs.csv", *arguments)
    assert sorted_["noise_sd"] == pytest.approx(named["noise_sd"])
    assert words(sorted_) == words(named)
    assert sorted_["file_notes"][0].startswith("Runs are not paired")


def test_seeds_that_only_some_values_have_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [*WANDB, {**WANDB[0], "seed": "3", "val_loss": "0.5"}, {**WANDB[0], "seed": "4", "val_loss": "0.5"}]
    write(rows)
    summary = judged(capsys, "runs.csv", "--value", "lr", "--loss", "val_loss")
    assert summary["sentence"] == SAID
    assert summary["file_notes"] == ["Judged over the 3 seeds that all values have, 0, 1, 2; runs left out: 2."]


def test_one_run_of_each_value_cannot_tell(capsys: pytest.CaptureFixture[str]) -> None:
    Path("runs.csv").write_text("value,valid_loss\n0.1,0.9\n0.2,0.8\n0.3,0.85\n")
    summary = judged(capsys, "runs.csv")
    assert words(summary) == {0.2: Judgement.BEST, 0.3: Judgement.CANNOT_TELL, 0.1: Judgement.CANNOT_TELL}
    assert summary["sentence"].endswith("One seed cannot tell values apart: train each value with three seeds or more.")
    assert "--" not in summary["sentence"]


def test_nan_is_missing_and_inf_has_diverged(capsys: pytest.CaptureFixture[str]) -> None:
    Path("runs.csv").write_text(
        "value,seed,valid_loss\na,0,0.9\na,1,0.91\nb,0,inf\nb,1,0.9\nc,0,NaN\nc,1,0.9\nd,0,\nd,1,0.9\n,0,0.1\n"
    )
    summary = judged(capsys, "runs.csv")
    assert words(summary) == {
        "a": Judgement.BEST, "b": Judgement.DIVERGED, "c": Judgement.MISSING, "d": Judgement.MISSING,
    }  # fmt: skip
    assert summary["file_notes"][0] == "Rows without value are left out: 1."
    assert "NaN counts as a missing run" in summary["file_notes"][1]


@pytest.mark.parametrize(
    ("losses", "says"),
    [
        (["inf", "inf"], "No value trained; lower the learning rate."),
        (["nan", "nan"], "No value has all of its runs, so they cannot be compared: train those that failed again."),
        (["2.4", "2.3"], "No value has learnt anything (chance is a loss of 2.3), so they cannot be compared: find a "
                         "learning rate that trains, or train longer."),
    ],
)  # fmt: skip
def test_where_no_value_can_be_used(losses: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("runs.csv").write_text(
        "value,seed,valid_loss\n" + "".join(f"{v},0,{x}\n" for v, x in zip("ab", losses, strict=True))
    )
    summary = judged(capsys, "runs.csv", "--chance", "2.3026")
    assert (summary["sentence"], summary["choice"]) == (says, None)


def test_accuracies_are_judged_by_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    """As fractions and as per cents, with the decimals that were given; other scores have no such share."""
    arguments = ["runs.csv", "--value", "lr", "--loss", "acc", "--higher-is-better"]
    shares = {lr: [round(loss / 10, 3) for loss in own] for lr, own in LOSSES.items()}
    expected = verdict(list(shares.values()), level=level_of(1))
    for whole, chance in ((1, "0.1"), (100, "10")):
        rows = [
            {"lr": lr, "seed": str(seed), "acc": f"{whole * (1 - share):.6g}"}
            for lr, own in shares.items()
            for seed, share in enumerate(own)
        ]
        write(rows)
        summary = judged(capsys, *arguments, "--chance", chance)
        assert list(words(summary).values()) == [each.verdict for each in expected.comparisons]
        assert summary["noise_sd"] == pytest.approx(whole * (expected.noise_sd or 0))
        assert summary["matters"] == pytest.approx(0.01 * whole * np.mean(shares["0.0001"]))
        assert summary["judged"] == f"{whole} − acc"
        assert f"What is judged is {whole} − acc" in summary["file_notes"][0]
        assert summary["choice"] is not None
        assert judged(capsys, *arguments, "--chance", str(0.95 * whole))["choice"] is None
    Path("runs.csv").write_text("lr,seed,acc\n1,0,140\n2,0,210.5\n")
    assert main(["verdict", *arguments]) == 2
    assert "acc goes from 140 to 210.5, no accuracies" in capsys.readouterr().err


def test_what_is_used_today_is_kept_where_it_is_as_good(capsys: pytest.CaptureFixture[str]) -> None:
    Path("runs.csv").write_text("value,seed,valid_loss\n1,0,1.0\n1,1,1.1\n2,0,1.004\n2,1,1.102\n3,0,2\n3,1,2.1\n")
    assert judged(capsys, "runs.csv")["choice"] == 1
    kept = judged(capsys, "runs.csv", "--present", "2.0")
    assert kept["sentence"].startswith(
        "Keep 2, which you have now: the difference from the lowest mean does not matter."
    )
    assert judged(capsys, "runs.csv", "--present", "3")["choice"] == 1
    assert main(["verdict", "runs.csv", "--present", "4"]) == 2
    assert "--present 4: no run has it; choose from 1, 2, 3" in capsys.readouterr().err


def test_looks_share_one_chance_of_a_false_alarm(capsys: pytest.CaptureFixture[str]) -> None:
    write(WANDB)
    arguments = ["runs.csv", "--value", "lr", "--loss", "val_loss"]
    once, again = judged(capsys, *arguments), judged(capsys, *arguments, "--look", "2")
    assert (once["level"], again["level"]) == (level_of(1), level_of(2))
    assert again["resolution"] > once["resolution"]


def test_it_says_of_a_sweep_what_the_sweep_said(capsys: pytest.CaptureFixture[str], _anything_is_learnt: None) -> None:
    fast = ["--set=data.train_fraction=0.1", "--set=data.batch_size=32", "--set=model.name=shallow3", "--device=cpu"]
    arguments = ["sweep-mom", "--values", "0.95-0.85,0.9,0.5", "--seeds", "2", "--epochs", "1", "--out", "a", *fast]
    assert main([*arguments, "--json", "-q"]) == 0
    said = json.loads(capsys.readouterr().out)
    found = judged(capsys, "a/sweep.csv", "--present", "0.95-0.85")
    assert found["sentence"][1:] in said["sentence"]
    for name in ("noise_sd", "resolution", "matters", "seeds_for_matters", "level", "choice", "extend", "parameter"):
        assert found[name] == said[name], name
    assert [line["low"] for line in found["ranking"]] == [line["low"] for line in said["ranking"]]


def test_trials_that_diverged_failed_or_wait(capsys: pytest.CaptureFixture[str]) -> None:
    """In hpcli's own table the status tells, not the loss."""
    kinds = {
        ("1", 0): (RunStatus.FINISHED, 1.0), ("1", 1): (RunStatus.FINISHED, 1.1), ("1", 2): (RunStatus.WAITING, None),
        ("2", 0): (RunStatus.FINISHED, 1.2), ("2", 1): (RunStatus.DIVERGED, 7.0), ("2", 2): (RunStatus.RUNNING, 0.1),
        ("3", 0): (RunStatus.FAILED, None), ("3", 1): (RunStatus.FINISHED, 0.5), ("3", 2): (RunStatus.WAITING, None),
        ("4", 0): (RunStatus.FINISHED, 1.3), ("4", 1): (RunStatus.FINISHED, 1.35), ("4", 2): (RunStatus.WAITING, None),
    }  # fmt: skip
    rows = [
        SweepTrial(f"{value}-{seed}", value, seed, status, loss, None, None, None, "optimizer.eps", None, reused=False)
        for (value, seed), (status, loss) in kinds.items()
    ]
    Path("sweep.csv").write_bytes(header_of(SweepTrial) + b"".join(map(line_of, rows)))
    summary = judged(capsys, "sweep.csv")
    assert words(summary) == {
        1: Judgement.BEST, 4: Judgement.UNDECIDED, 2: Judgement.DIVERGED, 3: Judgement.MISSING,
    }  # fmt: skip
    assert (summary["seeds"], summary["parameter"]) == (2, "optimizer.eps")


def test_losses_that_are_the_same_in_every_digit(capsys: pytest.CaptureFixture[str]) -> None:
    Path("runs.csv").write_text("eps,seed,valid_loss\n1,0,0.5\n1,1,0.6\n2,0,0.5\n2,1,0.6\n")
    summary = judged(capsys, "runs.csv", "--value", "eps")
    assert summary["sentence"] == (
        "All runs of a seed are the same in every digit given: eps does nothing here, 1 is as good as any."
    )


def test_names_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Also those that a terminal's markup would take for its own."""
    Path("[red]x.csv").write_text("value,seed,valid_loss\n[/b],0,1\n[/b],1,1.1\n[red]x,0,2\n[red]x,1,2.1\n")
    assert main(["verdict", "[red]x.csv"]) == 0
    printed = capsys.readouterr().out
    assert "Use [/b], the best. [red]x is worse by 1 [" in printed
    assert "verdict: [red]x.csv" in printed
    assert printed.count("[/b]") == 3


def test_a_file_of_many_rows(capsys: pytest.CaptureFixture[str]) -> None:
    with Path("runs.csv").open("w") as file:
        file.write("step,value,seed,valid_loss\n")
        for step in range(5000):
            file.writelines(f"{step},{v},{s},{v + 0.01 * s + 1 / (step + 1)}\n" for v in (1, 2) for s in range(3))
    summary = judged(capsys, "runs.csv", "--step", "step")
    assert words(summary) == {1: Judgement.BEST, 2: Judgement.WORSE}
    assert summary["ranking"][0]["mean"] == pytest.approx(1.01 + 1 / 5000)


@pytest.mark.parametrize(
    ("text", "arguments", "code", "says"),
    [
        ("Wall time,Step,Value\n1,0,2\n", [], 2, "no column value; name yours by --value, one of Wall time, Step, Value"),
        ("lr,seed,val_loss\n1,0,2\n", ["--value", "LR1"], 2, "--value LR1: runs.csv has no such column; choose from lr, "),
        ("lr,seed,val_loss\n1,0,2\n", ["--value", "lr"], 2, "no column valid_loss; name yours by --loss"),
        ("lr,seed,val_loss\n", ["--value", "lr", "--loss", "val_los"], 2, "did you mean val_loss?"),
        ("lr,seed,val_loss\n", ["--value", "lr", "--loss", "lr"], 2, "--value and --loss: both are lr"),
        ("lr,seed,val_loss\n", ["--value", "lr", "--loss", "val_loss", "--seed", "lr"], 2, "named by another option"),
        ("value,seed,valid_loss\n", [], 3, "no rows with a value, so there is nothing to compare"),
        ("value,seed,valid_loss\n1,0,2\n1,1,3\n", [], 3, "value has one value only, 1, so there is nothing to compare"),
        ("value,seed,valid_loss\n1,0,2\n2,0,good\n", [], 3, "runs.csv:3: valid_loss: 'good' is no number"),
        ("value,seed,valid_loss\n1,0,2\n2,0,3\n", ["--matters", "nan"], 2, "--matters and --chance: must be numbers"),
        ("value,seed,valid_loss\n1,0,2\n2,0,3\n", ["--look", "0"], 2, "--look"),
        ("value,epoch,valid_loss\n1,0,2\n1,1,1\n2,0,3\n2,1,2\n", [], 3,
         "runs.csv:3: rows of value 1 differ in epoch, and may be of one run: name the column that tells runs apart by --seed"),
        ("value,epoch,valid_loss\n1,0,2\n1,0,1\n2,0,3\n", ["--step", "epoch"], 3, "value 1 has epoch 0 twice, so it has several"),
        ("", [], 3, "runs.csv: empty"),
    ],
)  # fmt: skip
def test_what_cannot_be_judged_is_said_in_a_line(
    text: str, arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("runs.csv").write_text(text)
    assert main(["verdict", "runs.csv", *arguments]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert says in line
    assert len(line) <= 200


def test_steps_without_seeds_are_one_run_of_each_value(capsys: pytest.CaptureFixture[str]) -> None:
    Path("runs.csv").write_text("lr,epoch,val_loss\n0.1,0,2\n0.1,1,1.5\n0.2,1,1.4\n0.2,0,2.1\n")
    summary = judged(capsys, "runs.csv", "--value", "lr", "--loss", "val_loss", "--step", "epoch")
    assert [line["mean"] for line in summary["ranking"]] == [1.4, 1.5]
    assert summary["ranking"][1]["verdict"] == Judgement.CANNOT_TELL


def test_unpaired_runs_some_of_which_are_missing(capsys: pytest.CaptureFixture[str]) -> None:
    Path("runs.csv").write_text("lr,val_loss\n1,nan\n1,2\n2,nan\n2,nan\n")
    summary = judged(capsys, "runs.csv", "--value", "lr", "--loss", "val_loss")
    assert (set(words(summary).values()), summary["seeds"]) == ({Judgement.MISSING}, 0)
    assert math.isfinite(summary["level"])


def test_the_pages_example_says_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs/sweeps.md").read_text()
    Path("runs.csv").write_text(page.split("cat > runs.csv <<END\n")[1].split("END\n")[0])
    sentence = judged(capsys, "runs.csv", "--value", "lr", "--loss", "val_loss", "--present", "1e-3")["sentence"]
    assert f"*{sentence}*" in page
