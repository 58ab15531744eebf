"""Records to JSON Lines and CSV: whatever a text holds is read back as it was."""

import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.files.csv_cells import LIVE
from serving.files.csv_rows import csv_rows
from serving.files.writers import CsvWriter, JsonLinesWriter
from serving.records import COLUMNS, Document, Prediction, Record, Refusal, Sentence

PROPERTY = settings(max_examples=200, deadline=None)
LABELS = ("claim", "other")
any_text = st.text(st.characters(exclude_categories=()))
# No NUL, which no file may hold.
plain_text = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
formulas = st.from_regex(r"'{0,3}[=+\-@\t\r\n＝＋－＠]\w{0,5}", fullmatch=True)
probabilities = st.floats(0, 1).map(lambda p: {"claim": p, "other": 1 - p})
predictions = st.builds(
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
    return Record.of(
        document, number, sentence, draw(predictions | st.builds(Refusal, text)), model="m@1"
    )


def written(writer, rows) -> bytes:
    """What a writer makes of the rows, given to it in two parts."""
    stream = io.BytesIO()
    made = writer(stream)
    made.write(rows[:2])
    made.write(rows[2:])
    made.close()
    return stream.getvalue()


def of(text: str) -> Record:
    return Record.of(
        Document("a", text), 0, Sentence(text, 0, len(text)), Refusal("x"), model="m@1"
    )


@PROPERTY
@given(rows=st.lists(records()))
def test_json_lines_are_read_back_the_same(rows):
    raw = written(JsonLinesWriter, rows)
    # Half a surrogate pair followed by the other half is one sign to every reader of JSON.
    assert [json.loads(line) for line in raw.splitlines()] == [
        json.loads(json.dumps(row.as_dict())) for row in rows
    ]


@PROPERTY
@given(rows=st.lists(records()))
def test_json_lines_have_one_line_a_record_by_anyones_rules_and_nothing_a_terminal_obeys(rows):
    text = written(JsonLinesWriter, rows).decode()
    assert len(text.splitlines()) == len(rows)
    assert all(sign == "\n" or sign.isprintable() or ord(sign) >= 0xA0 for sign in text)


def test_json_lines_show_arabic_as_it_is():
    assert '"text": "نفى «ذلك»"'.encode() in written(JsonLinesWriter, [of("نفى «ذلك»")])


def table(rows, **options):
    """What any other program reads from the CSV."""
    raw = written(lambda stream: CsvWriter(stream, **options), rows)
    return list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline="")))


def read_back(rows, **options):
    """What our own reader makes of the CSV."""
    raw = written(lambda stream: CsvWriter(stream, **options), rows)
    return [row.fields for row in csv_rows(io.BytesIO(raw), "a.csv", {})]


@PROPERTY
@given(rows=st.lists(records(formulas | plain_text)), mark=st.booleans())
def test_csv_is_read_back_the_same(rows, mark):
    for record, cells in zip(rows, read_back(rows, byte_order_mark=mark), strict=True):
        row = record.as_dict()
        assert tuple(cells) == COLUMNS
        assert cells["doc_id"] == row["doc_id"]
        assert cells["text"] == row["text"]
        assert int(cells["end"]) - int(cells["start"]) == len(cells["text"])
        assert json.loads(cells["probabilities"]) == row["probabilities"]
        assert cells["certain"] == json.dumps(row["certain"])
        assert cells["truncated"] == json.dumps(row.get("truncated", False))
        if row["label"] is None:
            assert cells["label"] == cells["probability"] == ""
            assert cells["error"] == row["error"]
        else:
            assert float(cells["probability"]) == row["probability"]
            assert cells["error"] == ""


@PROPERTY
@given(rows=st.lists(records(formulas | plain_text), min_size=1), mark=st.booleans())
def test_no_csv_cell_begins_like_a_formula(rows, mark):
    for cells in table(rows, byte_order_mark=mark):
        assert not any(cell.startswith(tuple(LIVE)) for cell in cells.values())


@pytest.mark.parametrize("text", ["=1+1", "- قال", "@user", "+964", "\tنص", "'=1+1", "''@x"])
def test_a_formula_gets_one_apostrophe_and_is_itself_in_raw_csv(text):
    assert table([of(text)], byte_order_mark=False)[0]["text"] == f"'{text}"
    assert table([of(text)], byte_order_mark=False, raw=True)[0]["text"] == text


@pytest.mark.parametrize("text", ["سطر\r\nسطر", 'a"b', "'قال'", "5-3", "a=b"])
def test_other_csv_cells_are_the_text_itself(text):
    assert table([of(text)], byte_order_mark=False)[0]["text"] == text


def test_the_apostrophes_of_tables_that_rasd_did_not_write_are_kept():
    (row,) = csv_rows([b"id,text\n", b"1,'=1+1\n"], "a.csv", {})
    assert row.fields["text"] == "'=1+1"


def test_csv_of_half_a_surrogate_pair_keeps_the_length():
    assert table([of("a\ud800b")], byte_order_mark=False)[0]["text"] == "a?b"


def test_csv_has_its_header_once_and_the_mark_only_when_asked_for():
    empty = written(lambda stream: CsvWriter(stream, byte_order_mark=True), [])
    assert empty.startswith(b"\xef\xbb\xbfdoc_id,")
    rows = [of("a"), of("b"), of("c")]
    lines = written(lambda stream: CsvWriter(stream, byte_order_mark=False), rows).splitlines()
    assert lines[0].decode() == ",".join(COLUMNS)
    assert [line.startswith(b"doc_id") for line in lines] == [True, False, False, False]


def test_nothing_is_written_when_the_first_record_fails():
    def failing():
        raise ValueError("bad input")
        yield

    stream = io.BytesIO()
    with pytest.raises(ValueError, match="bad input"):
        CsvWriter(stream, byte_order_mark=True).write(failing())
    assert stream.getvalue() == b""


def test_a_record_shows_truncated_and_error_only_where_they_apply():
    document, sentence = Document("a", "نفى"), Sentence("نفى", 0, 3)
    common = ["doc_id", "sentence", "start", "end", "text", "label", "probability", "certain"]
    common += ["probabilities", "model"]
    for truncated, extra in ((False, []), (True, ["truncated"])):
        answer = Prediction("claim", 0.9, {"claim": 0.9}, certain=True, truncated=truncated)
        record = Record.of(document, 0, sentence, answer, model="m@1")
        assert list(record.as_dict()) == common + extra
    refused = Record.of(document, 0, sentence, Refusal("x"), model="m@1")
    assert list(refused.as_dict()) == [*common, "error"]
