"""The page in a real browser on the real service: what a newsroom does with an article."""

import csv
import io
import json
import sqlite3
import subprocess
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect
from running_service import RASD, RunningService
from visits import ARTICLE, paste, visit

from serving.classifier import Classifier
from serving.records import Document, Record
from serving.text.sentences import split_sentences

LABELS = ("attack_report", "claim", "denial", "official_response", "other")
KEY = "correct-horse-battery-staple"


@pytest.fixture
def page(browser, service) -> Iterator[Page]:
    """A fresh visit; at its end nothing may have gone wrong in it or left for elsewhere."""
    yield from visit(browser, service, locale="en-GB")


@pytest.fixture(scope="module")
def expected() -> list[dict[str, object]]:
    """The records of the article, straight from the classifier."""
    classifier = Classifier.load(threads=1)
    sentences = split_sentences(ARTICLE)
    answers = classifier.classify([sentence.text for sentence in sentences])
    return [
        Record.of(Document("a", ARTICLE), n, sentence, answer, model=classifier.model).as_dict()
        for n, (sentence, answer) in enumerate(zip(sentences, answers, strict=True))
    ]


# What a keyboard with Arabic digits sends; Playwright has no name for its keys.
ARABIC_KEY = """key => document.activeElement.dispatchEvent(
    new KeyboardEvent("keydown", {key, bubbles: true}))"""


def downloaded(page: Page, button: str) -> str:
    with page.expect_download() as waiting:
        page.click(button)
    return waiting.value.path().read_text(encoding="utf-8")


def without_names(text: str) -> list[dict[str, object]]:
    rows = [json.loads(line) for line in text.splitlines()]
    return [{name: value for name, value in row.items() if name != "doc_id"} for row in rows]


def test_an_article_is_read_in_labels_and_words(page, expected):
    paste(page)
    sentences = page.locator(".sentence")
    expect(sentences).to_have_count(len(expected))
    assert [s.get_attribute("data-label") for s in sentences.all()] == [
        record["label"] for record in expected
    ]
    expect(page.locator("article")).to_have_attribute("dir", "rtl")
    words = page.locator(".sentence[data-label=denial] .tag").first
    expect(words).to_contain_text("Denial")
    for name in LABELS:
        count = sum(record["label"] == name for record in expected)
        expect(page.locator(f"[data-filter={name}] b")).to_have_text(str(count))
    unsure = [str(n) for n, record in enumerate(expected) if not record["certain"]]
    marked = page.locator(".sentence.uncertain").all()
    assert [s.get_attribute("data-index") for s in marked] == unsure
    # Every paragraph of the article is one here, and nothing of its text is lost.
    assert page.locator("article p").count() == len(ARTICLE.split("\n")) - ARTICLE.endswith("\n")


def test_the_probability_is_told_on_hover_and_to_the_keyboard(page, expected):
    paste(page)
    tip = page.locator("#tip")
    page.locator(".sentence").nth(1).hover()
    expect(tip).to_contain_text(f"{min(99, round(expected[1]['probability'] * 100))}%")
    page.locator("#results").focus()
    page.locator("#jsonl").focus()
    page.keyboard.press("Tab")
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    expect(page.locator(".sentence.selected")).to_have_attribute("data-index", "2")
    expect(tip).to_contain_text(f"{min(99, round(expected[2]['probability'] * 100))}%")
    page.keyboard.press("ArrowRight")  # backwards in a text from right to left
    expect(page.locator(".sentence.selected")).to_have_attribute("data-index", "1")
    page.keyboard.press("n")
    unsure = next(n for n, record in enumerate(expected) if n > 1 and not record["certain"])
    expect(page.locator(".sentence.selected")).to_have_attribute("data-index", str(unsure))


def test_the_filter_and_the_table(page, expected):
    paste(page)
    denials = sum(record["label"] == "denial" for record in expected)
    page.click("[data-filter=denial]")
    expect(page.locator(".sentence:not(.dimmed)")).to_have_count(denials)
    expect(page.locator("#status")).to_contain_text(f"{denials} of {len(expected)}")
    page.click("#as-table")
    expect(page.locator("tbody tr")).to_have_count(denials)
    page.click("[data-filter='']")
    expect(page.locator("tbody tr")).to_have_count(len(expected))
    page.click("[data-sort=probability]")
    order = [int(row.get_attribute("data-index")) for row in page.locator("tbody tr").all()]
    assert order == sorted(range(len(expected)), key=lambda n: expected[n]["probability"])
    page.click("[data-filter=uncertain]")
    expect(page.locator("tbody tr")).to_have_count(sum(not r["certain"] for r in expected))


