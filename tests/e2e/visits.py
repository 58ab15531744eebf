"""Visits to the page in a real browser, for the tests of what it does and of how it looks."""

from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, expect
from running_service import RunningService

ARTICLE = (Path(__file__).parents[2] / "data" / "sample_article.txt").read_text(encoding="utf-8")
# Long enough for a busy machine; only a failure waits for it.
PATIENCE = 60_000
expect.set_options(timeout=PATIENCE)


def visit(browser: Browser, service: RunningService, **options: object) -> Iterator[Page]:
    context = browser.new_context(**options)
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on(
        "console",
        lambda message: complaints.append(message.text) if message.type == "error" else None,
    )
    opened.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((service.url, "blob:"))
            else complaints.append(request.url)
        ),
    )
    opened.goto(service.url)
    yield opened
    context.close()
    # An answer that is not 200 is a line of the console; tests that want one check for it.
    assert not [said for said in complaints if "Failed to load resource" not in said]


def paste(page: Page, text: str = ARTICLE) -> None:
    page.fill("#text", text)
    page.click("#label")
    expect(page.locator("#results")).to_be_visible()
    expect(page.locator("#busy")).to_be_hidden()
