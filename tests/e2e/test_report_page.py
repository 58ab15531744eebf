"""The page of `rasd report` in a real browser: offline, searchable, for screens and paper."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from serving.cli import main

BREAK = "document.title='broken'"
NASTY = f'</script><script>{BREAK}</script><img src=x onerror="{BREAK}">{{{{data}}}}'


def made() -> list[dict[str, object]]:
    kinds = (
        ("تبنت الجماعة الهجوم", "claim"),
        ("نفت الوزارة القصف", "denial"),
        ("حضر الوزير الحفل", "other"),
    )
    return [
        {
            "text": f"{text} رقم {number}.",
            "label": label,
            "probability": 0.99 - number / 400,
            "doc_id": f"مقال {number}",
            "date": f"2024-05-{1 + number % 28:02}T10:00:00Z",
            "source": ("وكالة النهر", "Agency")[number % 2],
            "url": f"https://news.example/{number}",
        }
        for number in range(200)
        for text, label in kinds
    ]


@pytest.fixture
def opened(browser, write_results, tmp_path) -> Callable[..., Page]:
    """Make a report and open it; at the end nothing may have been asked of anyone."""
    contexts, complaints = [], []

    def open_page(results: list[dict[str, object]] | None = None, **options: object) -> Page:
        page_file = tmp_path / "report.html"
        found = write_results(made() if results is None else results)
        assert main(["report", str(found), "-o", str(page_file)]) == 0
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text))
        page.on(
            "request",
            lambda request: (
                None if request.url == page_file.as_uri() else complaints.append(request.url)
            ),
        )
        page.goto(page_file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints


def test_an_editor_finds_a_sentence_however_it_is_spelled(opened):
    page = opened()
    rows = page.locator("table.rows tbody tr")
    expect(rows).to_have_count(100)
    page.click(".more")
    expect(rows).to_have_count(200)
    page.fill("#query", "الوزاره وزير")
    expect(rows).to_have_count(0)
    page.fill("#query", "الوزَاره رقم ١٩٩.")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("نفت الوزارة القصف رقم 199.")
    page.fill("#query", "agency")
    page.select_option("#label", "claim")
    expect(page.get_by_role("status")).to_contain_text("100 found")
    page.check("#uncertain")
    unsure = [each for each in made() if each["source"] == "Agency" and each["label"] == "claim"]
    unsure = [each for each in unsure if each["probability"] < 0.7]
    expect(rows).to_have_count(len(unsure))


@pytest.mark.parametrize(
    "query", ["نفت الوزارة ١٢٣", "نفت الوزارة ۱۲۳", "ﻧﻔﺖ ﺍﻟﻮﺯﺍﺭﺓ", "علي", "علی", "کركوك"]
)
def test_a_search_finds_shapes_of_letters_and_digits_and_no_marks(opened, query):
    page = opened([{"text": "نف\u200dت الوز\u200fارة في كركوک ۱۲۳ أمر علی\ufeff"}, {"text": "حضر"}])
    page.fill("#query", query)
    expect(page.locator("table.rows tbody tr")).to_have_count(1)


def test_arabic_runs_from_right_to_left_and_links_to_its_article(opened):
    page = opened()
    text = page.locator("table.rows .text").first
    expect(text).to_have_attribute("dir", "rtl")
    assert text.evaluate("element => getComputedStyle(element).textAlign") == "right"
    link = page.locator("table.rows a").first
    expect(link).to_have_attribute("href", "https://news.example/0")
    assert page.locator(".day").count() == 28


def test_the_chart_follows_its_buttons(opened):
    page = opened()
    bars = page.locator(".chart rect")
    expect(bars).to_have_count(2 * 28)
    page.click("#time button:has-text('other')")
    expect(bars).to_have_count(3 * 28)
    page.click("#time button:has-text('claim')")
    expect(bars).to_have_count(2 * 28)


def test_nothing_of_the_results_is_markup_or_script(opened):
    nasty = {"text": NASTY, "doc_id": NASTY, "source": NASTY, "model": NASTY, "date": "2024-01-01"}
    links = [
        {"text": f"رابط {n}", "url": url}
        for n, url in enumerate(("javascript:alert(1)", "data:text/html,x"))
    ]
    page = opened([nasty, nasty | {"label": f"<b>{NASTY}"}, nasty | {"label": "claim"}, *links])
    assert page.title() == "Archive report"
    assert page.locator("img").count() == 0
    assert page.locator("a").count() == 0
    expect(page.locator("table.rows .text").first).to_have_text(NASTY)


def test_results_without_dates_or_outlets_or_rows_make_a_page_too(opened):
    page = opened([{"text": "نفي"}])
    expect(page.locator("#time")).to_contain_text("no date")
    expect(page.locator("#outlets")).to_contain_text("no outlet")


def test_a_file_without_records_makes_a_page_that_says_so(opened):
    page = opened([])
    expect(page.locator("#about")).to_contain_text("no records")
    expect(page.get_by_role("status")).to_contain_text("0 found")


@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 1280)])
def test_everyone_can_read_it(opened, scheme, width):
    page = opened(made()[:24], viewport={"width": width, "height": 844}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": rules}})
    assert found.violations_count == 0, found.generate_report()


def test_on_paper_it_is_dark_on_light_and_without_controls(opened):
    page = opened(color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(255, 255, 255)"
    expect(page.locator(".controls")).to_be_hidden()
    expect(page.locator(".chart")).to_be_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")