def test_a_correction_is_one_click_or_one_key_and_is_stored(page, service, expected, tmp_path):
    paste(page)
    page.locator(".sentence").nth(0).click()
    page.fill("#annotator", "هالة")
    page.click("[data-choice=official_response]")
    expect(page.locator(".outcome")).to_have_text("Saved.")
    expect(page.locator(".sentence").nth(0)).to_have_attribute("data-label", "official_response")
    page.locator(".sentence").nth(2).click()
    page.keyboard.press("3")
    expect(page.locator(".outcome")).to_have_text("Saved.")
    page.evaluate(ARABIC_KEY, "٥")  # thought again
    expect(page.locator(".sentence").nth(2)).to_have_attribute("data-label", "other")
    expect(page.locator(".outcome")).to_have_text("Saved.")

    with sqlite3.connect(service.folder / "feedback.db") as database:
        rows = database.execute(
            "SELECT text, label, predicted, model, annotator, probabilities, revision "
            "FROM rasd_corrections ORDER BY id"
        ).fetchall()
    wanted = [(0, "official_response", 1), (2, "other", 2)]
    for row, (n, label, revision) in zip(rows, wanted, strict=True):
        record = expected[n]
        *texts, probabilities, times = row
        assert texts == [record["text"], label, record["label"], record["model"], "هالة"]
        assert json.loads(probabilities) == record["probabilities"]
        assert times == revision

    output = tmp_path / "labelled.jsonl"
    subprocess.run([RASD, "feedback", "export", "-o", output], cwd=service.folder, check=True)
    exported = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [row["label"] for row in exported] == ["official_response", "other"]

    records = [json.loads(line) for line in downloaded(page, "#jsonl").splitlines()]
    assert records[0]["label"] == expected[0]["label"]
    assert records[0]["correction"] == "official_response"


def test_downloads_are_the_commands_own_records(page, expected):
    paste(page)
    wanted = [{k: v for k, v in record.items() if k != "doc_id"} for record in expected]
    assert without_names(downloaded(page, "#jsonl")) == wanted
    text = downloaded(page, "#csv")
    assert text.startswith("\ufeff")
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    assert [row["text"] for row in rows] == [record["text"] for record in expected]
    assert [row["certain"] for row in rows] == [json.dumps(r["certain"]) for r in expected]
    assert [json.loads(row["probabilities"]) for row in rows] == [
        record["probabilities"] for record in expected
    ]


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_a_download_has_the_date_of_its_user(browser, service, zone):
    for page in visit(browser, service, locale="ar-SA", timezone_id=zone):
        paste(page, "نفت الوزارة وقوع الهجوم.")
        before = datetime.now(ZoneInfo(zone)).date()
        with page.expect_download() as waiting:
            page.click("#jsonl")
        after = datetime.now(ZoneInfo(zone)).date()
        name = waiting.value.suggested_filename
        assert name in (f"rasd-{before}.jsonl", f"rasd-{after}.jsonl")


