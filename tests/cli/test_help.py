"""What help and shells say of a command is what it takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpcli.cli import main
from hpcli.commands import COMMANDS
from hpcli.config import load_config
from hpcli.config.grids import HELP, grid
from hpcli.config.momentum import Momentum
from hpcli.config.varying import written
from tests.runs.made import made


def helped(capsys: pytest.CaptureFixture[str], command: str) -> str:
    """The help of a command, in one line."""
    assert main([command, "--help"]) == 0
    return " ".join(capsys.readouterr().out.replace("│", " ").split())


def completed(words: str) -> list[str]:
    """What bash would offer for the last word; in a process that must not import torch."""
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: sys.stderr.write('HEAVY') if 'torch' in sys.modules else None)\n"
        "sys.argv = ['hpcli']\n"
        "from hpcli.cli import main\n"
        "sys.exit(main())\n"
    )
    environment = {"_HPCLI_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ | environment
    )
    assert "HEAVY" not in done.stderr
    return done.stdout.split()


def test_a_named_sweep_takes_no_key_and_shows_what_it_tries(capsys: pytest.CaptureFixture[str]) -> None:
    for command, key in (("sweep-wd", "optimizer.weight_decay"), ("sweep-mom", "schedule.momentum")):
        text = helped(capsys, command)
        assert f"Usage: hpcli {command} [OPTIONS] Compare" in text
        assert f"Its values. Default: {HELP[key]}." in text
    assert "[OPTIONS] [KEY]..." in helped(capsys, "sweep")


@pytest.mark.parametrize(
    ("overrides", "decays", "momenta"),
    [
        ({}, "0,0.01,0.1,1", "0.95-0.85,0.85,0.9,0.95,0.99"),
        ({"optimizer.name": "sgd"}, "0,1e-4,1e-3,0.01", "0.95-0.85,0.85,0.9,0.95,0.99"),
        ({"optimizer.decay": "coupled"}, "0,1e-5,1e-4,1e-3,0.01", "0.95-0.85,0.85,0.9,0.95,0.99"),
        (
            {"optimizer.weight_decay": 5e-4, "schedule.name": "constant", "schedule.momentum": Momentum(0.8, 0.8)},
            "0,0.01,0.1,1,5e-4",
            "0.85,0.9,0.95,0.99,0.8",
        ),
    ],
)
def test_what_is_tried_goes_with_the_optimizer_and_the_schedule(
    overrides: dict[str, object], decays: str, momenta: str
) -> None:
    config = load_config(overrides=overrides)
    assert ",".join(map(written, grid(config, "optimizer.weight_decay"))) == decays
    assert ",".join(map(written, grid(config, "schedule.momentum"))) == momenta


def test_named_sweeps_run_without_values(capsys: pytest.CaptureFixture[str]) -> None:
    for command, values in (
        ("sweep-wd", ["0", "0.01", "0.1", "1"]),
        ("sweep-mom", ["0.95-0.85", "0.85", "0.9", "0.95", "0.99"]),
    ):
        assert main([command, "--dry-run", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["values"] == values


def test_examples_are_of_their_option(capsys: pytest.CaptureFixture[str]) -> None:
    text = helped(capsys, "lr-find")
    assert "--weight-decay LIST One value, or several to overlay: 1e-4,1e-2." in text
    assert "--momentum LIST One value, or several to overlay: 0.9,0.95." in text


def test_defaults_are_the_configs(capsys: pytest.CaptureFixture[str]) -> None:
    text = helped(capsys, "train")
    for default in ("15", "0.01", "0.95-0.85"):
        assert f"Default: {default}." in text
    assert "Default: --no-valid." in helped(capsys, "lr-find")
    assert "Default: --scale-lr." in helped(capsys, "sweep")


def test_all_experiments_take_what_the_readme_says(capsys: pytest.CaptureFixture[str]) -> None:
    shared = (
        "--config -c",
        "--set",
        "--out",
        "--seed",
        "--device",
        "--json",
        "--verbose -v",
        "--quiet -q",
        "--dry-run",
    )
    for command in COMMANDS:
        text = helped(capsys, command)
        assert [option for option in shared if option not in text] == [], command


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("hpcli train --set train.ep", ["train.epochs="]),
        (
            "hpcli train --set train.c",
            ["train.checkpoint_epochs=", "train.clip_norm=", "train.compile=", "train.cuda_graph=", "train.cutmix="],
        ),
        ("hpcli sweep optimizer.e", ["optimizer.eps"]),
        ("hpcli init fi", ["finetune-resnet18"]),
        ("hpcli evaluate --device c", ["cpu"]),
        ("hpcli sweep-", ["sweep-mom", "sweep-wd"]),
        ("hpcli runs --sort du", ["duration"]),
        ("hpcli runs --sort optimizer.e", ["optimizer.eps"]),
        ("hpcli compare made/on", ["made/one"]),
        ("hpcli compare ma", ["made/"]),
    ],
)
def test_shells_complete(words: str, offered: list[str]) -> None:
    made(Path("made/one"), [0.5])
    found = [each for each in completed(words) if not each.startswith("cuda")]
    assert sorted(found) == sorted(offered)
