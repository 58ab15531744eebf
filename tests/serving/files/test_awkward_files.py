"""Files as other programs really write them: nothing of them is lost without a word."""

import datetime
import gzip
import io
import json
import stat
import zipfile

import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from serving.errors import Problem
from serving.files.documents import read_documents
from serving.files.fields import ReadOptions
from serving.files.html_text import html_to_text
from serving.files.sources import find_sources
from serving.records import Document

SENTENCE = "نفت الوزارة سقوط صاروخ قرب الميناء."


def read(path, **options):
    items: list[Document | Problem] = []
    for source in find_sources([str(path)]):
        with source.open() as file:
            items += read_documents(source, file, ReadOptions(**options))
    documents = [item for item in items if isinstance(item, Document)]
    return documents, [item for item in items if isinstance(item, Problem)]


def response(number, body, *headers, kind="text/html; charset=utf-8"):
    lines = ["HTTP/1.1 200 OK", f"Content-Type: {kind}", *headers, "", ""]
    payload = "\r\n".join(lines).encode() + body
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\n"
        f"WARC-Target-URI: http://desk.example/{number}\r\n"
        "Content-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload + b"\r\n\r\n"


def page(number):
    text = f"<html><body><article><p>{SENTENCE} خبر {number}</p></article></body></html>"
    return text.encode()


def chunked(body):
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


@pytest.mark.parametrize(
    ("header", "stored"),
    [
        ("Content-Encoding: gzip", page(1)),  # stored decoded, with the header kept
        ("Content-Encoding: gzip", gzip.compress(page(1))),
        ("Transfer-Encoding: chunked", page(1)),
        ("Transfer-Encoding: chunked", chunked(page(1))),
        ("X-Cache: hit", page(1)),
    ],
)
@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz"])
def test_a_page_that_is_not_encoded_as_it_says_costs_no_other_page(tmp_path, name, header, stored):
    pages = [response(0, page(0)), response(1, stored, header)]
    pages += [response(n, page(n), kind="Text/HTML") for n in range(2, 6)]
    pack = gzip.compress if name.endswith(".gz") else bytes
    (tmp_path / name).write_bytes(b"".join(map(pack, pages)))
    documents, problems = read(tmp_path / name)
    assert problems == []
    assert [document.text for document in documents] == [f"{SENTENCE} خبر {n}" for n in range(6)]


@pytest.mark.parametrize("cut", [20, 60, 110])
@pytest.mark.parametrize("header", ["gzip", "gzip\r\nTransfer-Encoding: chunked"])
def test_a_page_that_is_cut_off_is_set_aside_alone(tmp_path, cut, header):
    body = gzip.compress(page(1))[:cut]
    stored = chunked(body) if "chunked" in header else body
    broken = response(1, stored, f"Content-Encoding: {header}")
    (tmp_path / "a.warc").write_bytes(response(0, page(0)) + broken + response(2, page(2)))
    documents, problems = read(tmp_path / "a.warc")
    assert len(documents) == 2
    assert ["cut off" in str(problem) for problem in problems] == [True]


def test_what_a_page_shows_as_markup_is_text(tmp_path):
    body = f"<p>{SENTENCE} يكتب المخترق &lt;script&gt; في الحقل ثم يغادر الموقع سريعا.</p>"
    (tmp_path / "a.html").write_text(
        f"<html><body><article>{body}</article></body></html>", "utf-8"
    )
    ((document,), _) = read(tmp_path / "a.html")
    assert "<script> في الحقل" in document.text


@pytest.mark.parametrize(
    ("markup", "lines"),
    [
        ("أول <b>خبر</b>\nثان\nثالث", ["أول خبر", "ثان", "ثالث"]),
        ("<p>أول\nخبر</p><p>ثان</p>", ["أول خبر", "ثان"]),
        ("<div>أول\nخبر\r\n\r\nثان</div>", ["أول خبر", "ثان"]),
        ("&lt;p&gt;أول&lt;/p&gt;&lt;p class=&quot;x&quot;&gt;ثان&lt;/p&gt;", ["أول", "ثان"]),
        ("أول&lt;br /&gt;ثان", ["أول", "ثان"]),
        ('أول\n\n<iframe src="https://a.example/1"></iframe>\n\nثان', ["أول", "ثان"]),
        ("أول <bdi>خبر</bdi>", ["أول خبر"]),
        ("كتب &lt;script&gt; في &lt;رويترز&gt;", ["كتب <script> في <رويترز>"]),
    ],
)
def test_paragraphs_survive_inline_tags_and_blank_lines(markup, lines):
    assert html_to_text(markup)[0].splitlines() == lines


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "unit", [" ", "\t", " \n", "<", "<!--", "</p ", "<?", "<![", "<p a='", "&#1"]
)
def test_markup_takes_linear_time(unit):
    text, is_html = html_to_text(f"<p>{SENTENCE}</p>{unit * (300_000 // len(unit))} >نفي")
    assert is_html
    assert text.startswith(SENTENCE)


