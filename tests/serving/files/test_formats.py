"""Every format and compression gives the same documents; what must not be lost is carried."""

import bz2
import csv
import gzip
import io
import json
import lzma
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import openpyxl
import pyarrow as pa
import pytest
import zstandard
from pyarrow import feather, parquet

from serving.archive import plan as planning
from serving.errors import InputError, Problem
from serving.files.documents import DocumentStream, read_documents
from serving.files.fields import ReadOptions
from serving.files.sources import find_sources
from serving.files.telegram import is_export
from serving.records import Document

TEXTS = ["هز انفجار وسط المدينة.", "نفت الجماعة ذلك.\nوقالت «لا».", "تبنت الجماعة الهجوم."]
RECORDS = [
    {"id": f"n{number}", "text": text, "date": f"2024-01-0{number + 1}", "source": "وكالة"}
    for number, text in enumerate(TEXTS)
]


def as_jsonl() -> bytes:
    return "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in RECORDS).encode()


def as_json() -> bytes:
    return json.dumps(RECORDS).encode()


def as_csv(separator: str = ",") -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(RECORDS[0]), delimiter=separator)
    writer.writeheader()
    writer.writerows(RECORDS)
    return stream.getvalue().encode()


def as_parquet(**options) -> bytes:
    stream = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(RECORDS), stream, **options)
    return stream.getvalue()


def as_feather() -> bytes:
    stream = io.BytesIO()
    feather.write_feather(pa.Table.from_pylist(RECORDS), stream)
    return stream.getvalue()


def as_arrow_stream() -> bytes:
    table, stream = pa.Table.from_pylist(RECORDS), io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    return stream.getvalue()


def as_xlsx() -> bytes:
    book, stream = openpyxl.Workbook(), io.BytesIO()
    book.active.append(list(RECORDS[0]))
    for record in RECORDS:
        book.active.append(list(record.values()))
    book.save(stream)
    return stream.getvalue()


FORMATS = {
    ".jsonl": as_jsonl(),
    ".ndjson": as_jsonl(),
    ".json": as_json(),
    ".csv": as_csv(),
    ".tsv": as_csv("\t"),
    ".parquet": as_parquet(row_group_size=1),
    ".feather": as_feather(),
    ".arrow": as_arrow_stream(),
    ".xlsx": as_xlsx(),
}
COMPRESSIONS = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": zstandard.compress,
}


def read(*inputs: object, **options: object) -> list[Document]:
    stream = DocumentStream(find_sources([str(name) for name in inputs]), ReadOptions(**options))
    return list(stream)


def items(path: object, **options: object) -> list[Document | Problem]:
    found: list[Document | Problem] = []
    for source in find_sources([str(path)]):
        with source.open() as file:
            found += read_documents(source, file, ReadOptions(**options))
    return found


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_and_compression_gives_the_same_documents(tmp_path, suffix, compression):
    path = tmp_path / f"news{suffix}{compression}"
    path.write_bytes(COMPRESSIONS[compression](FORMATS[suffix]))
    found = read(path, carry=("date", "source"))
    assert [(d.id, d.text) for d in found] == [(r["id"], r["text"]) for r in RECORDS]
    assert [d.carried for d in found] == [
        {"date": r["date"], "source": r["source"]} for r in RECORDS
    ]


def packed_zip(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def packed_tar(files: dict[str, bytes], mode: str = "w") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("a.zip", packed_zip),
        ("a.tar", packed_tar),
        ("a.tar.gz", lambda files: packed_tar(files, "w:gz")),
        ("a.tgz", lambda files: packed_tar(files, "w:gz")),
        ("a.tar.xz", lambda files: packed_tar(files, "w:xz")),
        ("a.tar.bz2", lambda files: packed_tar(files, "w:bz2")),
        ("a.tar.zst", lambda files: zstandard.compress(packed_tar(files))),
        ("a.zip.gz", lambda files: gzip.compress(packed_zip(files))),
    ],
)
def test_a_container_gives_the_documents_of_its_files_in_its_order(tmp_path, name, pack):
    files = {f"z/{n}{suffix}": content for n, (suffix, content) in enumerate(FORMATS.items())}
    files |= {"b.jsonl.gz": gzip.compress(as_jsonl()), "a.txt": "نفى ذلك.".encode(), "p.png": b"x"}
    (tmp_path / name).write_bytes(pack(files))
    stream = DocumentStream(find_sources([str(tmp_path / name)]), ReadOptions())
    found = list(stream)
    assert [d.text for d in found] == [*(TEXTS * (len(FORMATS) + 1)), "نفى ذلك."]
    assert found[-1].id == f"{tmp_path / name}/a.txt"
    assert stream.notes == {f"left out files of other kinds in {tmp_path / name} (.png)": 1}


