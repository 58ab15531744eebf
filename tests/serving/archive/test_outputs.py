"""What each format of an archive run writes is read back as it was, joined or in parts."""

import csv
import gzip
import io
import json

import pyarrow as pa
import pytest
import zstandard
from pyarrow import dataset, parquet

from serving.archive.outputs import FORMATS, output_format
from serving.archive.partitions import PartitionWriter, partition
from serving.errors import InputError
from serving.records import COLUMNS, Document, Prediction, Record, Refusal, Sentence

LABELS = ("claim", "other")
CARRY = ("date", "tags")
ABOUT = {"rasd.model": "m@1", "rasd.options": "{}"}


def record(number: int, text: str, **carried: object) -> Record:
    document = Document(f"d{number}", text, carried=carried, damage=None if number else "lost")
    share = number / 10
    answer = (
        Refusal("no letter")
        if number == 2
        else Prediction(
            "claim", share, {"claim": share, "other": 1 - share}, number > 1, number > 3
        )
    )
    return Record.of(document, number, Sentence(text, 0, len(text)), answer, model="m@1")


RECORDS = [
    record(n, text, date=f"2024-0{n % 2 + 1}", tags=["x", n] if n else None)
    for n, text in enumerate(["نفت «ذلك».", 'a"b,\nc', "…", "=1+1", "سطر\r\nسطر"])
]


def made(name: str, *, carry: tuple[str, ...] = CARRY):
    return output_format(name, carry=carry, labels=LABELS, about=ABOUT, raw_csv=True)


def written(output, records) -> bytes:
    stream = io.BytesIO()
    writer = output.make_writer(stream)
    writer.write(records[:2])
    writer.write(records[2:])
    writer.close()
    return stream.getvalue()


def plain(row: Record) -> dict[str, object]:
    return {name: getattr(row, name) for name in COLUMNS} | row.carried


def read_back(name: str, raw: bytes) -> list[dict[str, object]]:
    """The records of a file as dictionaries of all columns."""
    if name == "parquet":
        rows = parquet.read_table(io.BytesIO(raw)).to_pylist()
        for row in rows:
            row["probabilities"] = row["probabilities"] or {}
            row["tags"] = row["tags"] and json.loads(row["tags"])
        return rows
    if name == "csv":
        rows = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline="")))
        numbers = ("sentence", "start", "end", "probability", "certain", "probabilities")
        for row in rows:
            for key in (*numbers, "truncated", "tags"):
                row[key] = json.loads(row[key]) if row[key] else None
            row |= {key: row[key] or None for key in ("label", "error", "damage")}
        return rows
    if name == "jsonl.zst":
        raw = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True).read()
    elif name == "jsonl.gz":
        raw = gzip.decompress(raw)
    defaults = {"truncated": False, "error": None, "damage": None}
    return [defaults | json.loads(line) for line in raw.decode().split("\n") if line]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_records_back(name):
    assert read_back(name, written(made(name), RECORDS)) == [plain(row) for row in RECORDS]


@pytest.mark.parametrize("name", FORMATS)
def test_joined_parts_are_the_records_in_order_and_always_the_same_bytes(name, tmp_path):
    output = made(name)
    parts = []
    for number, rows in enumerate((RECORDS[:2], [], RECORDS[2:])):
        parts.append(tmp_path / f"part-{number}{output.suffix}")
        parts[-1].write_bytes(written(output, rows))
    for target in ("a", "b"):
        output.join(parts, tmp_path / target)
    raw = (tmp_path / "a").read_bytes()
    assert raw == (tmp_path / "b").read_bytes()
    assert read_back(name, raw) == [plain(row) for row in RECORDS]


@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_all_fields_are_one_column_of_a_table(name):
    raw = written(made(name, carry=("all",)), RECORDS[3:])
    if name == "parquet":
        cells = parquet.read_table(io.BytesIO(raw)).column("carried").to_pylist()
    else:
        cells = [row["carried"] for row in csv.DictReader(io.StringIO(raw.decode("utf-8-sig")))]
    assert list(map(json.loads, cells)) == [row.carried for row in RECORDS[3:]]


def test_parquet_is_typed_and_says_what_made_it():
    table = parquet.read_table(io.BytesIO(written(made("parquet"), RECORDS)))
    schema = table.schema
    assert schema.field("label").type == pa.dictionary(pa.int8(), pa.string())
    assert schema.field("probability").type == pa.float64()
    assert schema.field("certain").type == pa.bool_()
    assert [field.name for field in schema.field("probabilities").type] == list(LABELS)
    assert schema.names == [*COLUMNS, *CARRY]
    assert schema.metadata[b"rasd.model"] == b"m@1"


def test_parquet_of_half_a_surrogate_pair_keeps_the_length():
    raw = written(made("parquet", carry=("date",)), [record(1, "a\ud800b", date="\ud800")])
    (row,) = parquet.read_table(io.BytesIO(raw)).to_pylist()
    assert (row["text"], row["date"]) == ("a?b", "?")


def test_partitions_are_folders_that_readers_of_hive_know(tmp_path):
    output = output_format("parquet", carry=CARRY, labels=LABELS, about=ABOUT, partition_by="date")
    for _ in range(2):  # a part that is done again has the same files
        writer = PartitionWriter(tmp_path, "part-0.parquet", "date", output.make_writer)
        writer.write(RECORDS)
        writer.close()
        files = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert sorted(path.parent.name for path in files) == ["date=2024-01", "date=2024-02"]
    table = dataset.dataset(tmp_path, partitioning=dataset.partitioning(flavor="hive")).to_table()
    found = {row["doc_id"]: row["date"] for row in table.to_pylist()}
    assert found == {row.doc_id: row.carried["date"] for row in RECORDS}


@pytest.mark.parametrize(
    ("value", "folder"),
    [
        (None, "x=__HIVE_DEFAULT_PARTITION__"),
        ("", "x=__HIVE_DEFAULT_PARTITION__"),
        ("../../etc", "x=..%2F..%2Fetc"),
        ("a=b%", "x=a%3Db%25"),
        ("الجزيرة", "x=الجزيرة"),
        (7, "x=7"),
    ],
)
def test_a_value_never_leads_out_of_its_folder(value, folder):
    assert partition("x", value) == folder


def test_a_value_too_long_for_a_folder_is_refused():
    with pytest.raises(InputError, match="too long for a folder's name"):
        partition("x", "ا" * 200)