@pytest.mark.parametrize("rest", ["<!-- صورة", "<!-- <b>صورة</b>", '<a href="https://a.exa', "</p"])
def test_a_text_is_not_lost_behind_a_comment_or_tag_that_does_not_end(rest):
    text, _ = html_to_text(f"<p>أول</p>{rest} {SENTENCE}")
    assert text.startswith("أول")
    assert text.endswith(SENTENCE)


def test_links_in_a_zip_are_skipped_and_names_from_macos_read(tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        link = zipfile.ZipInfo("link.txt")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        packed.writestr(link, "../../etc/passwd")
        packed.writestr("خبر.txt", SENTENCE)
    # macOS leaves out the flag that says UTF-8.
    data = bytearray(file.getvalue())
    for sign, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.rfind(sign)
        data[start + offset + 1] &= ~0x08
    (tmp_path / "a.zip").write_bytes(data)
    documents, problems = read(tmp_path / "a.zip")
    assert problems == []
    assert [document.id for document in documents] == [f"{tmp_path}/a.zip/خبر.txt"]


@pytest.mark.parametrize("write", [parquet.write_table, feather.write_feather])
def test_two_columns_of_one_name_are_an_error_in_every_format(tmp_path, write):
    texts = pa.array([SENTENCE])
    write(pa.Table.from_arrays([texts, texts], ["text", "text"]), str(tmp_path / "a.parquet"))
    if write is feather.write_feather:
        (tmp_path / "a.parquet").rename(tmp_path / "a.feather")
    documents, problems = read(tmp_path)
    assert documents == []
    assert ["two columns 'text'" in str(problem) for problem in problems] == [True]


@pytest.mark.parametrize("kind", [pa.timestamp("ns"), pa.timestamp("ns", "UTC"), pa.duration("ns")])
def test_nanoseconds_need_no_further_library(tmp_path, kind):
    values = pa.array([1_700_000_000_000_000_001, None], pa.int64()).cast(kind)
    table = pa.table({"text": [SENTENCE, SENTENCE], "date": values})
    parquet.write_table(table, tmp_path / "a.parquet")
    documents, problems = read(tmp_path / "a.parquet", carry=("date",))
    assert problems == []
    first, second = (document.carried["date"] for document in documents)
    assert second is None
    if pa.types.is_timestamp(kind):
        assert str(first).startswith("2023-11-14")
    else:
        assert str(first) == str(datetime.timedelta(microseconds=1_700_000_000_000_000))


def test_text_files_have_the_carried_fields_too(tmp_path):
    (tmp_path / "a.txt").write_text(SENTENCE, "utf-8")
    (tmp_path / "b.jsonl").write_text(json.dumps({"text": SENTENCE, "date": "2024"}), "utf-8")
    documents, _ = read(tmp_path, carry=("date",))
    assert [document.carried for document in documents] == [{"date": None}, {"date": "2024"}]


def test_links_to_folders_are_named_and_other_suffixes_read_if_a_format_is_given(tmp_path, capsys):
    real, archive = tmp_path / "real", tmp_path / "archive"
    real.mkdir()
    archive.mkdir()
    (real / "a.txt").write_text(SENTENCE, "utf-8")
    (archive / "2023").symlink_to(real)
    (archive / "part-00000").write_text(json.dumps({"text": SENTENCE}), "utf-8")
    sources = find_sources([str(archive)], "jsonl")
    assert [source.path.name for source in sources] == ["part-00000"]
    assert "did not follow links to folders: 1 (2023)" in capsys.readouterr().err
