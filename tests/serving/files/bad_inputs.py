"""Sixty bad inputs: each a file, what is said of it, and the good texts that it still gives."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from dataclasses import dataclass

import openpyxl
import pyarrow as pa
import zstandard
from pyarrow import feather, parquet

GOOD = "نفت الوزارة وقوع الهجوم."
LINE = json.dumps({"text": GOOD}, ensure_ascii=False) + "\n"
MB = 2**20


@dataclass(frozen=True)
class Bad:
    """A file, a part of what its problem says, and how many good documents it has."""

    name: str
    content: bytes
    said: str
    good: int = 0


def table(columns: dict[str, list[object]]) -> pa.Table:
    return pa.table(columns)


def as_parquet(columns: dict[str, list[object]], **options: object) -> bytes:
    stream = io.BytesIO()
    parquet.write_table(table(columns), stream, **options)
    return stream.getvalue()


def as_feather(columns: dict[str, list[object]]) -> bytes:
    stream = io.BytesIO()
    feather.write_feather(table(columns), stream)
    return stream.getvalue()


def as_xlsx(*rows: list[object]) -> bytes:
    book, stream = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(stream)
    return stream.getvalue()


def as_zip(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def as_tar(files: dict[str, bytes], *, links: dict[str, str] | None = None) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return stream.getvalue()


def not_utf8_parquet() -> bytes:
    raw = pa.array([GOOD.encode(), b"\xff\xfe", GOOD.encode()], pa.binary())
    stream = io.BytesIO()
    broken = pa.StringArray.from_buffers(3, *raw.buffers()[1:])
    parquet.write_table(pa.table({"text": broken}), stream)
    return stream.getvalue()


def encrypted_zip() -> bytes:
    raw = bytearray(as_zip({"a.txt": GOOD.encode()}, zipfile.ZIP_STORED))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.find(signature) + flags] |= 1
    return bytes(raw)


def damaged(raw: bytes, at: float = 0.5) -> bytes:
    """Bytes with 16 of them turned round."""
    place = int(len(raw) * at)
    return raw[:place] + bytes(byte ^ 0xFF for byte in raw[place : place + 16]) + raw[place + 16 :]


def bomb(compress: object) -> bytes:
    """A compressed file of blanks that would be over 256 MB."""
    return compress(b" " * (300 * MB))  # type: ignore[operator]


PAGE = f"<html><body><article><p>{GOOD * 5}</p></article></body></html>".encode()
HTTP = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + PAGE
WARC = (
    b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: https://a.example/\r\n"
    b"WARC-Date: 2024-05-01T00:00:00Z\r\nWARC-Record-ID: <urn:uuid:1>\r\n"
    b"Content-Type: application/http; msgtype=response\r\n"
    b"Content-Length: " + str(len(HTTP)).encode() + b"\r\n\r\n" + HTTP + b"\r\n\r\n"
)
THREE = {"text": [GOOD, GOOD, GOOD]}
NULLS = {"text": [GOOD, None, GOOD]}
ROWS = "text,n\n" + f"{GOOD},1\n" * 3
TELEGRAM = json.dumps(
    {
        "name": "x",
        "type": "public_channel",
        "id": 1,
        "messages": [{"id": n, "type": "message", "text": GOOD} for n in range(3)],
    },
    ensure_ascii=False,
).encode()
LONG_LINE = json.dumps({"text": "ا" * 9 * MB}, ensure_ascii=False) + "\n"

CASES = [
    # --- Cut off ---------------------------------------------------------------------------------
    Bad("cut.txt", GOOD.encode()[:-2], "not UTF-8"),
    Bad("cut.jsonl", (LINE * 3).encode()[:-3], "not JSON", 2),
    Bad("cut.json", json.dumps([{"text": GOOD}] * 3).encode()[:-9], "not JSON", 2),
    Bad("cut.csv", (ROWS + '"cut').encode(), "not CSV", 3),
    Bad("cut.tsv", f"text\tn\n{GOOD}\t1\n{GOOD}".encode(), "1 cell,", 1),
    Bad("cut.parquet", as_parquet(THREE)[:-30], "not a complete Parquet file"),
    Bad("cut.feather", as_feather(THREE)[:-30], "not a complete Arrow file"),
    Bad("cut.arrow", as_feather(THREE)[:5], "not a complete Arrow file"),
    Bad("cut.xlsx", as_xlsx(["text"], [GOOD])[:-60], "not a complete .xlsx file"),
    Bad("result.json", TELEGRAM[:-20], "not JSON", 2),
    Bad("cut.warc", WARC[:60], "WARC"),
    Bad("cut.zip", as_zip({"a.txt": GOOD.encode()})[:-10], "not a complete zip file"),
    Bad("cut.tar", as_tar({"a.txt": GOOD.encode() * 100})[:700], "not a complete tar file"),
    Bad("cut.jsonl.gz", gzip.compress(LINE.encode() * 3)[:-12], "not a complete gzip file"),
    Bad("cut.jsonl.xz", lzma.compress(LINE.encode() * 3)[:-12], "not a complete xz file"),
    Bad("cut.jsonl.bz2", bz2.compress(LINE.encode() * 3)[:-12], "not a complete bzip2 file"),
    Bad("cut.jsonl.zst", zstandard.compress(LINE.encode() * 3)[:-5], "not a complete zstd file"),
    Bad("cut.tar.gz", gzip.compress(as_tar({"a.txt": GOOD.encode()}))[:-20], "not a complete gz"),
    # --- Something else under the name -----------------------------------------------------------
    Bad("text.parquet", GOOD.encode(), "not a complete Parquet file"),
    Bad("text.feather", GOOD.encode() * 9, "not a complete Arrow file"),
    Bad("text.xlsx", GOOD.encode(), "not a complete .xlsx file"),
    Bad("text.zip", GOOD.encode(), "not a complete zip file"),
    Bad("text.tar", GOOD.encode() * 99, "not a complete tar file"),
    Bad("text.warc", GOOD.encode(), "not a WARC file"),
    Bad("text.txt.gz", GOOD.encode(), "not a complete gzip file"),
    Bad("text.txt.xz", GOOD.encode(), "not a complete xz file"),
    Bad("text.txt.bz2", GOOD.encode(), "not a complete bzip2 file"),
    Bad("text.txt.zst", GOOD.encode(), "not a complete zstd file"),
    Bad("zip.xlsx", as_zip({"a.txt": b"x"}), "not a complete .xlsx file"),
    Bad("binary.html", bytes(range(256)) * 4, "is not HTML"),
    Bad("binary.txt", bytes(range(256)), "is not text"),
    # --- Damaged inside --------------------------------------------------------------------------
    Bad("bits.parquet", damaged(as_parquet(THREE, compression="gzip"), 0.1), "Parquet"),
    Bad("bits.xlsx", damaged(as_xlsx(["text"], [GOOD])), "not a complete .xlsx file"),
    Bad("bits.zip", damaged(as_zip({"a.txt": GOOD.encode() * 9}), 0.4), "damaged in the zip file"),
    Bad("bits.jsonl.gz", damaged(gzip.compress(LINE.encode() * 9)), "not a complete gzip file"),
    # --- Encodings -------------------------------------------------------------------------------
    Bad("cp1256.txt", GOOD.encode("cp1256"), "not UTF-8"),
    Bad("utf16.jsonl", LINE.encode("utf-16"), "UTF-16"),
    Bad("cp1256.csv", ROWS.encode("cp1256"), "not UTF-8"),
    Bad("line.jsonl", (LINE.encode() + b'{"text": "\xff"}\n' + LINE.encode()), "not UTF-8", 2),
    Bad("nul.jsonl", (LINE + '{"text": "a\0"}\n' + LINE).encode(), "is not text", 2),
    Bad("value.parquet", not_utf8_parquet(), "not UTF-8", 2),
    # --- Wrong columns, nulls, other types -------------------------------------------------------
    Bad("columns.csv", b"id,story\n1,x\n2,y\n", "no field 'text'"),
    Bad("columns.parquet", as_parquet({"story": ["x", "y"]}), "no field 'text'"),
    Bad("columns.feather", as_feather({"story": ["x", "y"]}), "no field 'text'"),
    Bad("columns.xlsx", as_xlsx(["story"], ["x"]), "no field 'text'"),
    Bad("columns.jsonl", (LINE + '{"story": 1}\n').encode(), "no field 'text'", 1),
    Bad("nulls.jsonl", (LINE + '{"text": null}\n').encode(), "is null", 1),
    Bad("nulls.parquet", as_parquet(NULLS), "is null", 2),
    Bad("nulls.feather", as_feather(NULLS), "is null", 2),
    Bad("nulls.xlsx", as_xlsx(["text", "n"], [GOOD, 1], [None, 2]), "is null", 1),
    Bad("numbers.parquet", as_parquet({"text": [1, 2]}), "is a number"),
    Bad("twice.csv", b"text,text\na,b\n", "two columns"),
    Bad("strings.json", b'["a", "b"]', "a string, not an object"),
    Bad("deep.jsonl", b'{"text": ' + b"[" * 100_000 + b"\n" + LINE.encode(), "not JSON", 1),
    # --- Too large -------------------------------------------------------------------------------
    Bad("long.jsonl", (LINE + LONG_LINE + LINE).encode(), "over 16 MB", 2),
    Bad("long.txt", GOOD.encode() * 420_000, "over 16 MB"),
    Bad("bomb.jsonl.bz2", bomb(bz2.compress), "over 500 times its size"),
    Bad("bomb.zip", as_zip({"a.jsonl": b" " * (300 * MB)}), "over 500 times its size"),
    # --- Containers ------------------------------------------------------------------------------
    Bad("locked.zip", encrypted_zip(), "cannot be unpacked"),
    Bad("empty.zip", as_zip({}), "no supported file in it"),
    Bad("nested.zip", as_zip({"in.zip": as_zip({"a.txt": b"x"})}), "no supported file in it"),
    Bad("links.tar", as_tar({}, links={"a.txt": "/etc/passwd"}), "no supported file in it"),
]

# Odd, but read: traversal is only a name, and blank lines are nothing.
HARMLESS = [
    Bad("up.zip", as_zip({"../../up.txt": GOOD.encode(), "/abs.txt": GOOD.encode()}), "", 2),
    Bad("up.tar", as_tar({"../../up.txt": GOOD.encode(), "/abs.txt": GOOD.encode()}), "", 2),
    Bad("blank.jsonl", b"\n" * MB + LINE.encode(), "", 1),
    Bad("mojibake.txt", (GOOD * 3).encode().decode("latin-1").encode(), "", 1),
]
