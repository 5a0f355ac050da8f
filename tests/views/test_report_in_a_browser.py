"""A report as a browser shows it: it asks for nothing, says nothing, fits a telephone, can be read in the dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hpcli import Run
from hpcli.plots.colours import WORDS
from hpcli.views.report import report, write_page
from tests.browser import CHROMIUM, Browser
from tests.runs.made import made
from tests.views.test_report import HOSTILE

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
    pytest.mark.filterwarnings("ignore::hpcli.errors.HpcliWarning"),
]
CONTRAST = """
(() => {
  const numbers = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(each => each / 255)
    .map(each => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
    .reduce((sum, each, at) => sum + each * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = each => {
    for (; each; each = each.parentElement) {
      const found = numbers(getComputedStyle(each).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  document.querySelectorAll('details').forEach(each => each.open = true);
  return [...document.querySelectorAll('main *, footer *')].filter(each =>
    [...each.childNodes].some(node => node.nodeType === 3 && node.data.trim())
  ).map(each => {
    const inside = each.closest('svg'), style = getComputedStyle(each);
    const both = [light(numbers(inside ? style.fill : style.color)), light(behind(inside || each))].sort();
    both.sort((a, b) => a - b);
    return [(both[1] + 0.05) / (both[0] + 0.05), each.textContent.slice(0, 40)];
  }).sort((a, b) => a[0] - b[0])[0];
})()
"""
"""The least contrast of any words with what is behind them."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two runs of classes with any names, one of them of a long name."""
    folder = tmp_path_factory.mktemp("pages")
    paths = [
        made(
            folder / f"{'long' * 50}{seed}", [2.0, 1.0 + seed], classes=HOSTILE, seed=seed, schedule__max_lr=0.01 + seed
        )
        for seed in (0, 1)
    ]
    write_page(folder / "page.html", report([Run.open(path) for path in paths]))
    return folder / "page.html"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 1000])
def test_it_fits_and_asks_for_nothing(width: int, dark: bool, browser: Browser, page: Path) -> None:
    browser.open(page, width=width, dark=dark)
    asked = [each["request"]["url"] for each in browser.of("Network.requestWillBeSent")]
    assert [each[:30] for each in asked if each[:5] != "data:"] == [page.as_uri()[:30]]
    assert browser.of("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown") == []
    assert browser.value("document.documentElement.scrollWidth") <= width
    browser.value("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value("document.scripts.length") == 1


@pytest.mark.parametrize("dark", [False, True])
def test_its_words_can_be_read(dark: bool, browser: Browser, page: Path) -> None:
    browser.open(page, dark=dark)
    least, words = browser.value(CONTRAST)
    assert least >= WORDS, words
    ground = browser.value("getComputedStyle(document.documentElement).backgroundColor")
    assert ground == ("rgb(23, 26, 30)" if dark else "rgb(255, 255, 255)")


def test_print_opens_what_is_closed(browser: Browser, page: Path) -> None:
    browser.open(page, media="print", dark=True)
    is_seen = "document.querySelector('details pre').checkVisibility({contentVisibilityAuto: true})"
    assert browser.value(is_seen) is True
    assert browser.value("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.pdf()[:5] == b"%PDF-"
    browser.open(page)
    assert browser.value(is_seen) is False
