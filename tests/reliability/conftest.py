"""What the tests of reliability start from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reliability.harness import NET, SMALL, command, eager


@pytest.fixture(scope="session")
def ends(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs to start from, and to interpolate between."""
    folder = tmp_path_factory.mktemp("ends")
    with eager():
        for seed in ("0", "1"):
            assert command(["train", *SMALL, *NET, "--epochs", "2", "--seed", seed, "--out", str(folder / seed)]) == 0
    return [folder / "0", folder / "1"]
