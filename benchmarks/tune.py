#!/usr/bin/env python3
"""`tune` against other searches at equal training steps, simulated on tables of real runs.

    pip install optuna && python benchmarks/tune.py --runs 24 48 --reps 300

The tables are in benchmarks/tables/, what is made of them in tune_tasks.py, the methods in tune_methods.py. A repetition
has fresh seeds, the same for all methods; `tune`'s rules were chosen on the first of them, and it is measured on others
(`--first 2000`). Regret: by how much the mean loss of the setting that a method ends with is
above the lowest, in per cent. `worse`: share of repetitions that end more than 1 % worse than the present config.
`coverage`, `half_width`: of the gain that `tune` states, against what its candidate gains on the surface. Results go to
benchmarks/results/tune.csv: measured again are only the combinations that are asked for. `--plot` draws them.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import math
import zlib
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from tune_methods import METHODS, Chosen
from tune_tasks import TASKS, Task, World, task_of

from hpcli.plots.style import BLUE, GREY, INK, ORANGE, RED, legend_below, styled

ROOT = Path(__file__).parent
RESULTS, ABOUT = ROOT / "results/tune.csv", ROOT / "results/tune_tasks.csv"
PICTURE = ROOT.parent / "docs/pictures/tune_benchmark.png"
Row = dict[str, str]
LOOKS = {
    "hpcli tune": (BLUE, "o-"),
    "with a range test": (BLUE, "o:"),
    "random": (GREY, "s-"),
    "random, race of 4": (GREY, "s:"),
    "grid": (GREY, "^--"),
    "one at a time": ("#3a1a6b", "D-"),
    "pattern search": ("#17899b", "D--"),
    "Optuna TPE": (ORANGE, "v-"),
    "Optuna GPSampler": (RED, "v--"),
}

LABELS = {"with a range test": "hpcli tune with a range test"}


def measured(task: Task, method: str, runs: int, reps: int, first: int) -> Row:
    """A row of the results."""
    found: list[Chosen] = []
    spent = []
    for rep in range(first, first + reps):
        world = World(task, rep)
        seed = [rep, runs, zlib.crc32(task.name.encode())]
        found.append(METHODS[method](world, runs, np.random.default_rng(seed)))
        spent.append(world.spent)
    regrets = 100 * np.array([task.regret(each.point) for each in found])
    present = float(task.mean(task.present[None])[0])
    worse = [float(task.mean(each.point[None])[0]) > present + math.log(1.01) for each in found]
    row = {
        "task": task.name, "runs": str(runs), "method": method, "regret": f"{regrets.mean():.3f}",
        "standard_error": f"{regrets.std(ddof=1) / math.sqrt(reps):.3f}", "median": f"{np.median(regrets):.3f}",
        "quantile_90": f"{np.quantile(regrets, 0.9):.3f}", "worse": f"{np.mean(worse):.3f}",
        "coverage": "", "half_width": "", "repetitions": str(reps), "first": str(first), "most_spent": f"{max(spent):.1f}",
    }  # fmt: skip
    return row | stated(task, found, present)


def stated(task: Task, found: Sequence[Chosen], present: float) -> Row:
    """Whether the intervals that are stated hold."""
    hits, halves = [], []
    for each in found:
        gain = each.gain
        if gain is None or gain.low is None or gain.high is None or each.candidate is None:
            continue
        true = present - float(task.mean(each.candidate[None])[0])
        hits.append(gain.low <= true <= gain.high)
        halves.append(50 * (gain.high - gain.low))
    if not hits:
        return {}
    return {"coverage": f"{np.mean(hits):.3f}", "half_width": f"{np.median(halves):.2f}"}


def about(task: Task) -> Row:
    """A row of what the task is like."""
    noise = float(task.spread(task.best[None])[0])
    return {
        "task": task.name, "runs": str(int(np.isfinite(task.losses).sum())), "steps": str(task.steps),
        "lowest_loss": f"{math.exp(task.lowest):.3f}", "present_regret": f"{100 * task.regret(task.present):.1f}",
        "noise": f"{100 * noise:.1f}", "common_to_a_seed": f"{task.common:.2f}", "explained": f"{task.explained:.2f}",
    }  # fmt: skip


def read(path: Path) -> list[Row]:
    """Rows of a table whose first line says when it was measured; none where there is no table."""
    return list(csv.DictReader(path.read_text().splitlines()[1:])) if path.exists() else []


def write(path: Path, rows: Sequence[Row], said: str) -> None:
    """Rows in place of those that were there."""
    with path.open("w", newline="") as file:
        file.write(f"# {datetime.date.today()}, {said}\n")
        out = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        out.writeheader()
        out.writerows(rows)


@styled
def drawn(rows: Sequence[Row], tasks: Sequence[Row]) -> Figure:
    """Regret against runs, a panel for each task; a band reaches two standard errors up and down."""
    figure, panels = plt.subplots(2, 3, figsize=(10.5, 6.2), sharex=True)
    for axes, task in zip(panels.flat, tasks, strict=True):
        for method, (colour, look) in LOOKS.items():
            own = sorted((row for row in rows if (row["task"], row["method"]) == (task["task"], method)), key=_runs)
            if not own:
                continue
            runs, regret, error = (
                np.array([float(row[key]) for row in own]) for key in ("runs", "regret", "standard_error")
            )
            is_ours = method == "hpcli tune"
            axes.plot(
                runs, regret, look, color=colour, label=LABELS.get(method, method), markersize=4, lw=2.6 if is_ours else 1.3,
                zorder=4 if is_ours else 3,
            )  # fmt: skip
            low = np.maximum(regret - 2 * error, regret / 3)
            axes.fill_between(runs, low, regret + 2 * error, color=colour, alpha=0.15, lw=0)
        axes.axhline(float(task["present_regret"]), color=INK, ls=":", lw=1.2, label="the present config")
        axes.set(title=task["task"], xscale="log", yscale="log")
        axes.set_xticks([12, 24, 48, 96], ["12", "24", "48", "96"])
        axes.xaxis.set_minor_locator(NullLocator())
        for formatter in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            formatter(FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "125" else ""))
        axes.tick_params(axis="y", which="minor", labelsize=8)
    for axes in panels[:, 0]:
        axes.set_ylabel("loss above the lowest, %")
    for axes in panels[1]:
        axes.set_xlabel("short runs in all")
    legend_below(figure)
    return figure


def _runs(row: Row) -> int:
    return int(row["runs"])


def main() -> None:
    """Simulate, a row for each combination."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--runs", nargs="+", type=int, choices=(12, 24, 48, 96), default=[24])
    parser.add_argument("--reps", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="number of the first repetition")
    parser.add_argument("--plot", action="store_true", help="draw what was measured, and simulate nothing")
    given = parser.parse_args()
    if given.plot:
        drawn(read(RESULTS), read(ABOUT)).savefig(PICTURE)
        return
    tasks = {name: task_of(name) for name in given.tasks}
    if len(tasks) == len(TASKS):
        write(ABOUT, [about(task) for task in tasks.values()], "what the tables of tune.csv are like")
    wanted = [(name, runs, method) for method in given.methods for runs in given.runs for name in given.tasks]
    order = [(name, str(runs), method) for name in TASKS for runs in (12, 24, 48, 96) for method in METHODS]
    for name, runs, method in wanted:
        own = measured(tasks[name], method, runs, given.reps, given.first)
        print(name, runs, method, own["regret"], "±", own["standard_error"], flush=True)
        known = {(row["task"], row["runs"], row["method"]): row for row in [*read(RESULTS), own]}
        write(RESULTS, [known[each] for each in order if each in known], "simulated on benchmarks/tables; any machine")


if __name__ == "__main__":
    main()
