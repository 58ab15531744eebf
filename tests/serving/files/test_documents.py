"""Files, folders and standard input to documents: nothing lost, nothing changed."""

import csv
import gzip
import io
import json
import lzma
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.errors import InputError
from serving.files.documents import DocumentStream
from serving.files.fields import ReadOptions
from serving.files.sources import find_sources
from serving.records import Document

PROPERTY = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
# The same at every run, since names of tests are made of them.
CUT_GZIP = gzip.compress(bytes(range(99)), mtime=0)[:60]
CUT_XZ = lzma.compress(bytes(range(99)))[:60]
# Tags and entities would be taken for HTML.
any_text = st.text(st.characters(exclude_categories=(), exclude_characters="<&"))
# What a UTF-8 file may hold as it is.
file_text = st.text(st.characters(codec="utf-8", exclude_characters="\0")).filter(
    lambda text: not text.startswith("\ufeff")
)


def stream(*inputs: object, **options: str) -> DocumentStream:
    return DocumentStream(find_sources([str(name) for name in inputs]), ReadOptions(**options))


def read(*inputs: object, **options: str) -> list[Document]:
    return list(stream(*inputs, **options))


def write(path: Path, content: bytes | str) -> Path:
    raw = content.encode() if isinstance(content, str) else content
    compress = {".gz": gzip.compress, ".xz": lzma.compress}.get(path.suffix, bytes)
    path.write_bytes(compress(raw))
    return path


@pytest.fixture(params=["", ".gz", ".xz"], ids=["plain", "gzip", "xz"])
def zipped(request) -> str:
    return request.param


# --- What goes in comes out --------------------------------------------------------------------


@PROPERTY
@given(rows=st.lists(st.tuples(any_text.filter(bool), any_text)), ascii_only=st.booleans())
def test_json_lines_keep_every_id_and_text(tmp_path, zipped, rows, ascii_only):
    def line(identifier: str, text: str) -> bytes:
        record = {"id": identifier, "text": text}
        raw = json.dumps(record, ensure_ascii=ascii_only)
        try:
            return raw.encode() + b"\n"
        except UnicodeEncodeError:  # half a surrogate pair can only come in as an escape
            return json.dumps(record).encode() + b"\n"

    path = write(tmp_path / f"news.jsonl{zipped}", b"".join(line(*row) for row in rows))
    # Half a surrogate pair followed by the other half is one sign to every reader of JSON.
    expected = [tuple(json.loads(json.dumps(row))) for row in rows]
    assert [(document.id, document.text) for document in read(path)] == expected


@PROPERTY
@given(rows=st.lists(st.tuples(file_text.filter(bool), file_text)), mark=st.booleans())
def test_csv_keeps_quotes_commas_and_line_breaks(tmp_path, zipped, rows, mark):
    sheet = io.StringIO()
    csv.writer(sheet).writerows([("text", "id"), *((text, name) for name, text in rows)])
    raw = sheet.getvalue().encode("utf-8-sig" if mark else "utf-8")
    path = write(tmp_path / f"news.csv{zipped}", raw)
    assert [(document.id, document.text) for document in read(path)] == rows


@PROPERTY
@given(text=file_text)
def test_a_text_file_is_one_document_with_its_own_line_ends(tmp_path, zipped, text):
    path = write(tmp_path / f"news.txt{zipped}", text)
    assert [(document.id, document.text) for document in read(path)] == [(str(path), text)]


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.txt", "خبر"), ("a.jsonl", '{"id": "a", "text": "خبر"}'), ("a.csv", "text,id\nخبر,a\n")],
)
def test_a_byte_order_mark_is_not_text(tmp_path, name, content):
    (document,) = read(write(tmp_path / name, b"\xef\xbb\xbf" + content.encode()))
    assert document.text == "خبر"
    assert document.metadata == {}


def test_a_cell_may_be_as_long_as_a_book(tmp_path):
    text = "قال المتحدث، " * 50_000
    path = write(tmp_path / "book.csv", f'id,text\n1,"{text}"\n')
    assert [document.text for document in read(path)] == [text]


# --- Ids, metadata, sentences ------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_header_shows_what_separates_cells(tmp_path, separator):
    cells = [["id", "text"], ["a", "نفى، ثم أكد; ثم نفى, مرة"], ["b", "سطر\nثان"]]
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=separator).writerows(cells)
    found = read(write(tmp_path / "news.csv", stream.getvalue()))
    assert [(document.id, document.text) for document in found] == [
        (row[0], row[1]) for row in cells[1:]
    ]


