"""A plan covers its input exactly, and reading the slices is reading the whole."""

import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.archive import plan as planning
from serving.errors import Problem
from serving.files.documents import read_documents
from serving.files.fields import ReadOptions
from serving.files.sources import find_sources

LETTERS = st.text(st.sampled_from('ابتث نفى"،;,\n\r a'), max_size=30)


@pytest.fixture
def small_slices(monkeypatch):
    monkeypatch.setattr(planning, "SLICE_BYTES", 64)


def read(sources, options):
    found = []
    for source in sources:
        with source.open() as file:
            for item in read_documents(source, file, options):
                found.append(str(item) if isinstance(item, Problem) else (item.id, item.text))
    return found


def table(cells, separator):
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=separator)
    writer.writerow(["id", "text"])
    writer.writerows(cells)
    return stream.getvalue().encode()


def check(path, options, *, at_least=1):
    sources = find_sources([str(path)])
    slices = planning.plan(sources, lines=options.unit == "sentence", text_fields=["text"])
    pieces = [piece for slice_ in slices for piece in slice_]
    assert read(pieces, options) == read(sources, options)
    assert len(slices) >= at_least
    return slices


@settings(max_examples=60, deadline=None)
@given(cells=st.lists(st.tuples(LETTERS, LETTERS)), separator=st.sampled_from(",;\t"))
def test_slices_of_a_table_read_as_the_whole(tmp_path_factory, cells, separator):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(table(cells, separator))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "SLICE_BYTES", 64)
        check(path, ReadOptions())


@settings(max_examples=60, deadline=None)
@given(content=st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_slices_of_any_text_read_as_the_whole(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("any")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "SLICE_BYTES", 64)
        for name in ("a.csv", "a.jsonl", "a.txt"):
            (folder / name).write_bytes(b"text\n" + content)
            check(folder / name, ReadOptions(unit="sentence"))


def test_a_stray_quote_does_not_hide_where_rows_end(small_slices, tmp_path):
    # Behind an unquoted cell with one quote sign the number of quotes says nothing any more.
    rows = "".join(f'{n},قذيفة عيار 5" أصابت\n{n},"سطر\nآخر، هنا"\n' for n in range(20))
    (tmp_path / "a.csv").write_text("id,text\n" + rows, encoding="utf-8")
    check(tmp_path / "a.csv", ReadOptions(), at_least=5)


def test_ids_made_of_lines_are_the_same_in_every_slice(small_slices, tmp_path):
    lines = [json.dumps({"text": f"سطر رقم {n}"}, ensure_ascii=False) for n in range(50)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    slices = check(tmp_path / "a.jsonl", ReadOptions(), at_least=10)
    last = read(slices[-1], ReadOptions())[-1]
    assert last[0].endswith("a.jsonl:50")


def test_small_files_share_a_slice(tmp_path):
    for number in range(30):
        (tmp_path / f"{number:02}.txt").write_text("نفت الوزارة ذلك.", encoding="utf-8")
    slices = planning.plan(find_sources([str(tmp_path)]), lines=False, text_fields=["text"])
    assert [len(sources) for sources in slices] == [30]


def test_a_carriage_return_in_the_header_does_not_move_the_line_numbers(small_slices, tmp_path):
    rows = "".join(f"{n},نص رقم {n}\n" for n in range(40))
    (tmp_path / "a.csv").write_bytes(('"n\rm",text\n' + rows).encode())
    slices = check(tmp_path / "a.csv", ReadOptions(), at_least=5)
    assert read(slices[-1], ReadOptions())[-1][0].endswith("a.csv:41")


def test_a_large_file_that_cannot_be_read_is_one_slice(small_slices, tmp_path, monkeypatch):
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "a"}\n' * 100)
    sources = find_sources([str(tmp_path / "a.jsonl")])

    def fail(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("serving.files.sources.open_regular", fail)
    assert planning.plan(sources, lines=False, text_fields=["text"]) == [tuple(sources)]
