"""The page is one file that a browser shows whole, on a small screen and on a large one."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from leela_probe.networks.network import load
from leela_probe.puzzles.criteria import Criteria
from leela_probe.study import contents, wording
from leela_probe.study import page as page_of_study
from leela_probe.study.chapter import Undrawn
from leela_probe.study.records import LEFT_OUT, Record
from leela_probe.study.results import Results
from leela_probe.study.study import Networks

CHECK = """<script>addEventListener('load', () => {
  document.title = JSON.stringify({
    images: [...document.images].map(i => i.complete && i.naturalWidth > 0),
    wide: [...document.querySelectorAll('figure.wide img')].map(i => i.clientWidth),
    over: document.documentElement.scrollWidth - innerWidth,
  })});</script>"""


@pytest.fixture(scope="module")
def page(finished) -> Path:
    return finished.out / "index.html"


def test_it_asks_for_nothing_outside_itself(page):
    text = page.read_text()
    assert "<script" not in text
    assert all(source.startswith("data:") for source in re.findall(r'\bsrc="([^"]*)"', text))
    assert all(link.startswith(("#", "data:")) for link in re.findall(r'\bhref="([^"]*)"', text))
    assert "url(" not in re.sub(r"base64,[^\"]*", "", text)


def test_every_section_is_there_and_every_picture_says_what_it_is(page):
    text = page.read_text()
    chapters = [chapter.id for chapter in contents.chapters()]
    for name in ("methods", *chapters, "comparison", "exclusions", "costs", "versions"):
        assert f'<h2 id="{name}"' in text
        assert f'href="#{name}"' in text
    images = re.findall(r"<img alt=\"([^\"]*)\"", text)
    assert len(images) >= 12
    assert all(images)


def test_the_comparison_says_why_a_number_is_not_there(page):
    text = page.read_text()
    assert "a study looks for no puzzles with two branches" in text
    assert "largest entry of head 12.12 is that from the third target to the first" in text
    assert "not here" not in text


def test_the_third_move_is_told_in_parts_with_its_margins(page):
    text = page.read_text()
    for words in ("source, true target told", "source, predicted target told",
                  "target, among the best 3", "over random weights", "selectivity"):  # fmt: skip
        assert words in text


def rendered(results, cache, **changes) -> str:
    networks = Networks(results.study, lambda path, **how: load(path, cache=cache, **how))
    tables = {"funnel": pd.read_csv(results.study.table("tables/funnel.csv"))}
    tables["comparison"] = pd.read_csv(
        results.study.table("tables/comparison.csv"), dtype={"reason": object}
    )
    return page_of_study.render(results, networks, tables | changes, {}, seconds=1.0)


def puzzles_of(page: str) -> str:
    (text,) = re.findall(r"<p>(A right first move.*)</p>", page)
    return text


def test_puzzles_are_said_to_be_what_was_asked_of_them(page, results, cache):
    assert "are kept. Not asked here: that the weak network does" in puzzles_of(page.read_text())

    def told(**criteria: float) -> str:
        study = dataclasses.replace(results.study, criteria=Criteria(**criteria))
        return puzzles_of(rendered(Results(study, results.records), cache))

    assert "solves them and that their answer is forced. Each then" in told()
    assert "solves them. Not asked here: that their answer is forced. Each" in told(forcing=0.0)


def test_few_puzzles_are_called_few_and_none_is_not(results, cache):
    flow = pd.read_csv(results.study.table("tables/funnel.csv"))
    for left, words in ((1, "1 puzzle is few"), (99, "99 puzzles are few"), (100, ""), (0, "")):
        flow.loc[flow.index[-1], "remaining"] = left
        text = rendered(results, cache, funnel=flow)
        assert (" few: most intervals" in text) == bool(words)
        assert words in text


def test_what_was_left_out_is_a_caveat_with_its_reason_and_listed_once(results, cache):
    reason = "strong is a residual tower and has no attention heads"
    left_out = {
        name: Record(name=name, state=LEFT_OUT, plan={}, reason=reason)
        for name in ("heads", "entry")
    }
    text = rendered(Results(results.study, {**results.records, **left_out}), cache)
    assert f"Left out: E2, heads; E3, one entry ({reason})." in text
    assert text.count(f"<td>{reason}</td>") == 2


def test_costs_add_up(results, cache):
    timed = {
        name: dataclasses.replace(record, seconds=100.0) for name, record in results.records.items()
    }
    text = rendered(Results(results.study, timed), cache)
    whole = wording.time(1.0 + 100 * len(timed))
    assert f'<tr><td>all</td><td></td><td class="n">{whole}</td></tr>' in text


def test_a_figure_stands_in_the_place_that_it_names(results, cache):
    networks = Networks(results.study, lambda path, **how: load(path, cache=cache, **how))
    figures = {
        "E1": [
            Undrawn(title="Figure 2", reason="no example", place="puzzles"),
            Undrawn(title="Figure 1", reason="no example"),
        ]
    }
    flow = pd.read_csv(results.study.table("tables/funnel.csv"))
    comparison = pd.read_csv(results.study.table("tables/comparison.csv"), dtype={"reason": object})
    tables = {"funnel": flow, "comparison": comparison}
    text = page_of_study.render(results, networks, tables, figures, seconds=1.0)
    puzzles, rest = text.split('<h2 id="methods">')
    assert "Figure 2 is not drawn: no example." in puzzles
    assert "Figure 1 is not drawn: no example." in rest


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
@pytest.mark.parametrize("width", [400, 500, 1400])
def test_a_browser_shows_every_picture_and_nothing_sticks_out(page, width, tmp_path):
    checked = tmp_path / "checked.html"
    checked.write_text(page.read_text().replace("</body>", f"{CHECK}</body>"))
    result = subprocess.run(
        [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}",
            f"--window-size={width},1000", "--virtual-time-budget=5000", checked.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )  # fmt: skip
    (title,) = re.findall(r"<title>(.*?)</title>", result.stdout)
    found = json.loads(title.replace("&quot;", '"'))
    assert found["images"]
    assert all(found["images"])
    assert found["over"] <= 0
    assert min(found["wide"]) >= 600  # a small screen scrolls them instead of shrinking their text
    assert "CONSOLE" not in result.stderr
