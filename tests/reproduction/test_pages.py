"""The page is one file that a browser shows whole, on a small screen and on a large one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHECK = """<script>addEventListener('load', () => {
  document.title = JSON.stringify({
    images: [...document.images].map(i => i.complete && i.naturalWidth > 0),
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
    assert "CONSOLE" not in result.stderr
