"""What a shell completes: keys, shipped configs, devices, run folders. Nothing here imports torch."""

from __future__ import annotations

from pathlib import Path


def keys(incomplete: str) -> list[str]:
    """The config's keys that begin so."""
    from hpcli.config.keys import described

    return _beginning([each.key for each in described()], incomplete)


def assignments(incomplete: str) -> list[str]:
    """`KEY=` for the keys that begin so; what follows the equals sign is the user's."""
    return [] if "=" in incomplete else [f"{key}=" for key in keys(incomplete)]


def shipped(incomplete: str) -> list[str]:
    """The configs that come with hpcli."""
    from hpcli.config import shipped_configs

    return _beginning(list(shipped_configs()), incomplete)


def devices(incomplete: str) -> list[str]:
    """auto, cpu, and the GPUs whose files the driver has made."""
    numbers = sorted(int(each.name[len("nvidia") :]) for each in Path("/dev").glob("nvidia[0-9]*"))
    return _beginning(["auto", "cpu", *(f"cuda:{number}" for number in numbers)], incomplete)


def orders(incomplete: str) -> list[str]:
    """What a list of runs is put in order by."""
    from hpcli.runs.listing import Order

    return _beginning([*Order, *keys(incomplete)], incomplete)


def run_folders(incomplete: str) -> list[str]:
    """Run folders, and folders on the way to some, that begin so."""
    from hpcli.runs.glance import is_run

    head, slash, tail = incomplete.rpartition("/")
    hidden = tail[:1] == "."
    try:
        inner = sorted(each for each in Path(head or slash or ".").iterdir() if each.is_dir())
    except OSError:
        return []
    shown = {each.name: each for each in inner if hidden or each.name[:1] != "."}
    return [f"{head}{slash}{name}{'' if is_run(shown[name]) else '/'}" for name in _beginning(list(shown), tail)]


def _beginning(names: list[str], incomplete: str) -> list[str]:
    return [name for name in names if name[: len(incomplete)] == incomplete]
