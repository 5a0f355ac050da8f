"""Every block of the README and of the other pages runs as written; those of the tutorial: tests/test_tutorial.py."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

from hpcli.commands import COMMANDS
from hpcli.config import Momentum, load_config
from hpcli.config.keys import fields
from hpcli.config.varying import written
from tests.commands import Commands

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [
    README,
    ROOT / "CONTRIBUTING.md",
    ROOT / "ARCHITECTURE.md",
    ROOT / "SECURITY.md",
    *sorted(ROOT.glob("docs/*.md")),
]
BLOCKS = [
    pytest.param(kind, text, id=f"{page.stem}-{kind}-{number}")
    for page in PAGES
    if page.stem != "tutorial"
    for number, (kind, text) in enumerate(
        re.findall(r"^```(bash|yaml|python)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    )
]
INSTALL = re.compile(r"^pip install -e (\.|'\.\[dev\]')( && |\n)|^pre-commit install\n", re.MULTILINE)
RECIPE = re.compile(r"^(hpcli (?!init).* -c digits\.yaml.*)$", re.MULTILINE)


def of_kind(kind: str) -> list[object]:
    return [each for each in BLOCKS if each.values[0] == kind]


def test_the_readme_is_short_and_installs_in_a_line() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= 200
    assert text.count("pip install -e . && hpcli lr-find\n") == 1
    assert text.count("pip install -e '.[dev]' && pytest\n") == 1


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with Commands(tmp_path_factory.mktemp("commands")) as commands:
        yield commands


@pytest.mark.parametrize(("kind", "block"), of_kind("bash"))
def test_commands(kind: str, block: str, tmp_path: Path, commands: Commands) -> None:
    """What follows the installation; of the tests, that there is a pytest (it is running them); of the recipe, the plans."""
    script = INSTALL.sub("", block).replace("pytest", f"{sys.executable} -m pytest --version")
    if "sweep-mom" in block:
        script = RECIPE.sub(r"\1 --dry-run", script)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=commands.environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_installed_command_is_there(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "hpcli"), "train", "--dry-run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "train would run" in done.stdout


@pytest.mark.parametrize(("kind", "block"), of_kind("yaml"))
def test_configs(kind: str, block: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(block)
    assert load_config(tmp_path / "c.yaml").train.checkpoint_epochs == (4,)


@pytest.mark.parametrize(("kind", "block"), of_kind("python"))
def test_code(kind: str, block: str, tmp_path: Path, commands: Commands) -> None:
    environment = commands.environment | {"TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    (tmp_path / "here").mkdir()
    done = subprocess.run(
        [str(commands.folder / "python"), "-c", block], cwd=tmp_path / "here", capture_output=True, text=True,
        check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "here").iterdir()) == []


def test_every_command_is_documented() -> None:
    text = README.read_text()
    every = (
        *COMMANDS,
        "check",
        "predict",
        "runs",
        "compare",
        "report",
        "plot",
        "export",
        "verdict",
        "suggest",
        "init",
        "keys",
    )
    assert not [name for name in every if f"`hpcli {name}" not in text], "README.md misses them"


def test_every_key_is_in_the_list_of_keys() -> None:
    text = (ROOT / "docs/configs.md").read_text()
    for key, field in fields():
        plain = field.default
        shown = written(plain) if isinstance(plain, Momentum | str | float | int) else json.dumps(plain)
        about = " ".join((field.description or "").split()).replace("|", "\\|")
        assert f"| `{key}` | `{shown}` | {about} |\n" in text


def test_the_pages_name_files_that_are_there() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), (page.name, target)
    for name in re.findall(r"`((?:\w+/)+\w+\.py)`", (ROOT / "ARCHITECTURE.md").read_text()):
        assert (ROOT / "hpcli" / name).exists(), name


def test_the_tables_of_a_run_folder_are_documented() -> None:
    """Every table that is declared in hpcli/results, by its file's name."""
    text = (ROOT / "docs/run-folders.md").read_text()
    tables = re.findall(r'table="(\w+)"', "".join(path.read_text() for path in (ROOT / "hpcli/results").glob("*.py")))
    assert tables
    assert not [table for table in tables if f"{table}.csv" not in text], "docs/run-folders.md misses them"


