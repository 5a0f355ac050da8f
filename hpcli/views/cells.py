"""Texts that fit into a table of the terminal: names of a user's made safe, times and numbers in few letters."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size

from hpcli.results.facts import Facts, readable
from hpcli.runs.differing import value_text

NAMES = {
    "valid_loss": "loss",
    "trained_loss": "loss",
    "suggested_lr": "lr",
    "connection": "",
    "split": "",
    "refusal": "none:",
    "images_per_second": "images/s",
    "optimizer.weight_decay": "wd",
    "schedule.momentum": "mom",
}
"""What facts are called in a table; by nothing, where their value says what it is."""
_LOW, _HIGH = "suggested_lr_low", "suggested_lr_high"


def one_line(text: object) -> str:
    """A text in which nothing moves the cursor, breaks the line or changes the direction: each such letter is named."""
    shown = str(text)
    return shown if shown.isprintable() else "".join(e if e.isprintable() else repr(e)[1:-1] for e in shown)


def clipped(text: object, most: int) -> str:
    """A text in one line of at most so many cells of a terminal, its middle left out."""
    shown = one_line(text)
    if cell_len(shown) <= most:
        return shown
    head = most // 2
    tail, room = "", most - head - 1
    for letter in reversed(shown):
        if cell_len(letter + tail) > room:
            break
        tail = letter + tail
    return f"{set_cell_size(shown, head).rstrip()}…{tail}"


def facts_text(facts: Facts) -> str:
    """The main facts of a run in a line: `loss 0.124, 96.1%`."""
    low, high = facts.get(_LOW), facts.get(_HIGH)
    parts = []
    for name, value in facts.items():
        if name in (_LOW, _HIGH):
            continue
        text = readable(name, value) if isinstance(value, float) else value_text(name, value)
        word = NAMES.get(name, name.rpartition(".")[2] if "." in name else name.replace("_", " "))
        is_share = name.endswith("accuracy")
        parts.append(text if is_share or not word else f"{word} {text.replace('_', ' ') if word == 'none:' else text}")
    if isinstance(low, float) and isinstance(high, float):
        parts.append(f"{low:.2g} to {high:.2g}")
    return ", ".join(parts)


def share(value: object, decimals: int = 1) -> str:
    """A fraction in per cent; empty: there is none."""
    return f"{value:.{decimals}%}" if isinstance(value, float) else ""
