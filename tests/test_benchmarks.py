"""The benchmarks are made of what hpcli has today, and spend no more than they say."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize("script", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_what_a_benchmark_takes_from_hpcli_is_there(script: Path) -> None:
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "hpcli":
            module = importlib.import_module(node.module)
            for each in node.names:
                if not hasattr(module, each.name):
                    importlib.import_module(f"{node.module}.{each.name}")


@pytest.fixture
def methods() -> Iterator[ModuleType]:
    before = list(sys.path)
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module("tune_methods")
    sys.path[:] = before


def test_a_method_spends_no_more_than_its_runs(methods: ModuleType) -> None:
    task = importlib.import_module("tune_tasks").task_of("cifar-shallow-adamw")
    for name, method in methods.METHODS.items():
        if name.startswith("Optuna"):
            continue
        world = methods.World(task, 0)
        chosen = method(world, 12, np.random.default_rng(0))
        assert 0 < world.spent <= 12, name
        assert 0 <= task.regret(chosen.point) < 3, name