# --- Fields --------------------------------------------------------------------------------------


def one(tmp_path: Path, record: dict[str, object], **options: object) -> Document:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(record), "utf-8")
    (document,) = read(path, **options)
    return document


@pytest.mark.parametrize("field", ["text", "body", "content", "full_text", "message", "النص"])
def test_usual_fields_are_found_and_said(tmp_path, field):
    document = one(tmp_path, {"n": 1, field: "خبر"})
    assert document.text == "خبر"
    assert document.notes == (() if field == "text" else (f"text from the field {field!r}",))


def test_a_dotted_path_leads_into_objects_and_paragraphs_are_joined(tmp_path):
    record = {"article": {"body": ["خبر", "نفي"], "head": "عنوان"}, "meta": {"date": 3}}
    options = {"text_field": "article.body", "title_field": "article.head", "carry": ("meta.date",)}
    document = one(tmp_path, record, **options)
    assert (document.text, document.carried) == ("عنوان\nخبر\nنفي", {"meta.date": 3})


def test_all_carries_every_other_field(tmp_path):
    record = {"id": "a", "text": "خبر", "date": "d", "tags": ["x"]}
    assert one(tmp_path, record, carry=("all",)).carried == {"date": "d", "tags": ["x"]}
    with pytest.raises(InputError, match="'label' cannot be carried"):
        one(tmp_path, {"text": "خبر", "label": "x"}, carry=("all",))


def test_a_carried_name_of_the_output_is_refused():
    with pytest.raises(InputError, match="--carry label"):
        ReadOptions(carry=("date", "label")).check()


def test_html_becomes_text_whose_blocks_end_lines_and_the_text_can_be_carried(tmp_path):
    raw = "<p>نفت&nbsp;الوزارة <b>ذلك</b>.</p>\n<p>وقالت<br/>&quot;لا&quot;</p><script>x()</script>"
    document = one(tmp_path, {"text": raw}, carry=("document_text",))
    assert document.text == 'نفت الوزارة ذلك.\nوقالت\n"لا"'
    assert document.carried == {"document_text": document.text}
    assert document.notes == ("HTML turned into text",)


@pytest.mark.parametrize("text", ["5 < 6 و 7 > 3", "<رويترز> قال", "R&D; AT&T", "a <- b"])
def test_what_only_looks_like_html_stays(tmp_path, text):
    assert one(tmp_path, {"text": text}).text == text


# --- Telegram, web pages -------------------------------------------------------------------------

CHAT = {
    "name": "قناة الأخبار",
    "type": "public_channel",
    "id": 77,
    "messages": [
        {"id": 1, "type": "service", "action": "create_channel", "text": ""},
        {
            "id": 2,
            "type": "message",
            "date": "2024-01-02T03:04:05",
            "from": "قناة",
            "text": ["عاجل: ", {"type": "bold", "text": "انفجار"}, " في المدينة."],
        },
        {"id": 3, "type": "message", "date": "2024-01-03T00:00:00", "text": "نفت الجماعة ذلك."},
        {"id": 4, "type": "message", "photo": "p.jpg", "text": ""},
    ],
}
ACCOUNT = {
    "about": "Here is the data you requested. …",
    "contacts": {"list": [{"first_name": "x"}]},
    "chats": {"about": "…", "list": [CHAT, CHAT | {"id": 78, "name": "أخرى"}]},
}


@pytest.mark.parametrize("indent", [None, 1])
def test_an_export_of_telegram_gives_its_messages(tmp_path, indent):
    path = tmp_path / "result.json"
    path.write_text(json.dumps(CHAT, indent=indent, ensure_ascii=False), "utf-8")
    found = read(path, carry=("date", "chat", "message_id"))
    assert [(d.id, d.text) for d in found] == [
        ("77/2", "عاجل: انفجار في المدينة."),
        ("77/3", "نفت الجماعة ذلك."),
    ]
    assert found[0].carried == {
        "date": "2024-01-02T03:04:05",
        "chat": "قناة الأخبار",
        "message_id": 2,
    }
    path.write_text(json.dumps(ACCOUNT, indent=indent), "utf-8")
    assert [d.id for d in read(path)] == ["77/2", "77/3", "78/2", "78/3"]


