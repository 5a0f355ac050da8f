"""A report is one page that holds all, escapes what a user named, and is the same bytes each time."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from hpcli import Run
from hpcli.analysis.noise import spread_of_runs
from hpcli.catalog import ABOUT, DATASETS, MODELS
from hpcli.cli import main
from hpcli.plots.colours import DARK_PAPER, PAPER, WORDS, contrast, in_dark
from hpcli.results.facts import time_text
from hpcli.results.sweep import SweepResult
from hpcli.runs.page import page_runs
from hpcli.states import RunStatus
from hpcli.views.report import MOST_IN_FULL, report, write_page
from hpcli.views.report_cells import Table
from hpcli.views.report_pictures import colour_rules, pictures
from hpcli.views.report_verdict import undecided
from tests.runs.made import CLASSES, made

pytestmark = pytest.mark.filterwarnings("ignore::hpcli.errors.HpcliWarning")

HOSTILE = (
    "<script>alert(1)</script>",
    '"onload="x',
    "</script><b>",
    "<!--",
    "\x1b[31mred",
    "漢字",
    "🙂",
    "x" * 300,
    "{{ 7 * 7 }}",
    "a\u202eb",
)
VOID = ("meta", "link", "img", "source")
SMALL = ["--set=data.train_fraction=0.2", "--set=data.batch_size=32", "--set=model.name=shallow3", "--device=cpu", "-q"]


class Page(HTMLParser):
    """The elements of a page, and its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["script"], ["style"]):
            self.words.append(data)

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for each, attributes in self.elements if each == tag]


def page_of(*paths: Path) -> str:
    return report([Run.open(path) for path in paths])


def test_the_answer_comes_first_and_all_that_made_it_last(tmp_path: Path) -> None:
    path = made(tmp_path / "mine", [2.0, 1.0])
    page = page_of(path)
    sentence = str(Run.open(path).result.summary()["sentence"])
    order = [
        "<h1>",
        sentence,
        "Next: ",
        "After the last epoch",
        "<svg",
        "What ran",
        "Epoch by epoch",
        "The config, in full",
    ]
    places = [page.index(each) for each in order]
    assert places == sorted(places)
    assert "<title>Training run: mine</title>" in page
    assert f"hpcli evaluate {path}" in page
    assert Page(page).open == []


def test_names_of_a_user_are_words_and_nothing_else(tmp_path: Path) -> None:
    path = made(tmp_path / '<img src=x onerror="y">', [2.0, 1.0], classes=HOSTILE)
    found = Page(page_of(path))
    assert [each["type"] for each in found.of("script")] == ["application/json"]
    assert not any(name[:2] == "on" for _, attributes in found.elements for name in attributes)
    assert {tag for tag, _ in found.elements} & {"b", "iframe", "object", "form"} == set()
    assert all(each["src"][:11] == "data:image/" for each in found.of("img"))
    words = "".join(found.words)
    assert '<img src=x onerror="y">' in words
    assert "\x1b" not in words
    assert "\u202e" not in words


