"""Web pages to rows: the main text of an HTML file, and of every page of a WARC file."""

import io
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, Literal

from serving.errors import Problem, missing_extra
from serving.files.compression import BadFile
from serving.files.row import MAX_RECORD, Row, too_long

_DATE = 'meta[property="article:published_time"], meta[name="date"], meta[itemprop="datePublished"]'
_LINK = 'link[rel="canonical"]'
_Mode = Literal["all", "content", "transfer"]


def html_rows(file: BinaryIO, name: str) -> Iterator[Row | Problem]:
    """Yield one row with `text`, `title`, `date` and `url`; null is what the page does not say."""
    raw = file.read(MAX_RECORD + 1)
    if len(raw) > MAX_RECORD:
        yield too_long(name, None, len(raw), "")
        return
    fields = _page(raw)
    if fields is None:
        raise BadFile("is not HTML", "Give it the suffix of what it is.")
    yield Row(name, 1, 1, fields, plain=True)


def warc_rows(file: BinaryIO, name: str) -> Iterator[Row | Problem]:
    """Yield a row for every HTML page; `id` is its address, `date` when it was fetched."""
    for number, (record, raw) in enumerate(_responses(file), 1):
        where = f"{name}: page {number}"
        if (record.http_content_type or "").lower() not in ("text/html", "application/xhtml+xml"):
            continue
        if record.http_headers.status_code != 200:
            continue
        url = record.headers.get("WARC-Target-URI")
        if raw is not None and len(raw) > MAX_RECORD:
            yield too_long(where, number, len(raw), url or "")
            continue
        fields = None if raw is None else _page(raw, record.http_charset)
        if fields is None:
            what = "is not HTML, or cut off, or not encoded as it says"
            yield Problem(where, what, "Leave it out.", line=number, raw=url or "")
            continue
        fetched = {"id": url, "url": url, "date": record.headers.get("WARC-Date")}
        yield Row(where, number, number, fields | fetched, plain=True)


def _responses(file: BinaryIO) -> Iterator[tuple[Any, bytes | None]]:
    """Yield the responses of a WARC file, each with its body up to MAX_RECORD and one byte more."""
    try:
        from fastwarc.warc import ArchiveIterator, WarcRecordType
    except ModuleNotFoundError as error:
        raise missing_extra("A WARC file", "fastwarc", "html") from error
    if not file.peek(5)[:5].startswith(b"WARC/"):  # type: ignore[attr-defined]
        raise BadFile("not a WARC file", "Copy it again, or give it the suffix of what it is.")
    kind = WarcRecordType.response
    records = iter(
        ArchiveIterator(file, record_types=kind, auto_decode="none", stream_detect=False)
    )
    while True:
        try:
            record = next(records, None)
            raw = b"" if record is None else record.reader.read(MAX_RECORD + 1)
        except BadFile:
            raise
        except BaseException as error:
            # The library's panics are no Exception, and their class cannot be imported.
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            raise BadFile(f"not a complete WARC file: {error}", "Copy it again.") from error
        if record is None:
            return
        if _is_foreign(record):
            continue
        if _is_cut(record, len(raw)):
            raise BadFile("not a complete WARC file: cut off in its last page", "Copy it again.")
        yield record, _decoded(record, raw)


def _decoded(record: Any, raw: bytes) -> bytes | None:
    """Return a page without the encodings that its headers name, None if it is cut off or neither.

    Crawlers often store a page decoded and keep the headers: then it is read as it is.
    """
    names = ("Content-Encoding", "Transfer-Encoding")
    encodings = [f"{name}: {value}" for name in names if (value := record.http_headers.get(name))]
    if not (encodings and raw) or len(raw) > MAX_RECORD:
        return raw
    page = "\r\n".join(["HTTP/1.1 200 OK", *encodings, "", ""]).encode() + raw
    if _is_cut_gzip(_undone(page, "transfer") or raw):
        return None
    modes: tuple[_Mode, ...] = ("all", "content", "transfer")
    for mode in modes:
        found = _undone(page, mode)
        if found and (mode == "all" or _begins_a_page(found)):
            return found
    return raw if _begins_a_page(raw) else None


def _undone(page: bytes, mode: _Mode) -> bytes | None:
    """Return the body of an HTTP response without the encodings of `mode`, None if it has others.

    The library decodes records of an archive only, so the response is made one.
    """
    from fastwarc.warc import ArchiveIterator

    head = (
        "WARC/1.0\r\nWARC-Type: response\r\nContent-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(page)}\r\n\r\n"
    )
    try:
        file = io.BytesIO(head.encode() + page)
        record = next(iter(ArchiveIterator(file, auto_decode=mode, stream_detect=False)))
        body: bytes = record.reader.read(MAX_RECORD + 1)
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        return None
    return body


def _is_cut_gzip(body: bytes) -> bool:
    """Tell whether gzip data ends early, which the library does not say."""
    if not body.startswith(b"\x1f\x8b"):
        return False
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        stream.decompress(body, MAX_RECORD + 1)
    except zlib.error:
        return True
    return not (stream.eof or stream.unconsumed_tail)


def _begins_a_page(raw: bytes) -> bool:
    return raw.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def _is_foreign(record: Any) -> bool:
    """Tell whether a response is complete but not of HTTP: crawlers keep those of name servers."""
    kind, size = record.headers.get("Content-Type"), record.headers.get("Content-Length")
    return bool(kind and size) and not kind.startswith("application/http")


def _is_cut(record: Any, size: int) -> bool:
    """Tell whether a record ends before its own length."""
    headers = record.http_headers
    if record.headers.get("Content-Length") is None or headers is None:
        return True
    return size < min(int(record.content_length), MAX_RECORD + 1)


def _page(raw: bytes, charset: str | None = None) -> dict[str, Any] | None:
    """Return the main text of a page, its title, date and address; None for what is no page."""
    try:
        from resiliparse.extract.html2text import extract_plain_text
        from resiliparse.parse.encoding import detect_encoding
        from resiliparse.parse.html import HTMLTree
    except ModuleNotFoundError as error:
        raise missing_extra("An HTML page", "resiliparse", "html") from error
    if b"\0" in raw[:1000] and not raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return None
    try:
        tree = HTMLTree.parse_from_bytes(
            raw, _encoding(raw, charset) or detect_encoding(raw) or "utf-8"
        )
        text = extract_plain_text(tree, main_content=True, alt_texts=False, list_bullets=False)
        page: Any = tree.document
        date, link = page.query_selector(_DATE), page.query_selector(_LINK)
    except Exception:  # the parser's own errors: it takes nearly anything for HTML
        return None
    return {
        "text": text,
        "title": tree.title,
        "date": date and (date.getattr("content") or date.getattr("datetime")),
        "url": link and link.getattr("href"),
    }


def _encoding(raw: bytes, charset: str | None) -> str | None:
    """Return UTF-8 where the page is that, whatever it says; else what its sender said."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        return charset
    return "utf-8"
