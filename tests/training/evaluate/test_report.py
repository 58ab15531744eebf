"""The page of an evaluation: whole in itself, escaped, and drawn by a real browser."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from matplotlib.image import imread

from training.evaluate.run import evaluate

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
VOID = {"meta", "img", "line", "circle", "br", "link"}


class Tree(HTMLParser):
    """Collects what the page refers to and shows; fails where a tag is not closed in its order."""

    def __init__(self):
        super().__init__()
        self.open, self.links, self.cells, self.scripts = [], [], [], 0

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        values = dict(attributes)
        self.links += [values[name] for name in ("src", "href") if name in values]
        self.scripts += tag == "script"
        if tag == "td" and values.get("dir") == "rtl":
            self.cells.append("")

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "td" and self.cells:
            self.cells[-1] += data


EVIL = 'ليست <script>alert(1)</script> & "صلة" لنا'


@pytest.fixture(scope="module")
def page(bundle, make_bundle, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    rows = [
        *({"text": f"نفت الحركة {i}", "label": "denial", "source": "وكالة"} for i in range(40)),
        *({"text": f"انفجار {i}", "label": "claim", "source": "<b>x</b>"} for i in range(10)),
        {"text": EVIL, "label": "denial", "source": "وكالة"},
    ]
    labelled = folder / "dev.jsonl"
    labelled.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    other = make_bundle("other", cues={"انفجار": "claim"})
    evaluate(bundle, [labelled], folder / "out", compare=other)
    return folder / "out" / "report.html"


def test_the_page_needs_nothing_from_outside(page):
    tree = Tree()
    tree.feed(page.read_text(encoding="utf-8"))
    assert not tree.open
    assert len(tree.links) == 3
    assert all(link.startswith("data:image/svg+xml;base64,") for link in tree.links)
    assert tree.scripts == 0
    assert "default-src 'none'" in page.read_text(encoding="utf-8")


def test_what_comes_from_the_file_is_escaped_and_runs_from_right_to_left(page):
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<b>x" not in text
    tree = Tree()
    tree.feed(text)
    assert EVIL in tree.cells
    assert len(tree.cells) == 11  # ten claims and the last denial


def test_the_figures_of_the_page_are_those_of_the_json(page):
    text = re.sub(r"\s+", " ", page.read_text(encoding="utf-8"))
    record = json.loads((page.parent / "metrics.json").read_text(encoding="utf-8"))
    figures = [
        record["metrics"]["macro_f1"],
        record["metrics"]["ece"],
        record["uncalibrated"]["nll"],
    ]
    figures += record["intervals"]["macro_f1"].values()
    figures += [part["accuracy"] for part in record["slices"]]
    figures += [pair["model"] for pair in record["comparison"]["labels"].values()]
    for figure in figures:
        assert f"{figure:.3f}" in text
    assert "no sentence has it" in text
    assert record["files"][0]["sha256"][:16] in text
    assert f"p = {record['comparison']['mcnemar_p']:.3g}" in text


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize("width", [1200, 700])
def test_nothing_runs_out_of_the_page_in_a_browser(page, tmp_path, width):
    picture = tmp_path / "page.png"
    subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *("--disable-quic", f"--user-data-dir={tmp_path / 'profile'}", "--hide-scrollbars"),
            *(f"--window-size={width},3200", f"--screenshot={picture}", page.as_uri()),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    pixels = imread(picture)[..., :3]
    assert pixels.shape[1] == width
    assert pixels.min() < 0.2
    for margin in (pixels[:, :12], pixels[:, -12:]):
        assert margin.min() == 1
