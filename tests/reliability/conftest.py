"""What the tests of reliability start from."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcli.cli import main
from tests.reliability.harness import NET, SMALL, eager


@pytest.fixture(scope="session")
def ends(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs to start from, and to interpolate between. Made in this process: its children have all imported then."""
    folder = tmp_path_factory.mktemp("ends")
    with eager():
        for seed in ("0", "1"):
            assert main(["train", *SMALL, *NET, "--epochs", "2", "--seed", seed, "--out", str(folder / seed)]) == 0
    return [folder / "0", folder / "1"]