def test_a_long_name_is_wrapped_on_a_telephone(browser, service, tmp_path):
    (tmp_path / f"{'ل' * 100}.pdf").write_text("")
    for page in visit(browser, service, locale="ar", viewport={"width": 360, "height": 800}):
        page.set_input_files("#files", next(tmp_path.iterdir()))
        expect(page.locator("#error")).to_contain_text(".pdf")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_formulas_are_neutral_in_the_csv_and_come_back_with_it(page, tmp_path):
    texts = ["=1+1 قال", "-5 درجات", "'@user قال", "نفى ذلك."]
    lines = [json.dumps({"id": f"+{number}", "text": text}) for number, text in enumerate(texts)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    page.set_input_files("#files", tmp_path / "a.jsonl")
    expect(page.locator("article h2")).to_have_text(["+0", "+1", "+2", "+3"])
    text = downloaded(page, "#csv")
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    assert [row["text"] for row in rows] == ["'=1+1 قال", "'-5 درجات", "''@user قال", "نفى ذلك."]
    assert [row["doc_id"] for row in rows] == ["'+0", "'+1", "'+2", "'+3"]
    (tmp_path / "b.csv").write_text(text, encoding="utf-8", newline="")
    page.set_input_files("#files", tmp_path / "b.csv")
    expect(page.locator("article h2").first).to_have_text("b.csv:2")
    again = [json.loads(line)["text"] for line in downloaded(page, "#jsonl").splitlines()]
    assert again == texts


def test_files_of_every_kind_stand_beside_each_other(page, tmp_path):
    (tmp_path / "a.txt").write_text("نفت الوزارة وقوع الهجوم.", encoding="utf-8-sig")
    (tmp_path / "old.txt").write_text("نفت الوزارة وقوع الهجوم.", encoding="cp1256")
    (tmp_path / "b.jsonl").write_text(
        json.dumps({"id": 7, "text": "🙂 تبنت الجماعة الهجوم.\nونفى الجيش ذلك."}) + "\n\n",
        encoding="utf-8",
    )
    (tmp_path / "c.csv").write_text(
        'id,text\r\n,"قال: ""لا""،\r\nثم نفى."\r\nx,وأدان الوزير الهجوم.\r\n', encoding="utf-8"
    )
    (tmp_path / "d.csv").write_text('text;id\n"نفى; ثم أكد, مرة.";y\n', encoding="utf-8")
    names = ("a.txt", "old.txt", "b.jsonl", "c.csv", "d.csv")
    page.set_input_files("#files", [tmp_path / name for name in names])
    expect(page.locator("article h2")).to_have_text(["a.txt", "old.txt", "7", "c.csv:2", "x", "y"])
    expect(page.locator("#status")).to_contain_text("old.txt was read as Windows-1256")
    rows = [json.loads(line) for line in downloaded(page, "#jsonl").splitlines()]
    document = "🙂 تبنت الجماعة الهجوم.\nونفى الجيش ذلك."
    of_b = [row for row in rows if row["doc_id"] == "7"]
    assert [document[row["start"] : row["end"]] for row in of_b] == [row["text"] for row in of_b]
    assert len(of_b) == 2
    assert (
        page.locator("article")
        .nth(2)
        .locator(".sentence")
        .nth(1)
        .inner_text()
        .endswith("ونفى الجيش ذلك.")
    )


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", '{"text": "خبر"}\n{"text": \n', "a.jsonl, line 2"),
        ("a.jsonl", '{"body": "خبر"}\n', "there is no field “text”"),
        ("a.csv", 'text\n"خبر\n', "a.csv, line 2"),
        ("a.pdf", "%PDF", "give .txt, .jsonl, .json, .csv or .tsv"),
    ],
)
def test_a_wrong_file_is_told_by_line(page, tmp_path, name, content, said):
    (tmp_path / name).write_text(content, encoding="utf-8")
    page.set_input_files("#files", tmp_path / name)
    expect(page.locator("#error")).to_contain_text(said)


def test_dropped_files_are_read(page):
    page.evaluate(
        """() => {
            const transfer = new DataTransfer();
            transfer.items.add(new File(["نفت الوزارة وقوع الهجوم."], "dropped.txt"));
            dispatchEvent(new DragEvent("dragover", {dataTransfer: transfer}));
            dispatchEvent(new DragEvent("drop", {dataTransfer: transfer}));
        }"""
    )
    expect(page.locator(".sentence")).to_have_count(1)
    expect(page.locator("#drop")).to_be_hidden()


def test_a_long_text_is_sent_in_pieces_and_put_together(page):
    paragraph = "نفت الوزارة وقوع الهجوم 🙂. وتبنت الجماعة الهجوم على الثكنة.\n\n"
    text = paragraph * 500
    paste(page, text)
    expect(page.locator("#status")).to_contain_text("1000 sentences")
    rows = [json.loads(line) for line in downloaded(page, "#jsonl").splitlines()]
    assert [row["sentence"] for row in rows] == list(range(1000))
    assert all(text[row["start"] : row["end"]] == row["text"] for row in rows)


def test_a_file_of_more_texts_than_a_call_has_arguments_is_read(page, tmp_path):
    file = tmp_path / "many.csv"
    file.write_text("text\n" + "؟\n" * 300_000, encoding="utf-8")
    count = page.evaluate(
        """async (content) => {
            const { readFiles } = await import("/page/input.js");
            const { element } = await import("/page/dom.js");
            const { documents } = await readFiles([new File([content], "many.csv")]);
            return element("p", {}, documents.map(({ text }) => text)).childNodes.length;
        }""",
        file.read_text(encoding="utf-8"),
    )
    assert count == 300_000


def test_a_text_that_cannot_be_halved_is_given_up(page):
    page.route("**/v1/classify", lambda route: route.fulfill(status=504, json={"type": "x:late"}))
    page.fill("#text", "🙂")
    page.click("#label")
    expect(page.locator("#error")).to_contain_text("504")
    page.unroute("**/v1/classify")


