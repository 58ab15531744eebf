"""The tab about retraining, and its route: who sees how much of the corrections and the command."""

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect
from running_service import RunningService, wait_for
from test_page_looks import assert_accessible
from visits import paste, visit

from serving.bundle import shipped_model
from serving.cli import build_parser
from serving.registry.retraining import CheckFigures, Retraining, record_retraining
from serving.registry.store import Registry

SENTENCE = "نفت الوزارة وقوع الهجوم."
DESK, ARCHIVE = "first-key-of-this-test", "second-key-of-this-test"
CHECKS = (
    ("macro-F1", "passed", 0.722, 0.919),
    ("recall of denial", "failed", 0.925, 0.491),
    ("accuracy on new labels", "undecided", 0.5, 0.6),
)


def correct(service: RunningService, text: str, label: str, annotator="", key="") -> None:
    answer = service.client.post(
        "/v1/feedback",
        json={
            "text": text,
            "label": label,
            "predicted": "other",
            "model": "fast@0",
            "annotator": annotator,
        },
        headers={"X-API-Key": key} if key else {},
    )
    assert answer.status_code == 201, answer.text


def known(service: RunningService, key="") -> dict:
    answer = service.client.get("/v1/retraining", headers={"X-API-Key": key} if key else {})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    folder = tmp_path_factory.mktemp("desk") / "registry"
    versions = Registry(folder, check=lambda _: None)
    versions.promote(versions.add(shipped_model("fast"), name="small"))
    return folder


@pytest.fixture(scope="module")
def service(registry, tmp_path_factory):
    with RunningService(
        tmp_path_factory.mktemp("service"),
        *("--threads", "1", "--workers", "1", "--registry", registry),
    ) as running:
        yield running


@pytest.fixture
def page(browser, service) -> Iterator[Page]:
    yield from visit(browser, service, locale="en-GB")


def test_the_desk_reads_its_corrections_the_last_verdict_and_the_command(page, service, registry):
    page.click(".tabs a[href='#retraining']")
    tab = page.locator("#retraining")
    expect(tab).to_contain_text("version \u2068small\u2069 of the registry")
    expect(tab).to_contain_text("There has been no retraining with this registry yet.")
    expect(page.locator("#composer")).to_be_hidden()

    page.click(".tabs a[href='#labelling']")
    expect(tab).to_be_hidden()
    paste(page, SENTENCE)
    page.locator(".sentence").click()
    page.fill("#annotator", "هالة")
    page.click("[data-choice=claim]")
    expect(page.locator(".outcome")).to_have_text("Saved.")
    correct(service, SENTENCE, "denial", annotator="<b>salma</b>")
    correct(service, f"{SENTENCE} 2", "denial")
    record_retraining(
        registry,
        Retraining(
            time=datetime.now(UTC),
            champion="fast@1",
            challenger="fast@2",
            passed=False,
            checks=[
                CheckFigures(
                    name=name, outcome=outcome, champion=old, challenger=new, condition="any"
                )
                for name, outcome, old, new in CHECKS
            ],
        ),
    )
    page.click(".tabs a[href='#retraining']")
    expect(page.locator(".total")).to_have_text("3")
    bars = page.locator(".bars li")
    expect(bars.filter(has_text="Denial")).to_have_text("Denial2")
    expect(bars.filter(has_text="Claim")).to_have_text("Claim1")
    expect(bars.filter(has_text="هالة")).to_have_text("هالة1")
    expect(bars.filter(has_text="salma")).to_have_text("<b>salma</b>1")
    expect(bars.filter(has_text="Without a name")).to_have_text("Without a name1")
    expect(tab).to_contain_text("fast@2\u2069 did not pass the gate: \u2068fast@1\u2069 is kept.")
    expect(tab.locator("tbody tr")).to_have_text(
        [
            "Macro-F10.7220.919passed",
            "Recall of Denial0.9250.491failed",
            "Accuracy on new labels0.5000.600too few to tell",
        ]
    )
    program, *arguments = shlex.split(tab.locator("pre").inner_text())
    assert program == "rasd"
    options = build_parser().parse_args(arguments)
    assert options.from_feedback == f"sqlite:///{service.folder / 'feedback.db'}"
    assert options.registry == registry
    assert not tab.locator("button").count()