def test_a_record_without_an_id_is_named_by_its_line(tmp_path):
    path = write(
        tmp_path / "news.jsonl",
        '{"text": "a"}\n\n{"text": "b", "id": null}\n{"text": "c", "id": ""}\n'
        '{"text": "d", "id": 0}',
    )
    assert [d.id for d in read(path)] == [f"{path}:1", f"{path}:3", f"{path}:4", "0"]


def test_a_csv_row_is_named_by_the_line_it_begins_on(tmp_path):
    path = write(tmp_path / "news.csv", 'text,source\n"a\nb",x\n\nc,y\n')
    assert [d.id for d in read(path)] == [f"{path}:2", f"{path}:5"]


def test_numbers_as_ids_become_strings_and_doubles_stay(tmp_path):
    path = write(tmp_path / "news.jsonl", '{"id": 7, "text": "a"}\n{"id": 7, "text": "b"}\n')
    assert [d.id for d in read(path)] == ["7", "7"]


def test_other_fields_are_metadata(tmp_path):
    path = write(
        tmp_path / "news.jsonl", '{"url": "u1", "body": "a", "date": {"year": 2020}, "id": 3}\n'
    )
    (document,) = read(path, text_field="body", id_field="url")
    assert document == Document("u1", "a", {"date": {"year": 2020}, "id": 3})


def test_with_the_unit_sentence_every_line_is_one_document(tmp_path):
    path = write(tmp_path / "lines.txt", "نفى. ذلك\r\n \n\nقُتل؟ اثنان")
    assert read(path, unit="sentence") == [
        Document(f"{path}:1", "نفى. ذلك"),
        Document(f"{path}:4", "قُتل؟ اثنان"),
    ]


# --- Folders and standard input ----------------------------------------------------------------


