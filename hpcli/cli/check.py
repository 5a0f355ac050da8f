"""`hpcli check`."""

from __future__ import annotations

from hpcli.cli.options import AllowCode, Assignments, ConfigFile, Device, Json, assigned


def check(
    config: ConfigFile = None,
    assignments: Assignments = None,
    device: Device = "auto",
    as_json: Json = False,
    allow_code: AllowCode = False,
) -> int:
    """Before you train: can data, network and learning rate work at all? Seconds; a line each, with its remedy."""
    from hpcli.cli.terminal import Terminal, show_warnings
    from hpcli.config import load_config
    from hpcli.config.code import check_code
    from hpcli.errors import CHECK_FAILED
    from hpcli.states import CheckStatus

    show_warnings()
    terminal, described = Terminal(as_json=as_json), load_config(config, assigned(assignments))
    check_code(described, allowed=allow_code)
    from hpcli.data.dataset import load_splits
    from hpcli.experiments.check import check as experiment

    with terminal.decoding() as on_decode:
        splits = load_splits(described, on_decode=on_decode)
    found = experiment(described, device=device, splits=splits)
    terminal.checks(found)
    return CHECK_FAILED if found.status == CheckStatus.BAD else 0
