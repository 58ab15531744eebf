"""The page for every eye: contrast, phones, dark rooms, screen readers."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from visits import paste, visit

# WCAG 2.2 at levels A and AA, and what axe-core's authors count as good practice.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def assert_accessible(page: Page) -> None:
    """Nothing of what axe-core looks for is wrong with the page as it stands."""
    options = {"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]}
    found = Axe().run(page, options=options)
    assert found.violations_count == 0, found.generate_report()


@pytest.fixture(params=["light", "dark"])
def page(request, browser, service) -> Iterator[Page]:
    yield from visit(
        browser, service, locale="en-GB", color_scheme=request.param, reduced_motion="reduce"
    )


def test_every_view_can_be_used_with_a_screen_reader(page):
    assert_accessible(page)
    paste(page)
    assert_accessible(page)
    page.locator(".sentence").nth(0).click()
    expect(page.locator("#panel")).to_be_visible()
    assert_accessible(page)
    page.click("[data-filter=denial]")
    page.click("#as-table")
    expect(page.locator("tbody tr").first).to_be_visible()
    assert_accessible(page)
    page.click("#language")
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    assert_accessible(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_words_can_be_read_in_every_dress(browser, service, scheme, width):
    size = {"width": width, "height": 844}
    for page in visit(browser, service, locale="ar", viewport=size, color_scheme=scheme):
        paste(page)
        page.locator(".sentence").nth(0).click()
        expect(page.locator("#panel")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        # Contrast as WCAG 2.2 defines it; colours are painted to get at their numbers.
        low = page.evaluate(
            """() => {
                const pen = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
                const mixed = (colours) => {
                    pen.clearRect(0, 0, 1, 1);
                    for (const c of colours) { pen.fillStyle = c; pen.fillRect(0, 0, 1, 1); }
                    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
                };
                const luminance = (rgb) => {
                    const [r, g, b] = rgb.map((v) => v / 255)
                        .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
                };
                const low = [];
                for (const e of document.querySelectorAll(
                    ".sentence, .tag, .chip, .choices button, .choices .p, .hint, h2, #label")) {
                    const behind = [];
                    for (let up = e; up; up = up.parentElement) {
                        behind.unshift(getComputedStyle(up).backgroundColor);
                    }
                    const pair = [mixed(behind), mixed([...behind, getComputedStyle(e).color])]
                        .map(luminance).sort((a, b) => b - a);
                    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
                    if (ratio < 4.5) low.push([e.className, e.textContent.slice(0, 30), ratio]);
                }
                return low;
            }"""
        )
        assert low == []