def test_the_table_of_finders_is_the_benchmarks() -> None:
    results = (ROOT / "benchmarks/results/lr_find_peers.csv").read_text().splitlines()[1:]
    for row in csv.DictReader(results):
        lines = (ROOT / "docs/lr-find.md").read_text().splitlines()
        (line,) = [line for line in lines if line.startswith(f"| {row['finder']}") and line.count("|") == 7]
        suggestion, spread, steps, seconds, loss = [cell.strip() for cell in line.split("|")[2:7]]
        assert suggestion == f"{float(row['median_lr']):.2g}"
        assert [spread, steps, seconds] == [f"{float(row[name]):.1f}" for name in ("spread", "steps", "seconds")]
        assert loss == f"{float(row['valid_loss']):.3f} ± {float(row['valid_loss_sd']):.3f}"


def test_the_table_of_stability_is_the_benchmarks() -> None:
    lines = (ROOT / "docs/lr-find.md").read_text().splitlines()
    cells = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in lines if "|" in line
    }
    found: dict[str, list[str]] = {"suggestion": [], "break": [], "steps": []}
    for data, optimizer in (("digits", "adamw"), ("digits", "sgd"), ("images", "adamw"), ("images", "sgd")):
        file = ROOT / f"benchmarks/results/lr_find_stability_{data}.csv"
        rows = [row for row in csv.DictReader(file.read_text().splitlines()[1:]) if row["optimizer"] == optimizer]
        few, many = ([row for row in rows if row["steps"] == steps] for steps in ("210", "630"))
        rates, breaks = ([float(row[name]) for row in few] for name in ("suggested_lr", "blow_up_lr"))
        found["suggestion"].append(f"{max(rates) / min(rates):.1f}")
        found["break"].append(f"{max(breaks) / min(breaks):.1f}")
        moved = median(rates) / median(float(row["suggested_lr"]) for row in many)
        found["steps"].append(f"{moved:.1f}")
    assert cells["largest over smallest suggestion, five seeds"] == found["suggestion"]
    assert cells["largest over smallest break"] == found["break"]
    assert cells["three times the steps move the median by"] == found["steps"]


def test_the_table_of_batch_sizes_is_the_benchmarks() -> None:
    lines = (ROOT / "benchmarks/results/batch_sizes.csv").read_text().splitlines()[1:]
    rows = list(csv.DictReader(lines))
    text = (ROOT / "docs/sweeps.md").read_text()
    for rule in ("the same", "square root", "in proportion"):
        own = [row for row in rows if row["rule"] == rule and row["batch_size"] != "64"]
        more = [f"{100 * (float(row['over_the_lowest']) - 1):.0f} %" for row in own]
        assert f"| {rule} | {' | '.join(more)} |" in text


def test_the_table_of_a_gpu_is_the_benchmarks() -> None:
    seconds = {row["what"]: row["seconds"] for row in of_a_gpu("gpu")}
    text = (ROOT / "docs/data-and-networks.md").read_text()
    for name, precision in (("`train.precision: auto` (bf16)", "auto"), ("`tf32`", "tf32"), ("`fp32`", "fp32")):
        cells = [seconds[f"epoch, {precision}, {way}"] for way in ("kernel by kernel", "CUDA graph")]
        assert f"| {name} | {' | '.join(cells)} |" in text
    assert f"cost nothing more: {seconds['epoch, auto, images on the host']} s." in text
    kernels = {row["what"]: float(row["milliseconds"]) for row in of_a_gpu("gpu_kernels")}
    said = [f"{kernels[name]:.1f}" for name in ("a replay", "its kernels", "a replay, compiled")]
    assert f"Of a step's {said[0]} ms the GPU computes for {said[1]}" in text
    text = " ".join(text.split())
    assert f"the replay of that graph takes {said[2]} ms instead of {said[0]}" in text
    plain, compiled = (seconds[f"the notebook's epoch, CUDA graph{more}"] for more in ("", ", compiled"))
    assert f"at its end {compiled} s instead of {plain}," in text
    sweep, four = seconds["sweep, 4 trials of an epoch"], seconds["four trainings of an epoch"]
    assert f"{seconds['lr-find, 100 steps']} s; four trials of an epoch {sweep} s as a sweep, {four} s as" in text
    assert f"and a sweep, takes {of_a_gpu('notebook')[-1]['seconds']} s" in text
    took = [f"{row['seconds']} s" for row in of_a_gpu("gpu_at_once")]
    sweeps = " ".join((ROOT / "docs/sweeps.md").read_text().split())
    assert f"took {took[0]} one after the other on an H100, {took[1]} two at a time and {took[2]} all at once" in sweeps