def test_a_page_asks_for_nothing(tmp_path: Path) -> None:
    page = page_of(made(tmp_path / "a", [2.0]), made(tmp_path / "b", [1.0]))
    (policy,) = [
        each["content"] for each in Page(page).of("meta") if each.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    for tag, attributes in Page(page).elements:
        for name in ("src", "href", "srcset", "xlink:href", "action", "data"):
            assert attributes.get(name, "#")[:1] == "#" or attributes[name][:5] == "data:", (tag, attributes)
    assert "@import" not in page


def test_ids_are_of_one_element_and_what_points_to_them_finds_them(tmp_path: Path) -> None:
    page = page_of(made(tmp_path / "a", [2.0, 1.0]), made(tmp_path / "b", [1.0, 0.5]))
    ids = [attributes["id"] for _, attributes in Page(page).elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    pointed = {each["href"][1:] for each in Page(page).of("use")} | set(re.findall(r"url\(#([^)]+)\)", page))
    assert pointed
    assert pointed <= set(ids)


def test_the_same_runs_give_the_same_bytes(tmp_path: Path) -> None:
    paths = [made(tmp_path / "a", [2.0, 1.0]), made(tmp_path / "b", [1.5, 0.7], seed=1)]
    assert page_of(*paths) == page_of(*paths)


def test_it_is_made_without_torch(tmp_path: Path) -> None:
    made(tmp_path / "a", [2.0, 1.0])
    made(tmp_path / "b", [2.0, 1.0], seed=1)
    code = "import sys; from hpcli.cli import main; code = main(sys.argv[1:]); sys.exit(code or 'torch' in sys.modules)"
    for words in (["a"], ["a", "b"]):
        subprocess.run([sys.executable, "-c", code, "report", *words], cwd=tmp_path, check=True, capture_output=True)


def test_several_runs_begin_with_what_differs(tmp_path: Path) -> None:
    paths = [
        made(tmp_path / f"{name}{seed}", [2.0, loss + 0.01 * seed], seed=seed, schedule__max_lr=lr)
        for name, lr, loss in (("low", 1e-3, 1.0), ("high", 1e-2, 0.5))
        for seed in (0, 1)
    ]
    page = page_of(*paths)
    order = ["<h1>4 runs</h1>", "Settings, the lowest mean loss first", "Runs, and what differs", "Training run: "]
    places = [page.index(each) for each in order]
    assert places == sorted(places)
    assert page.count('<section class="run') == 4
    assert "max_lr 0.01" in page


def test_of_many_runs_each_is_shown_in_short(tmp_path: Path) -> None:
    page = page_of(*(made(tmp_path / f"r{seed}", [2.0, 1.0], seed=seed) for seed in range(MOST_IN_FULL + 1)))
    assert page.count("<svg") == 1
    assert page.count('<section class="run') == MOST_IN_FULL + 1


@pytest.mark.parametrize("status", [RunStatus.INTERRUPTED, RunStatus.DIVERGED])
def test_a_run_that_has_not_ended_well_is_shown_as_what_it_is(status: RunStatus, tmp_path: Path) -> None:
    page = page_of(made(tmp_path / "a", [2.0], status))
    assert {RunStatus.INTERRUPTED: "was stopped", RunStatus.DIVERGED: "diverged"}[status] in page
    assert f"hpcli train · {status}" in page


def test_a_damaged_run_says_what_is_damaged(tmp_path: Path) -> None:
    path = made(tmp_path / "a", [2.0])
    with (path / "metrics.csv").open("a") as file:
        file.write("x")
    page = page_of(path)
    assert "metrics.csv: changed since the run ended" in page
    ((look, _),) = page_runs(_kept(tmp_path / "page.html", page))
    assert look.status is RunStatus.DAMAGED


def _kept(path: Path, page: str) -> Path:
    write_page(path, page)
    return path


def test_a_sign_of_a_summary_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hpcli.results.train import TrainResult

    path, summary = made(tmp_path / "a", [2.0]), TrainResult.summary
    found = [{"sign": "any", "says": "The loss <jumps>.", "remedy": "Lower it."}]
    monkeypatch.setattr(TrainResult, "summary", lambda self: {**summary(self), "diagnosis": found})
    assert "<li>The loss &lt;jumps&gt;. Lower it.</li>" in page_of(path)


def test_a_sweep_says_what_could_not_be_told_and_what_it_takes(tmp_path: Path) -> None:
    path = tmp_path / "sweep"
    words = ["sweep-wd", "--values=1e-3,1e-2,1", "--seeds=2", "--epochs=3", f"--out={path}", *SMALL]
    assert main([*words, "--set=schedule.max_lr=0.01"]) == 0
    page, result = page_of(path), Run.open(path).result
    assert "The values compared" in page
    assert "all these ranges are right at once" in page
    ranking = result.summary()["ranking"]
    left = [each for each in ranking if each["verdict"] == "undecided"]  # type: ignore[attr-defined]
    assert page.count("anything from") == sum(each["candidate"] for each in left)
    assert page.count("not the best; it may be anything up to") == sum(not each["candidate"] for each in left)
    assert ("There are 2 seeds of each value. To find" in page) == bool(left)
    assert "Means over seeds 0 and 1 of validation losses" in page
    (images,) = re.findall(
        r"Cycles of 3 epochs of shallow3, [^.]*, by adamw, at max_lr 0.01, in batches of \d+, on (\d+) training images "
        r"of digits, handwritten digits of 8×8 grey pixels, in 10 classes \(0, 1, 2, 3, 4, 5, 6, 7, 8 and 9\)",
        page,
    )
    assert isinstance(result, SweepResult)
    per_epoch = float(result.seconds[result.choice.index].mean()) / 3  # type: ignore[union-attr]
    following = result.following
    assert following is not None
    epochs = {"train": 1, "sweep-wd": 9}[following.words[0]] * result.config.train.epochs
    assert following.seconds == pytest.approx(epochs * per_epoch)
    assert f"would train for about {time_text(following.seconds)} on the machine of this run" in page
    assert "elsewhere save the config at the end of this part" in page
    assert re.search(r"<th scope=.row.>gpus</th><td>(none|[^<]+)</td>", page)
    (own,) = [row for row in page.split("<tr>") if "; the config&#39;s own" in row]
    assert ">0.01<" in own
    assert "<dt>sweep.epochs</dt><dd>3</dd>" in page
    assert "train.epochs" not in page.split("The config, in full")[0].split("What ran")[1]
    runs = page.split("Run by run")[-1].split("</table>")[0]
    assert runs.count("<td>finished</td>") == 6
    assert int(images) == result.data.num_train_images
    assert "at full length" in page or result.following is None
    assert re.search(r"finished · took .* · ended \d{4}-\d\d-\d\d \d\d:\d\d UTC", page)
    assert "at the edge of what was tried" in page or "not lie at an edge of what was tried" in page


def test_the_noise_of_a_run_is_that_of_its_values_not_what_pairing_leaves_of_it(tmp_path: Path) -> None:
    path = tmp_path / "sweep"
    words = ["sweep-wd", "--values=0,1e-6,1e-5", "--seeds=3", "--epochs=4", f"--out={path}", *SMALL]
    assert main([*words, "--set=schedule.max_lr=0.01"]) == 0
    result = Run.open(path).result
    assert isinstance(result, SweepResult)
    spread = float(np.sqrt(np.var(result.losses, 1, ddof=1).mean()))
    assert spread_of_runs(list(result.losses)) == pytest.approx(spread)
    assert result.verdict is not None
    assert result.verdict.noise_sd is not None
    assert spread > 1.5 * result.verdict.noise_sd
    page = page_of(path)
    assert f"A run differs from one of another seed by about {spread:.2g}" in page
    assert f"which leaves {result.verdict.noise_sd:.2g} of that" in page
    assert "0 and 1e-6: no systematic difference expected in 4 epochs" in page or not undecided(result)


def test_every_network_and_data_set_has_words_for_who_does_not_know_it() -> None:
    assert ABOUT.keys() == {*MODELS, *DATASETS} - {"folder"}


def test_what_ran_has_the_length_of_its_own_command(tmp_path: Path) -> None:
    path = tmp_path / "range"
    assert main(["lr-find", "--set=lr_find.steps=20", f"--out={path}", *SMALL]) == 0
    ran = page_of(path).split("<summary>What ran</summary>")[1].split("</dl>")[0]
    assert "<dt>lr_find.steps</dt><dd>20</dd>" in ran
    assert not {"train.epochs", "schedule.max_lr"} & set(re.findall("<dt>(.*?)</dt>", ran))


def test_every_colour_of_a_figure_has_one_for_a_dark_page() -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.plot([1, 2], [1, 2], color="#2563a8", label="<a> & b")
    axes.legend()
    (shown,) = pictures({"one": figure}, prefix="p", label='a "label"')
    light, dark = colour_rules([shown])
    assert light.keys() == dark.keys()
    assert light["--c-2563a8"] == "#2563a8"
    assert dark["--c-2563a8"] == in_dark("#2563a8")
    assert not re.search(r"[ :]#[0-9a-f]{6}", re.sub(r"var\([^)]*\)", "", shown.html))
    root = ET.fromstring(shown.html)
    assert root.attrib["role"] == "img"
    assert 'a "label"' in root.attrib["aria-label"]
    assert "width" not in root.attrib
    assert "<a> & b" in [each.text for each in root.iter("text")]


def test_what_a_stylesheet_says_can_be_read() -> None:
    css = (Path(__file__).parents[2] / "hpcli/views/templates/report.css").read_text()
    light, dark = (dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", part)) for part in css.split("@media", 2)[:2])
    assert (light["paper"], dark["paper"]) == (PAPER, DARK_PAPER)
    for colours in (light, dark):
        for name in ("ink", "faint", "link", "bad"):
            assert contrast(colours[name], colours["paper"]) >= WORDS, name
            assert contrast(colours[name], colours["tint"]) >= WORDS, name


def test_numbers_stand_under_each_other() -> None:
    rows = (("1", "0.5", "+0.1 [-0.2, 0.4]", "best", ""), ("2", "12.25%", "", "1 of 2", ""))
    assert Table("t", ("a", "b", "c", "d", "e"), rows).is_number == (False, True, True, False, False)


def test_the_numbers_of_a_page_are_there_for_programs(tmp_path: Path) -> None:
    page = page_of(made(tmp_path / "a", [2.0, 1.0], classes=[*CLASSES[:-1], "</script>"]))
    held = re.search(r'<script type="application/json" id="hpcli-runs">(.*?)</script>', page, re.DOTALL)
    assert held is not None
    (run,) = json.loads(held[1])["runs"]
    assert (run["command"], run["status"], run["name"]) == ("train", "finished", "a")
    assert run["config"]["train"]["epochs"] == 2
    assert [row[4] for row in run["tables"]["metrics"]] == [2.0, 1.0]
    assert "</script>" in [row[1] for row in run["tables"]["classes"]]