def test_of_two_thoughts_on_a_sentence_the_second_is_stored_last(page):
    paste(page, "نفى الوزير ذلك.")
    sent = []
    page.route("**/v1/feedback", lambda route: sent.append(route))  # noqa: PLW0108 - a builtin has no code
    page.locator(".sentence").click()
    page.keyboard.press("1")
    page.keyboard.press("5")
    page.wait_for_timeout(500)
    (first,) = sent  # the second one waits until the first is answered
    first.fulfill(status=201, json={})
    page.wait_for_timeout(500)
    assert [route.request.post_data_json["label"] for route in sent] == ["attack_report", "other"]
    sent[1].fulfill(status=201, json={})
    expect(page.locator(".outcome")).to_have_text("Saved.")


def test_markup_in_a_text_stays_text(page):
    paste(page, "نفى <img src=x onerror=alert(1)> <b>الوزير</b> ذلك.")
    expect(page.locator(".sentence")).to_contain_text("<b>الوزير</b>")
    assert page.locator("#view img, #view b").count() == 0


def test_the_interface_speaks_arabic_and_remembers(page):
    paste(page)
    page.click("#language")
    html = page.locator("html")
    expect(html).to_have_attribute("dir", "rtl")
    expect(page.locator("[data-filter=denial]")).to_contain_text("نفي")
    expect(page.locator(".sentence[data-label=denial] .tag").first).to_contain_text("نفي")
    page.reload()
    expect(html).to_have_attribute("lang", "ar")
    expect(page.locator("#label")).to_have_text("صنّف الجمل")


def test_a_service_with_keys_asks_for_one_and_keeps_it_for_the_tab(browser, tmp_path):
    with RunningService(tmp_path, environment={"RASD_API_KEYS": f"desk:{KEY}"}) as service:
        for page in visit(browser, service, locale="en"):
            dialog = page.locator("#key-dialog")
            expect(dialog).to_be_visible()
            reason = page.locator("#key-why")
            expect(reason).to_contain_text("requires an API key")
            page.fill("#key", "wrong")
            page.keyboard.press("Enter")
            expect(page.locator("#key")).to_have_value("")
            expect(dialog).to_be_visible()
            expect(reason).to_contain_text("does not accept this key")
            page.fill("#key", "مفتاح")  # no header can hold it
            page.keyboard.press("Enter")
            expect(page.locator("#key")).to_have_value("")
            expect(dialog).to_be_visible()
            page.fill("#key", KEY)
            page.keyboard.press("Enter")
            expect(dialog).to_be_hidden()
            paste(page, "نفت الوزارة وقوع الهجوم.")
            expect(page.locator(".sentence")).to_have_count(1)
            assert page.evaluate("sessionStorage.getItem('rasd.key')") == KEY
            assert KEY not in page.evaluate("JSON.stringify(localStorage)")


def test_a_browser_that_blocks_storage_shows_the_page_without_keeping_anything(browser, tmp_path):
    blocked = """for (const name of ["localStorage", "sessionStorage"])
        Object.defineProperty(window, name, {
            get() { throw new DOMException("Access is denied", "SecurityError"); },
        });"""
    with RunningService(tmp_path, environment={"RASD_API_KEYS": f"desk:{KEY}"}) as service:
        for page in visit(browser, service, locale="en"):
            page.add_init_script(blocked)
            page.reload()
            page.fill("#key", KEY)
            page.keyboard.press("Enter")
            paste(page, "نفت الوزارة وقوع الهجوم.")  # the key is known until the page is left
            expect(page.locator(".sentence")).to_have_count(1)
            page.locator(".sentence").click()
            page.fill("#annotator", "Samira")
            for theme in ("light", "dark"):
                page.click("#theme")
                expect(page.locator("html")).to_have_attribute("data-theme", theme)
            page.click("#language")
            expect(page.locator("html")).to_have_attribute("lang", "ar")
            expect(page.locator("#annotator")).to_have_value("Samira")
            page.reload()
            expect(page.locator("html")).to_have_attribute("lang", "en")
            expect(page.locator("#key-dialog")).to_be_visible()


def test_a_correction_that_is_not_stored_is_said_and_taken_back(browser, tmp_path):
    with RunningService(tmp_path, config="feedback: {database: null}\n") as service:
        for page in visit(browser, service, locale="en"):
            paste(page, "نفت الوزارة وقوع الهجوم.")
            sentence = page.locator(".sentence")
            before = sentence.get_attribute("data-label")
            sentence.click()
            page.keyboard.press("1")
            expect(page.locator(".outcome")).to_have_text(
                "Not saved: This service keeps no corrections."
            )
            expect(sentence).to_have_attribute("data-label", before)
