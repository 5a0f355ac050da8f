"""Letters that a picture's font lacks: matplotlib warns of each, a reader needs one line a picture."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from hpcli.errors import HpcliWarning

_MISSING_GLYPH = "missing from font"
"""In matplotlib's warnings, one for each letter that it has no picture of."""


@contextmanager
def glyphs_in_a_line(name: str) -> Iterator[None]:
    """While a picture of this name is drawn: characters that the font lacks are one warning, not one each."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yield
    missing = {str(each.message) for each in said if _MISSING_GLYPH in str(each.message)}
    if missing:
        text = f"{name}: the font lacks {len(missing)} of its characters; the names are in the CSV"
        warnings.warn(text, HpcliWarning, stacklevel=2)
    for each in said:
        if str(each.message) not in missing:
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
