"""The page is one file that a browser shows whole, on a small screen and on a large one."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from leela_probe.networks.network import load
from leela_probe.puzzles.criteria import Criteria
from leela_probe.study import drawings, pages
from leela_probe.study.ledger import Ledger
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
    for name in ("puzzles", "methods", "E1", "E2", "E3", "E4", "E5", "comparison", "exclusions",
                 "costs", "versions"):  # fmt: skip
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


def puzzles_of(page: str) -> str:
    (text,) = re.findall(r"<p>(A right first move.*)</p>", page)
    return text


def test_puzzles_are_said_to_be_what_was_asked_of_them(page, finished, cache):
    assert "are kept. Not asked here: that the weak network does" in puzzles_of(page.read_text())
    records = {"filter": Ledger(finished.out).record("filter")}
    networks = Networks(finished, lambda path, **how: load(path, cache=cache, **how))

    def told(**criteria: float) -> str:
        study = dataclasses.replace(finished, criteria=Criteria(**criteria))
        return puzzles_of(pages.render(study, networks, records))

    assert "solves them and that their answer is forced. Each then" in told()
    assert "solves them. Not asked here: that their answer is forced. Each" in told(forcing=0.0)


def test_a_figure_that_is_not_drawn_says_why(finished, tmp_path):
    shutil.copytree(finished.out, tmp_path / "out")
    study = dataclasses.replace(finished, out=tmp_path / "out")
    for name, change in (
        ("tables", {"outputs": {}}),
        ("piece-heads", {"facts": {"counts": {"measured": 0, "nothing_to_change": 61},
                                   "unmeasured": "no rook stands ready"}}),
    ):  # fmt: skip
        manifest = study.out / "manifests" / f"{name}.json"
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | change))
    undrawn = [each for each in drawings._piece_heads(study) if isinstance(each, drawings.Undrawn)]
    (figure,) = undrawn
    assert figure.title == "Figure 7"
    assert figure.reason == "none of 61 puzzles could be measured: no rook stands ready"


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