PAGE = """<html><head><title>عنوان</title>
<meta property="article:published_time" content="2024-01-02"></head><body>
<nav><ul><li><a href="/">الرئيسية</a></li><li><a href="/s">رياضة</a></li></ul></nav>
<article><p>هز انفجار وسط المدينة صباح اليوم، وقالت الشرطة إن ثلاثة أشخاص أصيبوا بجروح.</p>
<p>نفت الجماعة مسؤوليتها عن الهجوم الذي وقع قرب السوق المركزي في المدينة.</p></article>
<footer>حقوق النشر محفوظة</footer></body></html>"""


def warc(*pages: str) -> bytes:
    found = b""
    for number, page in enumerate(pages):
        body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + page.encode()
        head = (
            f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: https://a.example/{number}\r\n"
            f"WARC-Date: 2024-05-0{number + 1}T00:00:00Z\r\n"
            f"WARC-Record-ID: <urn:uuid:0000{number}>\r\n"
            f"Content-Type: application/http;msgtype=response\r\nContent-Length: {len(body)}\r\n"
        )
        found += head.encode() + b"\r\n" + body + b"\r\n\r\n"
    return found


@pytest.mark.parametrize("encoding", ["utf-8", "cp1256"])
def test_a_web_page_gives_its_main_text_title_and_date(tmp_path, encoding):
    (tmp_path / "a.html").write_bytes(PAGE.encode(encoding))
    (document,) = read(tmp_path / "a.html", title_field="title", carry=("date",))
    lines = [line for line in document.text.splitlines() if line]
    assert lines[0] == "عنوان"
    assert lines[1].startswith("هز انفجار")
    assert lines[2].startswith("نفت الجماعة")
    assert "الرئيسية" not in document.text
    assert "حقوق" not in document.text
    assert document.carried == {"date": "2024-01-02"}


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_web_archive_gives_its_pages(tmp_path, compress):
    path = tmp_path / ("a.warc" if compress is bytes else "a.warc.gz")
    path.write_bytes(compress(warc(PAGE, PAGE)))
    found = read(path, carry=("date", "title"))
    assert [(d.id, d.carried["date"]) for d in found] == [
        ("https://a.example/0", "2024-05-01T00:00:00Z"),
        ("https://a.example/1", "2024-05-02T00:00:00Z"),
    ]
    assert all("انفجار" in d.text for d in found)


# --- Excel, Parquet, URLs ------------------------------------------------------------------------


def test_every_sheet_of_a_workbook_is_a_table(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["text", "n"])
    book.active.append(["خبر", 1])
    book.active.append([None, None])
    book.active.append(["نفي", 2])
    second = book.create_sheet("ثان")
    second.append(["body"])
    second.append(["ادعاء"])
    book.save(tmp_path / "a.xlsx")
    path = tmp_path / "a.xlsx"
    assert [(d.id, d.text) for d in read(path)] == [
        (f"{path}:2", "خبر"),
        (f"{path}:4", "نفي"),
        (f"{path}:ثان:2", "ادعاء"),
    ]


def test_a_workbooks_escape_of_a_carriage_return_is_one(tmp_path):
    """Excel writes it so where a cell was filled with line ends of Windows."""
    packed = io.BytesIO()
    book = openpyxl.Workbook()
    book.active.append(["text"])
    book.active.append(["خبر.CR\nنفي."])
    book.save(packed)
    with zipfile.ZipFile(packed) as old, zipfile.ZipFile(tmp_path / "a.xlsx", "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"CR", b"_x000D_"))
    assert [d.text for d in read(tmp_path / "a.xlsx")] == ["خبر.\r\nنفي."]


def test_row_groups_are_the_pieces_of_a_plan(tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "SLICE_BYTES", 2000)
    table = pa.table({"text": [f"خبر رقم {n} " * 40 for n in range(200)], "n": range(200)})
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=20, compression="none")
    sources = find_sources([str(tmp_path / "a.parquet")])
    slices = planning.plan(sources, lines=False, text_fields=["text"])
    assert len(slices) == 10
    found = []
    for piece in [piece for pieces in slices for piece in pieces]:
        with piece.open() as file:
            found += read_documents(piece, file, ReadOptions(carry=("n",)))
    assert found == read(tmp_path / "a.parquet", carry=("n",))
    assert [d.carried["n"] for d in found] == list(range(200))
    assert found[-1].id.endswith("a.parquet:200")


