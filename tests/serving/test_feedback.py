"""The store of corrections, on real SQLite and PostgreSQL: what is said to be kept is kept."""

import json
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from serving.cli import main
from serving.errors import InputError
from serving.feedback import Counts, NewCorrection, _corrections, open_store
from serving.feedback_engine import StoreError
from serving.labels import LabelScheme
from training.labelled.reading import read_labelled

SCHEME = LabelScheme.model_validate(
    {
        "labels": [
            {"name": name, "arabic": "ا", "colour": "#000000"}
            for name in ("claim", "denial", "other")
        ]
    }
)


def correction(text: str = "نفت الوزارة وقوع الهجوم.", **fields) -> NewCorrection:
    return NewCorrection(
        **{"text": text, "label": "denial", "predicted": "other", "model": "m@1"} | fields
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'feedback.db'}"
    url = request.getfixturevalue("postgresql").url
    import psycopg

    with psycopg.connect(url) as connection:
        connection.execute("DROP TABLE IF EXISTS rasd_corrections")
    return url


@pytest.fixture
def store(database):
    opened = open_store(database)
    yield opened
    opened.close()


def test_a_correction_is_kept_whole(store, database):
    before = datetime.now(UTC)
    given_one = correction(
        probabilities={"denial": 0.25, "other": 0.75},
        annotator="هالة",
        caller="desk-2",
        note="النفي في آخر الجملة 🙂",
    )
    number, revision = store.add(given_one)
    store.close()

    again = open_store(database)
    (kept,) = again.corrections()
    again.close()
    assert (kept.id, kept.revision) == (number, revision) == (number, 1)
    assert {name: getattr(kept, name) for name in NewCorrection.__slots__} == {
        name: getattr(given_one, name) for name in NewCorrection.__slots__
    }
    assert before <= kept.created == kept.updated <= datetime.now(UTC)
    assert kept.created.utcoffset() == timedelta(0)


def test_an_annotator_may_think_again_and_others_may_disagree(store):
    first, _ = store.add(correction(annotator="a", note="?"))
    assert store.add(correction(annotator="a", label="claim", model="m@2")) == (first, 2)
    assert store.add(correction(annotator="b"))[1] == 1
    assert store.add(correction(annotator="a", caller="another key"))[1] == 1
    kept, *others = store.corrections()
    assert (kept.label, kept.model, kept.note) == ("claim", "m@2", None)
    assert kept.created < kept.updated
    assert [(other.annotator, other.caller) for other in others] == [
        ("b", ""),
        ("a", "another key"),
    ]


def test_corrections_without_a_name_are_one_annotators(store):
    assert store.add(correction())[1] == 1
    assert store.add(correction(label="claim"))[1] == 2
    assert store.add(correction("نص آخر."))[1] == 1


def test_corrections_are_counted_by_label_and_by_person_of_one_key(store):
    assert store.counts("desk", annotators=5) == Counts({}, {})
    for text, label, annotator, caller in (
        ("أ", "denial", "هالة", "desk"),
        ("ب", "denial", "هالة", "desk"),
        ("أ", "claim", "", "desk"),
        ("أ", "denial", "سلمى", "archive"),
        ("أ", "denial", "كريم", "archive"),
        ("ج", "denial", "كريم", "archive"),
    ):
        store.add(correction(text, label=label, annotator=annotator, caller=caller))
    desk = store.counts("desk", annotators=5)
    assert desk == Counts({"claim": 1, "denial": 5}, {"archive": 3, "هالة": 2, "desk": 1})
    assert list(desk.annotators) == ["archive", "هالة", "desk"]
    assert store.counts("archive", annotators=2).annotators == {"desk": 3, "كريم": 2}


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))))
def test_any_text_is_given_back_as_it_was(texts, tmp_path_factory):
    opened = open_store(f"sqlite:///{tmp_path_factory.mktemp('store') / 'feedback.db'}")
    for text in texts:
        opened.add(correction(text))
    assert [kept.text for kept in opened.corrections()] == list(dict.fromkeys(texts))
    opened.close()


def test_many_at_once_lose_nothing(store):
    texts = [f"جملة {n % 25}" for n in range(200)]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda text: store.add(correction(text)), texts))
    kept = list(store.corrections())
    assert {row.text for row in kept} == set(texts)
    assert [row.revision for row in kept] == [8] * 25
    assert len(set(answers)) == 200


