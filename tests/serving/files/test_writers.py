"""Records to JSON Lines and CSV: whatever a text holds is read back as it was."""

import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.files.writers import CSV_COLUMNS, csv_lines, json_lines
from serving.records import Document, Prediction, Refusal, Sentence, sentence_record

PROPERTY = settings(max_examples=200, deadline=None)
LABELS = ("claim", "other")
any_text = st.text(st.characters(exclude_categories=()))
probabilities = st.floats(0, 1).map(lambda p: {"claim": p, "other": 1 - p})
answers = st.builds(Refusal, any_text) | st.builds(
    Prediction,
    label=st.sampled_from(LABELS),
    probability=st.floats(0, 1),
    probabilities=probabilities,
    certain=st.booleans(),
    truncated=st.booleans(),
)


@st.composite
def records(draw, text=any_text):
    document = Document(draw(text), draw(text))
    sentence = Sentence(document.text, 0, len(document.text))
    number = draw(st.integers(0, 10**6))
    return sentence_record(document, number, sentence, draw(answers), model="m@1")


@PROPERTY
@given(rows=st.lists(records()))
def test_json_lines_are_read_back_the_same(rows):
    raw = b"".join(json_lines(rows))
    # Half a surrogate pair followed by the other half is one sign to every reader of JSON.
    assert [json.loads(line) for line in raw.splitlines()] == [
        json.loads(json.dumps(row)) for row in rows
    ]


@PROPERTY
@given(rows=st.lists(records()))
def test_json_lines_have_one_line_a_record_by_anyones_rules_and_nothing_a_terminal_obeys(rows):
    text = b"".join(json_lines(rows)).decode()
    assert len(text.splitlines()) == len(rows)
    assert all(sign == "\n" or sign.isprintable() or ord(sign) >= 0xA0 for sign in text)


def test_json_lines_show_arabic_as_it_is():
    (line,) = json_lines([{"text": "نفى «ذلك»"}])
    assert line == '{"text": "نفى «ذلك»"}\n'.encode()


def table(rows, **options):
    raw = b"".join(csv_lines(rows, **options))
    return list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline="")))


@PROPERTY
@given(rows=st.lists(records(st.text(st.characters(codec="utf-8")))), mark=st.booleans())
def test_csv_is_read_back_the_same(rows, mark):
    for row, cells in zip(rows, table(rows, byte_order_mark=mark), strict=True):
        assert tuple(cells) == CSV_COLUMNS
        assert set(row) <= set(CSV_COLUMNS)
        assert cells["doc_id"] == row["doc_id"]
        assert cells["text"] == row["text"]
        assert json.loads(cells["probabilities"]) == row["probabilities"]
        assert cells["certain"] == json.dumps(row["certain"])
        assert cells["truncated"] == json.dumps(row.get("truncated", False))
        if row["label"] is None:
            assert cells["label"] == cells["probability"] == ""
            assert cells["error"].encode() == row["error"].encode("utf-8", errors="replace")
        else:
            assert float(cells["probability"]) == row["probability"]
            assert cells["error"] == ""


@pytest.mark.parametrize("text", ["=1+1", "- قال", "@user", "+964", "\tنص", "سطر\r\nسطر", 'a"b'])
def test_csv_cells_are_the_text_itself(text):
    assert table([{"text": text}], byte_order_mark=False)[0]["text"] == text


def test_csv_of_half_a_surrogate_pair_keeps_the_length():
    assert table([{"text": "a\ud800b"}], byte_order_mark=False)[0]["text"] == "a?b"


def test_csv_has_its_header_once_and_the_mark_only_when_asked_for():
    assert b"".join(csv_lines([], byte_order_mark=True)).startswith(b"\xef\xbb\xbfdoc_id,")
    lines = b"".join(csv_lines([{}, {}], byte_order_mark=False)).splitlines()
    assert lines[0].decode() == ",".join(CSV_COLUMNS)
    assert [line.startswith(b"doc_id") for line in lines] == [True, False, False]


def test_nothing_is_written_when_the_first_record_fails():
    def failing():
        raise ValueError("bad input")
        yield

    with pytest.raises(ValueError, match="bad input"):
        next(csv_lines(failing(), byte_order_mark=True))