def test_urls_are_read_as_files_and_folders(tmp_path):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/news/b.jsonl", as_jsonl())
    memory.pipe("/news/in/a.csv.gz", gzip.compress(as_csv()))
    memory.pipe("/news/p.png", b"x")
    assert [d.text for d in read("memory://news/b.jsonl")] == TEXTS
    assert [d.text for d in read("memory://news")] == TEXTS * 2
    (tmp_path / "a.parquet").write_bytes(as_parquet())
    assert [d.text for d in read(f"file://{tmp_path}/a.parquet")] == TEXTS
    with pytest.raises(InputError, match="no such file"):
        find_sources(["memory://nothing"])
    with pytest.raises(InputError, match="cannot be reached"):
        find_sources(["nosuch://a/b.jsonl"])


# --- Memory --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".csv", ".json"])
def test_a_record_of_30_mb_is_set_aside_in_bounded_memory(tmp_path, suffix, monkeypatch):
    long = "ا" * 18_000_000
    if suffix == ".csv":
        content = f"id,text\na,خبر\nb,{long}\nc,نفي\n"
    else:
        ends = ("[", ",", "]") if suffix == ".json" else ("", "\n", "")
        rows = [
            f'{{"id": "{i}", "text": "{t}"}}' for i, t in (("a", "خبر"), ("b", long), ("c", "نفي"))
        ]
        content = ends[0] + ends[1].join(rows) + ends[2]
    raw = content.encode()
    path = tmp_path / f"a{suffix}"
    path.write_bytes(gzip.compress(raw, 1) if suffix.endswith(".gz") else raw)
    del content, raw, long
    tracemalloc.start()
    first, problem, last = items(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(first, Document) and isinstance(last, Document)
    assert (first.id, last.id) == ("a", "c")
    assert isinstance(problem, Problem)
    assert "over 16 MB" in problem.what
    assert len(problem.raw) < 5000
    assert peak < 150_000_000


def test_web_archives_keep_what_name_servers_answered_beside_the_pages(tmp_path):
    dns = (
        b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: dns:a.example\r\n"
        b"WARC-Date: 2024-05-01T00:00:00Z\r\nWARC-Record-ID: <urn:uuid:9>\r\n"
        b"Content-Type: text/dns\r\nContent-Length: 4\r\n\r\n1234\r\n\r\n"
    )
    (tmp_path / "a.warc").write_bytes(dns + warc(PAGE))
    assert [document.id for document in read(tmp_path / "a.warc")] == ["https://a.example/0"]


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl", "a.json"])
def test_nan_is_null(tmp_path, name):
    path = tmp_path / name
    if name == "a.parquet":
        table = pa.table({"text": TEXTS[:1], "id": [float("nan")], "share": [float("inf")]})
        parquet.write_table(table, path)
    else:
        text = json.dumps({"text": TEXTS[0], "id": float("nan"), "share": float("-inf")})
        path.write_text(text, encoding="utf-8")
    (document,) = read(path, carry=("share",))
    assert document.id.endswith(f"{name}:1")
    assert document.carried == {"share": None}


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_number_that_no_float_can_hold_is_null(tmp_path, name):
    numbers = "[1e999, -1E+400, 1e308, 0.1, -0.0, 7, 1e-999]"
    text = f'{{"text": "{TEXTS[0]}", "id": 1e999, "shares": {numbers}}}'
    (tmp_path / name).write_text(text, encoding="utf-8")
    (document,) = read(tmp_path / name, carry=("shares",))
    assert document.id.endswith(f"{name}:1")
    assert repr(document.carried["shares"]) == "[None, None, 1e+308, 0.1, -0.0, 7, 0.0]"


def test_joined_files_with_byte_order_marks_are_read(tmp_path):
    line = json.dumps({"text": TEXTS[0]}, ensure_ascii=False)
    (tmp_path / "a.jsonl").write_text(f"\ufeff{line}\n" * 2, encoding="utf-8")
    assert [document.text for document in read(tmp_path / "a.jsonl")] == TEXTS[:1] * 2


def test_a_time_zone_that_is_unknown_here_is_a_problem_of_its_rows(tmp_path):
    when = pa.array([1, None], pa.timestamp("us", tz="Nowhere/City"))
    parquet.write_table(pa.table({"text": TEXTS[:2], "when": when}), tmp_path / "a.parquet")
    problem, document = items(tmp_path / "a.parquet")
    assert "damaged" in str(problem)
    assert document.text == TEXTS[1]


def test_an_arrow_file_with_wrong_offsets_does_not_end_the_process(tmp_path):
    raw = FORMATS[".arrow"]
    offsets = b"".join(
        len("".join(TEXTS[:n]).encode()).to_bytes(4, "little") for n in range(len(TEXTS) + 1)
    )
    assert raw.count(offsets) == 1
    wrong = offsets[:4] + (2**31 - 8).to_bytes(4, "little") + offsets[8:]
    (tmp_path / "a.arrow").write_bytes(raw.replace(offsets, wrong))
    found = items(tmp_path / "a.arrow")
    assert [getattr(item, "text", None) for item in found] == [None, None, TEXTS[2]]


def test_an_arrow_file_whose_names_are_not_utf8_is_a_bad_file(tmp_path):
    (tmp_path / "a.arrow").write_bytes(FORMATS[".arrow"].replace(b"source", b"sour\xff\xfe"))
    (problem,) = items(tmp_path / "a.arrow")
    assert isinstance(problem, Problem)
    assert "not a complete Arrow file" in str(problem)


def test_an_array_whose_objects_look_like_a_chat_is_no_export_of_telegram(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"text": TEXTS[0], "type": "group", "messages": []}]), "utf-8")
    assert [document.text for document in read(path)] == TEXTS[:1]