def of_a_gpu(name: str) -> list[dict[str, str]]:
    """The rows of a benchmark on the H100."""
    lines = (ROOT / f"benchmarks/results/{name}_NVIDIA_H100_80GB_HBM3.csv").read_text().splitlines()[1:]
    return list(csv.DictReader(lines))


def test_the_tables_of_data_cost_are_the_benchmarks() -> None:
    lines = (ROOT / "benchmarks/results/loader.csv").read_text().splitlines()[1:]
    shares = {
        (row["model"], row["what"], row["way"]): f"{float(row['of_first']):.0%}".replace("%", " %")
        for row in csv.DictReader(lines)
    }
    names = {"DataLoader": "PyTorch's DataLoader and Pillow", "fastai": "fastai 2.8, that loader"}
    names |= {"Lightning": "Lightning 2.6, that loader"}
    ways = {f"{way}, {n} workers": f"{name}, {n} workers" for way, name in names.items() for n in (0, 2)}
    ways |= {"hpcli": "hpcli", "DataLoader, in memory": "PyTorch's DataLoader, images decoded in memory"}
    finders = [f"{name}, {n} workers" for name in ("fastai", "pytorch-lr-finder") for n in (0, 2)]
    told = [*(("train", way, name) for way, name in ways.items()), *(("range test", each, each) for each in finders)]
    assert len(told) + 2 == len(shares) / 2  # raw, and of the range test hpcli, are what the others are shares of
    text = (ROOT / "docs/data-and-networks.md").read_text()
    for what, way, name in told:
        assert f"| {name} | {shares['resnet20', what, way]} | {shares['tiny', what, way]} |" in text


def test_the_speed_of_interpolation_is_the_benchmarks() -> None:
    lines = (ROOT / "benchmarks/results/interpolation.csv").read_text().splitlines()[1:]
    found = {(row["bn"], row["way"]): float(row["hpcli_times_as_fast"]) for row in csv.DictReader(lines)}
    for mode, name in (("interpolate", "averaged"), ("recompute", "measured anew")):
        others = [f"{found[mode, way]:.2f} ×" for way in ("limit", "plain", "plain 512")]
        assert f"| {name} | 1 | {' | '.join(others)} |" in (ROOT / "docs/interpolate.md").read_text()


def test_the_tables_of_tune_are_the_benchmarks() -> None:
    rows, tasks = (
        list(csv.DictReader((ROOT / f"benchmarks/results/{name}.csv").read_text().splitlines()[1:]))
        for name in ("tune", "tune_tasks")
    )
    text = (ROOT / "docs/tune.md").read_text()
    assert f"| | {' | '.join(task['task'] for task in tasks)} |" in text
    found = {(row["task"], row["runs"], row["method"]): row for row in rows}
    for runs in ("24", "48"):
        _, _, table = text.partition(f"\n{runs} runs:\n")
        for method in dict.fromkeys(row["method"] for row in rows):
            own = [found[task["task"], runs, method] for task in tasks]
            pairs = [(row["regret"], row["standard_error"]) for row in own]
            cells = [f"{float(value):.{1 + (float(value) < 3)}f} ± {float(error):.{1 + (float(value) < 3)}f}"
                     for value, error in pairs]  # fmt: skip
            assert f"| {method} | {' | '.join(cells)} |" in table.split("\n\n")[0], (runs, method)
    ours = [found[task["task"], "24", "hpcli tune"] for task in tasks]
    for name, cells in {
        "the present config's loss above the lowest": [f"{float(task['present_regret']):.1f} %" for task in tasks],
        "noise of one run at the best": [f"{float(task['noise']):.1f} %" for task in tasks],
        "ends more than 1 % worse than it began": [f"{100 * float(row['worse']):.0f} %" for row in ours],
        "the stated interval holds the true gain": [f"{100 * float(row['coverage']):.0f} %" for row in ours],
        "half its width, median": [f"{float(row['half_width']):.1f} %" for row in ours],
    }.items():
        assert f"| {name} | {' | '.join(cells)} |" in text
    for task in tasks:
        assert len((ROOT / f"benchmarks/tables/{task['task']}.csv").read_text().splitlines()) == int(task["runs"]) + 2
    assert max(float(row["most_spent"]) - float(row["runs"]) for row in rows) <= 0


def test_the_pages_have_pictures() -> None:
    assert len(re.findall(r"!\[.*?\]\((.*?)\)", "".join(page.read_text() for page in PAGES))) >= 6
