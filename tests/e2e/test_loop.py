"""The whole loop: corrections on the page, a retraining, its promotion under load, and back."""

import json
import random
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby

import httpx
import pytest
from playwright.sync_api import Page, expect
from running_service import RASD, RunningService, wait_for
from small_retraining import DENIALS, write_config
from visits import paste, visit

pytest.importorskip("torch")

from serving.bundle import shipped_model
from serving.registry.pointer import current_name
from serving.registry.store import Registry
from serving.text.sentences import split_sentences
from serving.trial import try_bundle

LABELS = ("attack_report", "claim", "denial", "official_response", "other")
SENTENCES = ["نفت الوزارة وقوع الهجوم.", "وتبنت الجماعة الهجوم على الثكنة."]
KEPT = 3
# What a retraining has written when it is killed, and seconds more at random.
MOMENTS = ("*/challenger/trainer/checkpoint-*", "*/challenger/bundle", "*/report")
A_MOMENT = 0.5


class Load:
    """Clients that ask all the time; each keeps the status and the model of every answer."""

    def __init__(self, url: str, clients: int = 2) -> None:
        self.answers: list[list[tuple[int, str]]] = [[] for _ in range(clients)]
        self._url = url
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(a,)) for a in self.answers]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, answers: list[tuple[int, str]]) -> None:
        with httpx.Client(base_url=self._url, timeout=60) as client:
            while not self._end.wait(0.02):  # the training needs the cores too
                try:
                    answer = client.post("/v1/classify", json={"sentences": SENTENCES})
                    answers.append((answer.status_code, answer.json()["model"]))
                except (httpx.HTTPError, ValueError, KeyError) as error:
                    answers.append((0, repr(error)))

    def answers_with(self, model: str) -> bool:
        return all(answers and answers[-1] == (200, model) for answers in self.answers)

    def sequences(self) -> list[list[tuple[int, str]]]:
        """Each client's answers, those of one kind in a row counted as one."""
        return [[kind for kind, _ in groupby(answers)] for answers in self.answers]


@pytest.fixture
def registry(tmp_path):
    folder = tmp_path / "registry"
    versions = Registry(folder, check=try_bundle)
    versions.promote(versions.add(shipped_model("fast"), name="first"))
    return folder


@pytest.fixture
def service(tmp_path, registry) -> Iterator[RunningService]:
    with RunningService(
        tmp_path / "service", "--threads", "1", "--workers", "1", "--registry", registry
    ) as running:
        yield running


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    lines = DENIALS.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture
def config(tmp_path, authored, rows):
    """A small configuration with a frozen test: held-out denials in dialect, and plain news."""
    test = tmp_path / "test.jsonl"
    held_out = [row for row in rows if row["split"] == "test"] + authored[300:400]
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in held_out)
    test.write_text("".join(lines), encoding="utf-8")
    return write_config(tmp_path, authored[:300], test=["test.jsonl"])


@contextmanager
def corrected(browser, service, rows, label_of) -> Iterator[Page]:
    """Correct or confirm the sentences to learn on the page, as a desk would; open the tab."""
    to_learn = [row for row in rows if row["split"] == "train"]
    learned = [row for row in to_learn if len(split_sentences(row["text"])) == 1]
    assert len(learned) > 150
    for page in visit(browser, service, locale="en-GB"):
        paste(page, "\n\n".join(row["text"] for row in learned))
        sentences = page.locator(".sentence")
        expect(sentences).to_have_count(len(learned))
        sentences.first.press("Enter")
        page.fill("#annotator", "هالة")
        sentences.first.focus()
        for number, row in enumerate(learned):
            expect(page.locator(".sentence.selected")).to_have_attribute("data-index", str(number))
            page.keyboard.press(str(1 + LABELS.index(label_of(row))))
            expect(page.locator(".outcome")).to_have_text("Saved.")
            page.keyboard.press("ArrowDown")
        page.click(".tabs a[href='#retraining']")
        expect(page.locator(".total")).to_have_text(str(len(learned)))
        expect(page.locator(".bars li").filter(has_text="هالة")).to_be_visible()
        yield page


def command_on(page: Page, config) -> list[str]:
    """The command that the page shows, as a shell reads it, with the test's configuration."""
    program, *arguments = shlex.split(page.locator("#retraining pre").inner_text())
    assert program == "rasd"
    return [str(RASD), *arguments, "--config", str(config)]


def verify(registry) -> None:
    command = [RASD, "models", "verify", "--registry", registry]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(1800)
def test_corrections_make_a_better_model_that_serves_and_can_be_taken_back(
    browser, service, registry, rows, config
):
    """The retraining is killed on its way, three times: the service and the registry are whole."""
    first = service.client.get("/v1/model").json()["model"]
    dice = random.Random(1)
    with (
        corrected(browser, service, rows, lambda row: row["label"]) as page,
        Load(service.url) as load,
    ):
        command = command_on(page, config)
        for sign in MOMENTS:
            killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while killed.poll() is None and not list((config.parent / "out").glob(sign)):
                time.sleep(0.01)
            time.sleep(dice.uniform(0, A_MOMENT))
            killed.send_signal(signal.SIGKILL)
            assert killed.wait() == -signal.SIGKILL
            verify(registry)
            assert current_name(registry) == "first"
            assert load.answers_with(first)

        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        name = current_name(registry)
        assert name != "first"
        second = name.replace("-", "@")
        wait_for(lambda: load.answers_with(second))
        page.reload()
        expect(page.locator("#retraining")).to_contain_text(f"{second}\u2069 passed the gate.")
        expect(page.locator("#retraining")).to_contain_text(f"version \u2068{name}\u2069")

        subprocess.run([RASD, "models", "rollback", "--registry", registry], check=True)
        wait_for(lambda: load.answers_with(first))
    there_and_back = [(200, first), (200, second), (200, first)]
    assert load.sequences() == [there_and_back] * len(load.answers)
    verify(registry)


@pytest.mark.timeout(1800)
def test_shuffled_labels_are_refused_and_the_champion_keeps_serving(
    browser, service, registry, rows, config
):
    first = service.client.get("/v1/model").json()["model"]
    dice = random.Random(4)

    def other_label(row: dict[str, str]) -> str:
        return dice.choice([name for name in LABELS if name != row["label"]])

    with corrected(browser, service, rows, other_label) as page, Load(service.url) as load:
        kept = subprocess.run(command_on(page, config), capture_output=True, text=True, check=False)
        assert kept.returncode == KEPT, kept.stdout + kept.stderr
        assert f"{first} is kept" in kept.stdout
        (report,) = (config.parent / "out").glob("*/report/report.json")
        assert not json.loads(report.read_text(encoding="utf-8"))["promoted"]
        assert current_name(registry) == "first"
        assert [v.name for v in Registry(registry, check=try_bundle).versions()] == ["first"]
        page.reload()
        expect(page.locator("#retraining")).to_contain_text(
            f"did not pass the gate: \u2068{first}\u2069 is kept."
        )
    assert load.sequences() == [[(200, first)]] * len(load.answers)
