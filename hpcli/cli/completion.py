"""What a shell completes: keys, shipped configs, devices. Nothing here imports torch."""

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


def runs(incomplete: str) -> list[str]:
    """Run folders, and folders on the way to them."""
    beginning = Path(incomplete)
    folder = beginning if incomplete[-1:] in ("", "/") else beginning.parent
    below = sorted(each for each in folder.glob("[!.]*/") if each.is_dir())
    names = [f"{each}{'' if (each / 'status.json').is_file() else '/'}" for each in below]
    return _beginning(names, incomplete)


def _beginning(names: list[str], incomplete: str) -> list[str]:
    return [name for name in names if name[: len(incomplete)] == incomplete]
