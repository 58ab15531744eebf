"""The page of `rasd retrain` in a real browser, on a screen and on a phone."""

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page
from test_page_looks import assert_accessible

from serving.classifier import Classifier
from serving.text.normalize import NORMALIZERS
from training.labelled.reading import read_labelled
from training.retrain.compare import compare_models
from training.retrain.config import load_retrain_config
from training.retrain.merge import Counts, Merged
from training.retrain.report import Cost, write_report

ROOT = Path(__file__).parents[2]
COMMAND = ["rasd", "retrain", "corrections.jsonl", "--registry", "/srv/desk/models/registry-2024"]
LONG = "وقالت الوزارة في بيان " * 12
NASTY = "</td></table><script>document.title='broken'</script>"


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    """The report of the included models as champion and challenger, on sentences of all sorts."""
    models = [Classifier.load(name) for name in ("default", "fast")]
    scheme = models[0].bundle.scheme
    normalize = NORMALIZERS["light"].apply
    found = read_labelled([ROOT / "data" / "authored.jsonl"], scheme, normalize, "first").sentences
    odd = [f"{text} {NASTY} https://news.example/{'a' * 200}" for text in ("نفت", LONG)]
    test = [*found[::40], *(replace(found[0], text=text) for text in odd)]
    merged = Merged([], [], test, Counts(9000, 8000, 30, 123456, 12, 3, 970), [])
    config = load_retrain_config(ROOT / "configs" / "retrain.yaml")
    result = compare_models(*models, merged, config)
    assert result.changed
    out = tmp_path_factory.mktemp("retraining") / "report"
    return write_report(out, result, scheme, cost=Cost(9, 9, 9, 2), command=COMMAND)


def opened(browser, report: Path, width: int) -> Page:
    page = browser.new_context(viewport={"width": width, "height": 844}).new_page()
    page.goto((report / "report.html").as_uri())
    return page


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_scrolls_sideways_and_no_column_is_squeezed(browser, report, width):
    page = opened(browser, report, width)
    assert page.title().startswith("Retraining of default@")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    wide = """es => es.filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.innerText)"""
    assert page.locator("table").evaluate_all(wide) == []
    narrow = """es => es.filter((e) => e.clientWidth < 200).map((e) => e.innerText)"""
    assert page.locator("td.condition, td.text").evaluate_all(narrow) == []
    page.context.close()


def test_a_card_on_a_phone_says_which_figure_is_whose(browser, report):
    page = opened(browser, report, 390)
    column = "e => getComputedStyle(e, '::before').content"
    assert "Champion" in page.locator(".gate td.n").first.evaluate(column)
    assert_accessible(page)
    page.context.close()