def test_a_folder_is_read_in_order_without_hidden_and_foreign_files(tmp_path, capsys):
    for name in ("b.txt", "a/z.TXT", "a/.hidden.txt", ".git/x.txt", "photo.png", "a/y.jsonl.gz"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        write(path, '{"text": "خبر"}')
    assert [d.id for d in read(tmp_path)] == ["a/y.jsonl.gz:1", "a/z.TXT", "b.txt"]
    told = capsys.readouterr().err
    assert told == f"rasd: {tmp_path}: skipped files of other kinds: 1 (.png)\n"


def test_inputs_are_read_in_the_order_given(tmp_path):
    first, second = write(tmp_path / "z.txt", "z"), write(tmp_path / "a.txt", "a")
    assert [d.text for d in read(first, second, first)] == ["z", "a", "z"]


@pytest.mark.parametrize(
    ("raw", "documents"),
    [
        ("قُتل اثنان.\n{x}".encode(), [Document("stdin", "قُتل اثنان.\n{x}")]),
        (b"\n \n\xef\xbb\xbf", [Document("stdin", "\n \n\ufeff")]),
        (b"", [Document("stdin", "")]),
        (b'\n {"text": "a"}\n{"id": "x", "text": "b"}', [("stdin:2", "a"), ("x", "b")]),
        (b'\xef\xbb\xbf{"text": "a"}', [("stdin:1", "a")]),
    ],
)
def test_standard_input_is_text_unless_it_begins_with_a_brace(monkeypatch, raw, documents):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
    expected = [d if isinstance(d, Document) else Document(*d) for d in documents]
    assert read("-") == expected


def test_size_and_position_count_bytes_on_disk(tmp_path):
    lines = "".join(f'{{"text": "خبر {number}"}}\n' for number in range(3000))
    paths = [write(tmp_path / "a.jsonl.gz", lines), write(tmp_path / "b.jsonl", lines)]
    documents = stream(*paths)
    positions = [documents.position for _ in documents]
    assert positions == sorted(positions)
    assert documents.position == documents.size == sum(path.stat().st_size for path in paths)
    assert 0 < positions[0] < positions[4000] < documents.size


def test_documents_are_read_only_as_they_are_asked_for(tmp_path):
    path = write(tmp_path / "news.jsonl", '{"id": "a", "text": "a"}\n{"id"')
    documents = iter(stream(path))
    assert next(documents) == Document("a", "a")
    with pytest.raises(InputError, match="line 2"):
        next(documents)


# --- Bad input: the file, the line, the value, and what would be right ---------------------------


@pytest.mark.parametrize(
    ("name", "content", "problem", "remedy"),
    [
        (
            "a.jsonl",
            b'{"text": "a"}\n[1]\n',
            "line 2: an array, not an object",
            "JSON object per line",
        ),
        ("a.jsonl", b'{"text": "a",}\n', "line 1: not JSON: ", "one JSON object per line"),
        ("a.jsonl", b'{"text": ' + b"[" * 100_000, "line 1", "one JSON object per line"),
        ("a.jsonl", b'{"text": "a", "n": ' + b"9" * 5000 + b"}", "line 1", "JSON object"),
        ("a.jsonl", b'\n{"story": "a", "n": 1}', "line 2: no field 'text'", "--text-field"),
        ("a.jsonl", b'{"story": "a", "n": 1}', "the fields are 'story', 'n'", "--text-field"),
        ("a.jsonl", b'{"text": null}', "field 'text' is null, not a string", "--text-field"),
        ("a.jsonl", b'{"text": 5}', "field 'text' is a number, not a string", "--text-field"),
        ("a.jsonl", b'{"text": "a", "id": {}}', "field 'id' is an object", "--id-field"),
        ("a.csv", b'id,text\n1,"a\nb"\n2,b,c\n', "line 4: 3 cells, the header has 2", "Quote"),
        ("a.csv", b"id,text\n1\n", "line 2: 1 cell, the header has 2", "Quote"),
        ("a.csv", b'id,text\n1,"a\n2,b\n3,c\n', "line 2: not CSV", "double quote"),
        ("a.txt", "خبر\nنفى".encode("cp1256"), "line 1: byte 0xce is not UTF-8", "CP1256"),
        ("a.txt", "ok\nx déjà vu".encode("cp1252"), "0xe9 is not UTF-8 (byte 4", "must be UTF-8"),
        ("a.csv", "text\nخبر".encode("cp1256"), "line 2: byte 0xce is not UTF-8", "CP1256"),
        ("a.txt", "خبر\nنفى".encode()[:-1], "line 2: byte 0xd9 is not UTF-8", "cut off"),
        ("a.txt", "خبر".encode("utf-16"), "line 1: begins with the byte order mark", "UTF-16"),
        ("a.txt", "news".encode("utf-16-le"), "byte 0x00 is not text (byte 2 of", "UTF-16"),
        ("a.txt", "خبر عاجل".encode("utf-16-be"), "byte 0x00 is not text (byte 7 of", "UTF-16BE"),
        ("a.jsonl", b'{"text": "a"}\n{"te\0t": "b"}', "line 2: byte 0x00", "tr -d"),
        ("a.txt", b"\0", "line 1: byte 0x00 is not text", "tr -d"),
        ("a.txt", bytes(range(256)), "line 1: byte 0x00 is not text", "binary file"),
        ("a.txt.gz", b"no gzip", "not a complete gzip file", "gzip -t"),
        ("a.txt.gz", CUT_GZIP, "not a complete gzip file", "gzip -t"),
        ("a.txt.xz", b"no xz", "not a complete xz file", "xz -t"),
        ("a.txt.xz", CUT_XZ, "not a complete xz file", "xz -t"),
    ],
)
def test_bad_input_is_named(tmp_path, name, content, problem, remedy):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(path)
    assert caught.value.problem.startswith(f"{path}: ")
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy
    assert len(str(caught.value).splitlines()) == 2


def test_a_file_that_goes_away_is_named(tmp_path):
    path = write(tmp_path / "news.jsonl", '{"text": "a"}')
    documents = stream(path)
    path.unlink()
    with pytest.raises(InputError, match=r"news\.jsonl: cannot be read"):
        list(documents)


def test_records_show_the_form_of_standard_input_while_it_is_still_open(monkeypatch):
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb") as writer, os.fdopen(read_end, encoding="utf-8") as reader:
        monkeypatch.setattr(sys, "stdin", reader)
        writer.write(b'{"id": "a", "text": "a"}\n')
        writer.flush()
        assert next(iter(stream("-"))) == Document("a", "a")


def test_an_id_field_that_was_asked_for_must_be_there(tmp_path):
    path = write(tmp_path / "news.jsonl", '{"url": "u", "text": "a"}\n{"text": "b"}\n')
    with pytest.raises(InputError, match=r"line 2: no field 'url'.*\n.*--id-field"):
        read(path, id_field="url")


@pytest.mark.parametrize("name", ["missing.txt", "", "empty", "report.docx", "noted", "x.gz"])
def test_inputs_are_checked_before_anything_is_read(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    for file in ("good.txt", "report.docx", "noted", "x.gz", "empty/photo.png"):
        write(Path(file), "x")
    with pytest.raises(InputError) as caught:
        find_sources(["good.txt", name])
    assert name in caught.value.problem
    remedy = "right folder" if name in ("missing.txt", "") else ".jsonl"
    assert remedy in caught.value.remedy