def test_two_processes_share_one_database(store, database):
    code = (
        "import sys; from serving.feedback import *\n"
        "store = open_store(sys.argv[1])\n"
        "for n in range(50): store.add(NewCorrection(f'{sys.argv[2]} {n}', 'claim', 'other', 'm'))"
    )
    others = [
        subprocess.Popen([sys.executable, "-c", code, database, name]) for name in ("أول", "ثان")
    ]
    assert [other.wait() for other in others] == [0, 0]
    assert len(list(store.corrections())) == 100


def test_what_was_answered_outlives_kill_9(tmp_path):
    database = f"sqlite:///{tmp_path / 'feedback.db'}"
    code = (
        "import sys; from serving.feedback import *\n"
        "store = open_store(sys.argv[1])\n"
        "for n in range(10**6):\n"
        "    store.add(NewCorrection(str(n), 'claim', 'other', 'm'))\n"
        "    print(n, flush=True)"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", code, database], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout
    told = [writer.stdout.readline().strip() for _ in range(100)]
    writer.send_signal(signal.SIGKILL)
    told += writer.stdout.read().split()
    writer.wait()
    store = open_store(database)
    kept = [row.text for row in store.corrections()]
    store.add(correction())
    store.close()
    assert kept[: len(told)] == told
    assert len(kept) - len(told) <= 1


def test_a_full_disk_is_told_and_got_over(tmp_path):
    # A file system of half a megabyte, of the test's own.
    disk = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o size=512k none {tmp_path}"
    if subprocess.run([*disk, mount], check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("a file system cannot be mounted here, not even in a name space")
    code = (
        "import sys, pathlib; from serving.feedback import *\n"
        "from serving.feedback_engine import StoreFullError\n"
        "folder = pathlib.Path(sys.argv[1]); filler = folder / 'filler'\n"
        "store = open_store(f'sqlite:///{folder}/feedback.db')\n"
        "filler.write_bytes(bytes(200_000))\n"
        "def add(n): store.add(NewCorrection(str(n) + 'ن' * 2000, 'claim', 'other', 'm'))\n"
        "kept = 0\n"
        "try:\n"
        "    while kept < 1000: add(kept); kept += 1\n"
        "except StoreFullError: print('full')\n"
        "assert len(list(store.corrections())) == kept > 0\n"
        "filler.unlink(); add('again')\n"
        "print(len(list(store.corrections())) - kept)"
    )
    run = subprocess.run(
        [*disk, f'{mount} && exec "$0" -c "$1" "$2"', sys.executable, code, tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.split() == ["full", "1"], run.stderr


def test_a_locked_database_is_an_error_and_the_store_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("serving.feedback_engine.PATIENCE", 0.1)
    store = open_store(f"sqlite:///{tmp_path / 'feedback.db'}")
    other = sqlite3.connect(tmp_path / "feedback.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="database is locked"):
        store.add(correction())
    other.execute("ROLLBACK")
    assert store.add(correction())[1] == 1
    store.close()


def test_a_database_that_comes_back_is_used_again(postgresql):
    store = open_store(postgresql.url)
    store.add(correction(annotator="before"))
    postgresql.stop()
    try:
        with pytest.raises(StoreError):
            store.add(correction(annotator="between"))
    finally:
        postgresql.start()
    store.add(correction(annotator="after"))
    names = {row.annotator for row in store.corrections()}
    store.close()
    assert {"before", "after"} <= names
    assert "between" not in names


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("feedback.db", "not a database's URL"),
        ("sqlite://", "cannot keep corrections there"),
        ("mysql://user:secret@host/db", "cannot keep corrections there"),
        ("sqlite:////no/such/folder/feedback.db", "cannot be opened"),
        ("sqlite:///a\0b", "cannot be opened"),
        ("sqlite://host/feedback.db", "cannot keep corrections there"),
        ("sqlite:///feedback.db?timeout=secret", "a wrong option"),
        ("postgresql://user:secret@host:port/db", "not a database's URL"),
        ("postgresql://user:secret@127.0.0.1:1/db", "cannot be opened"),
    ],
)
def test_a_wrong_address_is_refused_without_its_password(address, said):
    with pytest.raises(InputError, match=said) as error:
        open_store(address)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_the_export_is_a_labelled_file(store, database, tmp_path, suffix):
    texts = ['قال: "لا"، ثم نفى\r\nكل شيء', "=1+1 جملة", "جملة ثالثة، بفاصلة"]
    for text in texts:
        store.add(correction(text, annotator="هالة", note="a,b", probabilities={"denial": 0.1}))
    output = tmp_path / f"labelled{suffix}"
    assert main(["feedback", "export", "--database", database, "-o", str(output)]) == 0
    data = read_labelled([output], SCHEME, lambda text: text)
    assert not data.warnings
    assert [row.text for row in data.sentences] == texts
    assert {row.label for row in data.sentences} == {"denial"}
    assert {row.source for row in data.sentences} == {"feedback"}
    today = {(datetime.now(UTC) - timedelta(days=days)).date().isoformat() for days in (0, 1)}
    assert {datetime.fromisoformat(row.date).date().isoformat() for row in data.sentences} <= today
    assert all("T" in row.date for row in data.sentences)  # the newest of one day can be told
    assert len({row.id for row in data.sentences}) == 3


def test_the_export_takes_the_database_of_a_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///desk.db")
    store.add(correction())
    store.close()
    (tmp_path / "serve.yaml").write_text("feedback: {database: 'sqlite:///desk.db'}\n")
    assert main(["feedback", "export", "--config", "serve.yaml", "-o", "out.jsonl"]) == 0
    assert len((tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "out.jsonl"], "holds no corrections"),  # there is no feedback.db here
        (["-o", "out.txt"], "its suffix '.txt'"),
        (["-o", "no/such/folder/out.csv"], "there is no folder"),
    ],
)
def test_an_export_that_cannot_be_leaves_nothing(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert main(["feedback", "export", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", ["updated = 'yesterday'", "updated = 7", "probabilities = '{'"])
def test_a_row_that_another_program_spoiled_is_an_error_of_two_lines(
    tmp_path, monkeypatch, capsys, change
):
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///feedback.db")
    store.add(correction())
    store.close()
    with sqlite3.connect("feedback.db") as database:
        database.execute(f"UPDATE rasd_corrections SET {change}")
    database.close()
    assert main(["feedback", "export", "-o", "out.jsonl"]) == 1
    problem, remedy = capsys.readouterr().err.splitlines()
    assert "A correction cannot be read" in problem
    assert "rasd_corrections" in remedy
    assert not (tmp_path / "out.jsonl").exists()


def test_two_services_may_start_on_a_new_database_at_once(database):
    def another_service(*_: object, **__: object) -> None:
        open_store(database).close()

    event.listen(_corrections, "before_create", another_service, once=True)
    store = open_store(database)
    assert store.add(correction()) == (1, 1)
    store.close()


def test_a_new_file_of_corrections_is_for_its_owner_alone(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'feedback.db'}")
    store.add(correction())
    files = list(tmp_path.iterdir())
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    store.close()


def test_a_deleted_file_is_noticed_and_made_again(tmp_path):
    file = tmp_path / "feedback.db"
    store = open_store(f"sqlite:///{file}")
    store.add(correction("جملة أولى"))
    for part in tmp_path.iterdir():
        part.unlink()
    store.add(correction("جملة ثانية"))
    store.close()
    again = open_store(f"sqlite:///{file}", create=False)
    assert [row.text for row in again.corrections()] == ["جملة ثانية"]
    assert file.stat().st_mode & 0o777 == 0o600
    again.close()


def test_a_server_that_stops_answering_is_given_up(postgresql):
    store = open_store(postgresql.url)
    store.add(correction(annotator="before"))
    postgresql.signal(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(1) as pool, pytest.raises(StoreError):
            pool.submit(store.add, correction(annotator="meanwhile")).result(30)
    finally:
        postgresql.signal(signal.SIGCONT)
    assert store.add(correction(annotator="after"))[1] == 1
    store.close()


def test_the_export_keeps_the_key_beside_the_annotator(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///feedback.db")
    store.add(correction("جملة أولى", annotator="هالة", caller="desk"))
    store.add(correction("جملة ثانية", caller="desk"))
    store.close()
    assert main(["feedback", "export", "-o", "out.jsonl"]) == 0
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert [(row["annotator"], row["caller"]) for row in rows] == [
        ("هالة", "desk"),
        ("desk", "desk"),
    ]


@pytest.mark.parametrize(
    "address", ["user:secret@host", "postgresql://u@127.0.0.1:1/db?password=secret", "x://:secret@"]
)
def test_no_password_is_quoted_wherever_it_is(address):
    with pytest.raises(InputError) as error:
        open_store(address)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("driver", ["sqlite+pysqlite", "sqlite+aiosqlite", "sqlite+nonsense"])
def test_an_sqlite_file_is_opened_with_our_driver_whatever_the_address_names(tmp_path, driver):
    opened = open_store(f"{driver}:///{tmp_path / 'feedback.db'}")
    assert opened.add(correction())[1] == 1
    opened.close()