@pytest.mark.timeout(20)
def test_what_is_no_export_of_telegram_is_found_out_at_once():
    assert not is_export("{" + '"type": "chat", ' * 50_000)


def test_an_export_of_telegram_with_a_key_that_is_no_string_is_not_json(tmp_path):
    (tmp_path / "a.json").write_text('{"type": "group", "messages": [], [1]: 2}', "utf-8")
    (problem,) = items(tmp_path / "a.json")
    assert "not JSON: Expecting a key" in str(problem)


@pytest.mark.parametrize("size", [9, 13, 15])
def test_json_values_up_to_the_limit_are_read_wherever_they_begin(tmp_path, size):
    texts = ["ا" * 40_000, "ا" * size * 10**6, "ب" * 14 * 10**6, "ا" * 17 * 2**20, "نفت ذلك."]
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"text": text} for text in texts], ensure_ascii=False), "utf-8")
    found = items(path)
    assert "over 16 MB" in str(found.pop(3))
    assert [document.text for document in found] == [*texts[:3], texts[4]]


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("<p>نفت</p> <![عاجل[ ذلك", "نفت\n<![عاجل[ ذلك"),
        ("<p>نفت <![if !mso]>ذلك<![endif]></p>", "نفت ذلك"),
        ("<![CDATA[<p>نفت</p> ذلك]]>", "نفت\nذلك"),
        (" <![CDATA[نفت ذلك]]>\n", "نفت ذلك"),
    ],
)
def test_marked_sections_of_html_lose_no_text(tmp_path, field, text):
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": field}), "utf-8")
    (document,) = read(tmp_path / "a.jsonl")
    assert document.text == text


@pytest.mark.parametrize("blank", ["", " \n", None, [], [" "]])
def test_a_blank_text_does_not_hide_the_body(tmp_path, blank):
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": blank, "body": TEXTS[0]}), "utf-8")
    (document,) = read(tmp_path / "a.jsonl")
    assert document.text == TEXTS[0]


def test_the_line_ends_of_old_macs_are_named(tmp_path):
    (tmp_path / "a.csv").write_bytes(as_csv().replace(b"\n", b""))
    (problem,) = items(tmp_path / "a.csv")
    assert "carriage return" in str(problem)
    assert "tr '\\r' '\\n'" in problem.remedy


def test_closed_standard_input_is_a_problem(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InputError, match=r"standard input: cannot be read \(it is closed\)"):
        read("-")
