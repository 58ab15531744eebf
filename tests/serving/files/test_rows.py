"""Rows: what every form of the same records gives, and what each problem keeps."""

import csv
import io
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.errors import Problem
from serving.files.json_rows import json_rows
from serving.files.lines import blocks
from serving.files.row import Row, Wanted
from serving.files.rows import read_rows
from serving.files.sources import recognise

COLUMNS = [Wanted(("text",), "Name it.")]
scalars = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False)
objects = st.dictionaries(st.text(), scalars | st.lists(scalars, max_size=2), max_size=3)


def rows(path: Path) -> list[Row | Problem]:
    source = recognise(path, path.name)
    with source.open() as file:
        return list(read_rows(source, file, COLUMNS))


def written(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


class Trickle(io.BytesIO):
    """A file that gives little at a time, so that characters and values are cut everywhere."""

    def readline(self, size: int | None = -1, /) -> bytes:
        return super().readline(min(size or 7, 7) if size and size > 0 else 7)


@settings(deadline=None, max_examples=200)
@given(values=st.lists(objects), indent=st.none() | st.integers(0, 2), ascii_only=st.booleans())
def test_a_json_array_is_its_objects_however_it_is_cut(values, indent, ascii_only):
    text = json.dumps(values, indent=indent, ensure_ascii=ascii_only)
    raw = text.encode("utf-8", "surrogatepass")
    if "\\ud" not in text and not any("\ud800" <= c <= "\udfff" for c in text):
        found = list(json_rows(blocks(Trickle(raw)), "a"))
        assert [row.fields for row in found] == json.loads(text, parse_constant=lambda _: None)
        assert [row.number for row in found] == list(range(1, len(values) + 1))


def test_objects_that_follow_each_other_are_read(tmp_path):
    path = written(tmp_path, "a.json", '{"text": "a"}\n{\n "text": "b"\n}\n\n{"text": "c"} ')
    assert [(row.number, row.fields["text"]) for row in rows(path)] == [
        (1, "a"),
        (2, "b"),
        (6, "c"),
    ]


def test_a_long_array_on_one_line_is_never_whole_in_memory():
    item = json.dumps({"text": "خبر " * 100}, ensure_ascii=False).encode()
    count = 40_000  # about 30 MB

    def pieces() -> Iterator[bytes]:
        yield b"["
        for number in range(count):
            yield item if not number else b"," + item
        yield b"]"

    tracemalloc.start()
    assert sum(1 for _ in json_rows(pieces(), "a")) == count
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('[{"text": "a"},\n{"text": "b",}]', 2),
        ('[{"text": "a"}\n{"text": "b"}]', 2),
        ('[{"text": "a"},\n', 2),
        ('[{"text": "a"}]\n[1]', 2),
        ('{"text": "a"}\n{"text": "b', 2),
    ],
)
def test_broken_json_keeps_what_came_before_and_names_the_line(tmp_path, content, line):
    *good, bad = rows(written(tmp_path, "a.json", content))
    assert [row.fields["text"] for row in good] == ["a"]
    assert isinstance(bad, Problem)
    assert (bad.line, bad.whole_file) == (line, True)
    assert f"a.json: line {line}: not JSON" in str(bad)


def test_a_bad_line_is_kept_as_it_is_and_the_next_is_read(tmp_path):
    raw = (
        '{"text": "خبر"}\n'.encode()
        + b'{"text": \n{"te\0xt": "c"}\n{"text": "d\xff"}\n[1]\n{"text": "e"}\n'
    )
    found = rows(written(tmp_path, "a.jsonl", raw))
    assert [row.fields["text"] for row in found if isinstance(row, Row)] == ["خبر", "e"]
    bad = [row for row in found if isinstance(row, Problem)]
    assert [(row.line, row.raw.rstrip("\n")) for row in bad] == [
        (2, '{"text": '),
        (3, '{"te\0xt": "c"}'),
        (4, '{"text": "d\\xff"}'),
        (5, "[1]"),
    ]


def test_a_bad_row_of_a_table_is_kept_and_the_next_is_read(tmp_path):
    raw = "text,id\nخبر,1\n".encode() + b'"b"x,2\nc\nd\xff,4\n"e\n\0",5\nf,6\n'
    found = rows(written(tmp_path, "a.csv", raw))
    assert [row.fields["id"] for row in found if isinstance(row, Row)] == ["1", "6"]
    bad = [row for row in found if isinstance(row, Problem)]
    assert [(row.line, row.raw) for row in bad] == [
        (3, '"b"x,2\n'),
        (4, '["c"]'),
        (5, "d\\xff,4\n"),
        (7, '\0",5\n'),
    ]


def test_a_file_of_another_encoding_is_one_problem(tmp_path):
    text = "\n".join(json.dumps({"text": "نفى الجيش"}, ensure_ascii=False) for _ in range(50))
    for encoding in ("cp1256", "utf-16", "utf-16-le"):
        (bad,) = rows(written(tmp_path, "a.jsonl", text.encode(encoding)))
        assert bad.whole_file


names = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Zs", "Zl", "Zp")), min_size=1
)
cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@settings(deadline=None, max_examples=200)
@given(
    header=st.lists(names, unique=True, max_size=3),
    body=st.lists(st.lists(cells, min_size=4, max_size=4), max_size=4),
    separator=st.sampled_from(",;\t"),
    excel=st.booleans(),
)
def test_a_table_is_its_cells_whatever_separates_them(
    header, body, separator, excel, tmp_path_factory
):
    header = [name for name in dict.fromkeys(map(str.strip, header)) if name not in ("text", "")]
    header.insert(len(header) // 2, "text")
    lines = [row[: len(header)] for row in body]
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=separator).writerows([header, *lines])
    content = (f"sep={separator}\r\n" if excel else "") + stream.getvalue()
    path = written(tmp_path_factory.mktemp("table"), "a.csv", "\ufeff" + content)
    expected = [dict(zip(header, row, strict=True)) for row in lines if any(row)]
    if len(header) > 1 or separator == "," or excel:
        assert [row.fields for row in rows(path)] == expected


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("id;city, country;text\n1;a, b;خبر\n", "خبر"),
        ('"a, b";" text "\n1;خبر\n', "خبر"),
        ("sep=;\nid;text\n1;خبر, عاجل\n", "خبر, عاجل"),
        ("text,,\nخبر,,\n,,\n", "خبر"),
        ("\n\nid\ttext\n1\tخبر, عاجل; الآن\n", "خبر, عاجل; الآن"),
    ],
)
def test_the_separator_is_the_one_that_finds_the_text(tmp_path, content, text):
    (row,) = rows(written(tmp_path, "a.csv", content))
    assert row.fields["text"] == text


def test_two_columns_of_one_name_are_refused(tmp_path):
    (bad,) = rows(written(tmp_path, "a.csv", "text, text\na,b\n"))
    assert "line 1: two columns 'text'" in str(bad)