def test_no_key_of_the_labels_works_behind_the_tab_and_the_address_leads_to_it(page, service):
    paste(page, SENTENCE)
    page.locator(".sentence").click()
    before = page.locator(".sentence").get_attribute("data-label")
    page.click(".tabs a[href='#retraining']")
    expect(page.locator("#retraining pre")).to_be_visible()
    page.keyboard.press("1")
    page.keyboard.press("Tab")
    page.click(".tabs a[href='#labelling']")
    expect(page.locator(".sentence")).to_have_attribute("data-label", before)
    page.goto(f"{service.url}/#retraining")
    expect(page.locator("#retraining pre")).to_be_visible()
    page.click("#language")
    expect(page.locator("#retraining h2").first).to_have_text("التصحيحات حتى الآن")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_tab_can_be_used_on_a_phone_and_with_a_screen_reader(browser, service, scheme):
    correct(service, f"{SENTENCE} {scheme}", "denial", annotator="كريم " * 20)
    for page in visit(
        browser,
        service,
        locale="ar",
        viewport={"width": 390, "height": 844},
        color_scheme=scheme,
        reduced_motion="reduce",
    ):
        page.goto(f"{service.url}/#retraining")
        expect(page.locator("#retraining pre")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        inside = """e => [...e.querySelectorAll("table, pre, li")].every(
            (one) => one.scrollWidth <= one.parentElement.clientWidth)"""
        assert page.locator("#retraining").evaluate(inside)
        assert_accessible(page)


def test_a_key_sees_its_own_annotators_and_of_other_keys_the_sums(tmp_path):
    keys = f"desk:{DESK},archive:{ARCHIVE}"
    with RunningService(
        tmp_path, "--threads", "1", "--model", "fast", environment={"RASD_API_KEYS": keys}
    ) as service:
        correct(service, SENTENCE, "denial", annotator="هالة", key=DESK)
        correct(service, SENTENCE, "claim", annotator="كريم", key=DESK)
        correct(service, SENTENCE, "denial", annotator="سلمى", key=ARCHIVE)
        assert service.client.get("/v1/retraining").status_code == 401
        assert known(service, DESK)["corrections"] == {
            "total": 3,
            "labels": {
                "attack_report": 0,
                "claim": 1,
                "denial": 2,
                "official_response": 0,
                "other": 0,
            },
            "annotators": [
                {"name": "archive", "corrections": 1},
                {"name": "كريم", "corrections": 1},
                {"name": "هالة", "corrections": 1},
            ],
        }
        assert known(service, ARCHIVE)["corrections"]["annotators"] == [
            {"name": "desk", "corrections": 2},
            {"name": "سلمى", "corrections": 1},
        ]
        # `rasd retrain` without a registry starts from the included model, which is not served.
        assert known(service, DESK)["command"] is None


def test_without_a_registry_the_tab_speaks_of_none(browser, tmp_path):
    with RunningService(tmp_path, "--threads", "1", "--workers", "1") as running:
        for page in visit(browser, running, locale="en-GB"):
            page.click(".tabs a[href='#retraining']")
            tab = page.locator("#retraining")
            expect(tab).to_contain_text("Only retrainings with a registry are shown here")
            expect(tab).to_contain_text("The service keeps its model.")
            expect(tab).not_to_contain_text("promotes")


def test_who_may_be_anyone_sees_no_name_and_no_path(tmp_path, registry):
    with RunningService(
        tmp_path, "--threads", "1", "--insecure", "--host", "0.0.0.0", "--registry", registry
    ) as service:
        correct(service, SENTENCE, "denial", annotator="هالة")
        answer = service.client.get("/v1/retraining")
        assert answer.json()["corrections"]["total"] == 1
        assert answer.json()["corrections"]["annotators"] is None
        assert answer.json()["command"] is None
        assert "هالة" not in answer.text
        assert str(tmp_path.parent) not in answer.text


def test_a_record_that_is_none_is_a_problem_and_the_log_has_the_reason(service, registry):
    good = (registry / "retraining.json").read_bytes()
    try:
        (registry / "retraining.json").write_text("{}", encoding="utf-8")
        answer = service.client.get("/v1/retraining")
        assert answer.status_code == 503
        assert answer.json()["type"] == "urn:rasd:retraining-unavailable"
        assert str(registry) not in answer.text
        why = "not the record of a retraining"
        wait_for(lambda: any(why in entry.get("reason", "") for entry in service.log))
    finally:
        (registry / "retraining.json").write_bytes(good)
