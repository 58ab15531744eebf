"""`rasd classify` with the model that ships: every sentence once, in order, where it says it is."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving import cli
from serving.bundle import shipped_model
from serving.classifier import Classifier
from serving.classify import stream
from serving.files.documents import DocumentStream
from serving.files.fields import ReadOptions
from serving.files.sources import find_sources
from serving.labels import LabelScheme
from serving.progress import SentenceProgress
from tests.e2e.conftest import RASD

LABELS = set(LabelScheme.read(Path(__file__).parents[2] / "configs" / "labels.yaml").names)
KEYS = [
    "doc_id",
    "sentence",
    "start",
    "end",
    "text",
    "label",
    "probability",
    "certain",
    "probabilities",
    "model",
]
ARTICLE = (
    "قُتل تسعة جنود في كمين شمال البلدة فجر الأحد، وفق مصدر طبي.\r\n"
    "ونفت الحركة أي صلة لها بالهجوم! هل تبنته جهة أخرى؟\r\n\r\n"
    "ودان المجلس «الاعتداء» 🚨 بأشد العبارات.\r\n"
)

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX pipes and terminals")


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load()


@pytest.fixture
def article(tmp_path, monkeypatch) -> Path:
    """An article in the current folder, so that its id is its name."""
    monkeypatch.chdir(tmp_path)
    path = Path("article.txt")
    path.write_bytes(ARTICLE.encode())
    return path


@pytest.fixture
def records(capsysbinary):
    """Run a command in this process and read the records that it prints."""

    def run(*arguments: object) -> list[dict]:
        code = cli.main(["classify", *map(str, arguments)])
        output, errors = capsysbinary.readouterr()
        assert code == 0
        assert all(b": 4 sentences, labelled by " in line for line in errors.splitlines())
        return [json.loads(line) for line in output.splitlines()]

    return run


def label(classifier, *paths, unit="document"):
    documents = DocumentStream(find_sources([str(p) for p in paths]), ReadOptions(unit))
    progress = SentenceProgress(None, visible=False)
    records = stream.labelled(documents, classifier, unit, progress)
    return [record.as_dict() for record in records]


# --- The records -------------------------------------------------------------------------------


def test_every_sentence_is_labelled_once_in_order_where_it_says_it_is(article, records):
    found = records(article)
    assert [list(record) for record in found] == [KEYS] * 4
    assert [record["sentence"] for record in found] == [0, 1, 2, 3]
    assert " ".join(r["text"] for r in found).split() == ARTICLE.split()
    for record in found:
        assert record["text"] == ARTICLE[record["start"] : record["end"]]
        assert set(record["probabilities"]) == LABELS
        assert record["label"] in LABELS
        assert record["probability"] == max(record["probabilities"].values())
        assert sum(record["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert record["doc_id"] == "article.txt"


any_text = st.text(st.sampled_from("ابتث نفى. !؟\n\r«»:،َ\u200f\u2028🚨ab1٢") | st.characters())


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(texts=st.lists(any_text, max_size=4))
def test_offsets_are_exact_for_any_document(tmp_path, classifier, texts):
    path = tmp_path / "news.jsonl"
    path.write_text(
        "".join(json.dumps({"id": n, "text": text}) + "\n" for n, text in enumerate(texts)),
        encoding="utf-8",
    )
    rows = label(classifier, path)
    for row in rows:
        assert row["text"] == texts[int(row["doc_id"])][row["start"] : row["end"]]
    places = [(int(row["doc_id"]), row["sentence"], row["start"]) for row in rows]
    assert places == sorted(places)


def test_one_sentence_gets_one_score_from_every_kind_of_input(tmp_path, records, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_bytes(ARTICLE.encode())
    Path("b.jsonl").write_text(json.dumps({"id": "b", "text": ARTICLE}), encoding="utf-8")
    with Path("c.csv").open("w", encoding="utf-8-sig", newline="") as stream:
        csv.writer(stream).writerows([["when", "text", "id"], ["2020", ARTICLE, "c"]])
    found = records(".")
    kinds = [[r for r in found if r["doc_id"] == name] for name in ("a.txt", "b", "c")]
    assert [len(kind) for kind in kinds] == [4, 4, 4]
    answers = [[r | {"doc_id": ""} for r in kind] for kind in kinds]
    assert answers[0] == answers[1] == answers[2]


def test_order_and_scores_do_not_depend_on_how_sentences_are_put_together(
    tmp_path, classifier, authored, monkeypatch
):
    path = tmp_path / "news.jsonl"
    lines = (json.dumps({"id": row["id"], "text": row["text"]}) for row in authored[:30])
    path.write_text("\n".join(lines), encoding="utf-8")
    whole = label(classifier, path)
    monkeypatch.setattr(stream, "CHUNK", 7)
    assert label(classifier, path) == whole
    assert list(dict.fromkeys(r["doc_id"] for r in whole)) == [r["id"] for r in authored[:30]]


def test_with_the_unit_sentence_nothing_is_split_and_nothing_is_lost(tmp_path, classifier):
    path = tmp_path / "lines.txt"
    path.write_text("نفى ذلك. وقُتل اثنان! لماذا؟\n\n***\nودان المجلس الهجوم.\n", encoding="utf-8")
    first, refused, last = label(classifier, path, unit="sentence")
    assert (first["doc_id"], last["doc_id"]) == (f"{path}:1", f"{path}:4")
    assert first["text"] == "نفى ذلك. وقُتل اثنان! لماذا؟"
    assert (first["sentence"], first["start"], first["end"]) == (0, 0, len(first["text"]))
    assert refused["label"] is None
    assert refused["error"]
    assert {first["label"], last["label"]} <= LABELS


# --- Where they go -----------------------------------------------------------------------------


def test_the_format_follows_the_suffix_and_all_formats_say_the_same(article, records, capsysbinary):
    expected = records(article, "--format", "jsonl", "--model", "cascade")
    for name in ("out.jsonl", "out.csv", "out.txt"):
        assert records(article, "-o", name) == []
    assert [json.loads(line) for line in Path("out.jsonl").read_bytes().splitlines()] == expected
    with Path("out.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(r["text"], r["label"], float(r["probability"])) for r in rows] == [
        (r["text"], r["label"], r["probability"]) for r in expected
    ]
    assert Path("out.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    table = Path("out.txt").read_text(encoding="utf-8")
    assert "4 sentences: " in table
    assert "\x1b" not in table

    words = ["classify", str(article), "--format", "csv", "-o", "-", "--model", "cascade"]
    assert cli.main(words) == 0
    assert capsysbinary.readouterr().out == Path("out.csv").read_bytes()[3:]


def test_a_result_is_replaced_whole_and_a_link_is_followed(article, records):
    Path("real.jsonl").write_text("yesterday's", encoding="utf-8")
    Path("link.jsonl").symlink_to("real.jsonl")
    records(article, "-o", "link.jsonl")
    assert Path("link.jsonl").is_symlink()
    assert len(Path("real.jsonl").read_bytes().splitlines()) == 4
    assert sorted(p.name for p in Path().iterdir()) == ["article.txt", "link.jsonl", "real.jsonl"]


def test_no_text_gives_no_records_and_says_so(rasd, tmp_path):
    (tmp_path / "empty.txt").write_bytes(b"")
    result = rasd("classify", "empty.txt")
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr.splitlines() == ["rasd: no text in the input, so nothing was labelled"]


def test_a_run_says_what_it_wrote_and_with_which_model(rasd, tmp_path):
    (tmp_path / "a.txt").write_text(ARTICLE, encoding="utf-8")
    model = Classifier.load(shipped_model("fast")).model
    result = rasd("classify", "a.txt", "-o", "out.jsonl", "--model", "fast")
    assert result.stderr == f"rasd: out.jsonl: 4 sentences, labelled by {model}\n"


# --- The command among others -----------------------------------------------------------------


def test_standard_input_to_standard_output(rasd):
    lines = rasd("classify", "-", stdin=ARTICLE).stdout.splitlines()
    assert [json.loads(line)["doc_id"] for line in lines] == ["stdin"] * 4
    (line,) = rasd("classify", "-", stdin='{"text": "نفى \\ud800 ذلك"}').stdout.splitlines()
    assert json.loads(line)["text"] == "نفى \ud800 ذلك"


@posix
@pytest.mark.parametrize("form", ["jsonl", "csv", "table"])
def test_a_reader_may_leave_early(tmp_path, form):
    path = tmp_path / "long.txt"
    path.write_text("نفى ذلك.\n" * 3000, encoding="utf-8")
    command = [RASD, "classify", path, "--format", form]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == (b"", 0)


@posix
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing_behind(tmp_path, sign):
    command = [RASD, "classify", "-", "--unit", "sentence", "-o", "out.jsonl"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as process:
        # More than a pipe and a chunk hold (of what takes no time): the run is under way when all
        # of it is taken, and waits for more.
        process.stdin.write((b"*" * 99 + b"\n") * 2000)
        assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl.parts"]
        process.send_signal(sign)
        assert (process.stderr.read(), process.wait()) == (b"", 128 + sign)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device")
def test_a_full_disk_is_a_failure_in_one_line(article):
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            [RASD, "classify", article], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert result.returncode == 1
    (line,) = result.stderr.decode().splitlines()
    assert line.startswith("rasd: standard output: cannot be written")


@pytest.fixture
def terminal():
    """A pseudo-terminal: the side for a command, and a function that reads what it shows."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()

    def read(until: bytes | None = None) -> str:
        """Read up to `until`, or to the end; then no one else may hold the command's side."""
        if until is None:
            os.close(theirs)
        shown = b""
        try:
            while until is None or until not in shown:
                shown += os.read(ours, 65536) or b""
        except OSError:  # how Linux says that the other side has closed
            pass
        return shown.decode()

    yield theirs, read
    os.close(ours)


@posix
def test_a_terminal_shows_a_coloured_table(article, terminal, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    side, read = terminal
    with subprocess.Popen([RASD, "classify", article], stdout=side, stderr=side) as process:
        shown = read()
        assert process.wait() == 0
    assert "4 sentences: " in shown
    assert "\x1b[1;38;" in shown


@posix
def test_a_long_run_shows_a_bar_that_goes_away(tmp_path, terminal, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    side, read = terminal
    command = [RASD, "classify", "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=side
    ) as process:
        assert "0 sentences" in read(until=b"sentences")  # it waits for its input
        output, _ = process.communicate(ARTICLE.encode())
    assert len(output.splitlines()) == 4
    assert read().endswith("\x1b[1A\x1b[2K")
