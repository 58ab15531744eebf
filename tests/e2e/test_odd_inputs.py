"""One table of odd inputs: the same bytes mean the same at every door.

The doors are `rasd classify FILE`, the same bytes on its standard input, the reader of labelled
files, POST /v1/classify (where the bytes are JSON) and the page in a browser. Where a door must
differ, the case says so: a browser cannot decompress xz, and the page converts the encodings that
the command asks to convert, since newsrooms have no iconv.
"""

import base64
import codecs
import gzip
import io
import json
import lzma
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Page
from visits import visit

from serving.classifier import Classifier
from serving.cli import main
from serving.errors import InputError
from serving.labels import LabelScheme
from serving.text.normalize import NORMALIZERS
from training.labelled.reading import read_labelled

DENIAL = "نفت الوزارة وقوع الهجوم."
CLAIM = "تبنت الجماعة الهجوم."
LABELS = {DENIAL: "denial", CLAIM: "claim"}
BOM = codecs.BOM_UTF8
SCHEME = LabelScheme.read(Path(__file__).parents[2] / "configs" / "labels.yaml")

Meaning = list[tuple[str, str]] | str


@dataclass(frozen=True)
class Case:
    """A file and what it means: its documents, or a part of the error.

    In ids `{}` is the file's name. `doors` says what differs at one of them; None: not asked.
    """

    about: str
    name: str
    content: bytes
    meaning: Meaning
    doors: dict[str, Meaning | None] = field(default_factory=dict)

    @property
    def plain(self) -> bytes:
        if self.name.endswith(".gz"):
            return gzip.decompress(self.content)
        return self.content

    @property
    def body(self) -> bytes | None:
        """The documents as the body of a request."""
        kind = self.name.removesuffix(".gz").rpartition(".")[2]
        raw = self.plain
        inner = raw.removeprefix(BOM).strip()
        if kind == "jsonl":
            inner = b"[" + b",".join(line for line in inner.split(b"\n") if line.strip()) + b"]"
        elif kind != "json":
            return None
        elif inner.startswith(b"{"):
            inner = b"[" + inner + b"]"
        body = (BOM if raw.startswith(BOM) else b"") + b'{"documents": ' + inner + b"}"
        return gzip.compress(body) if self.name.endswith(".gz") else body


def record(text: str, **fields: object) -> str:
    values = {**fields, "text": text, "label": LABELS.get(text, "other")}
    return json.dumps(values, ensure_ascii=False)


def lines(*records: str, end: str = "\n") -> bytes:
    return "".join(record + end for record in records).encode()


def table(*rows: str, separator: str = ",", end: str = "\n") -> bytes:
    return "".join(row.replace(",", separator) + end for row in rows).encode()


TWO = lines(record(DENIAL, id="a"), record(CLAIM))
TWO_MEAN: Meaning = [("a", DENIAL), ("{}:2", CLAIM)]
ROWS = ("id,text,label", f"a,{DENIAL},denial", f",{CLAIM},claim")
ROWS_MEAN: Meaning = [("a", DENIAL), ("{}:3", CLAIM)]
ARRAY = f"[{record(DENIAL, id='a')}, {record(CLAIM)}]"
UNLABELLED: dict[str, Meaning | None] = {"labelled": "not a labelled file"}

CASES = [
    # --- JSON Lines ------------------------------------------------------------------------------
    Case("two lines", "a.jsonl", TWO, TWO_MEAN),
    Case("the other suffix", "a.ndjson", TWO, TWO_MEAN),
    Case("byte order mark", "a.jsonl", BOM + TWO, TWO_MEAN),
    Case("gzip", "a.jsonl.gz", gzip.compress(TWO), TWO_MEAN),
    Case("xz", "a.jsonl.xz", lzma.compress(TWO), TWO_MEAN, {"page": "give .txt"}),
    Case("CRLF", "a.jsonl", TWO.replace(b"\n", b"\r\n"), TWO_MEAN),
    Case("no last line end", "a.jsonl", TWO.rstrip(), TWO_MEAN),
    Case(
        "blank lines",
        "a.jsonl",
        b"\n" + TWO.replace(b"\n", b"\n \n"),
        [("a", DENIAL), ("{}:4", CLAIM)],
    ),
    Case("escapes", "a.jsonl", lines(json.dumps(json.loads(record(DENIAL)))), [("{}:1", DENIAL)]),
    Case(
        "line separators",
        "a.jsonl",
        lines(record("قال\u2028نعم\u0085ثم لا.")),
        [("{}:1", "قال\u2028نعم\u0085ثم لا.")],
        {"http": [("{}:1", "قالنعمثم لا.")]},  # its sentences: lines end there
    ),
    Case(
        "ligature",
        "a.jsonl",
        lines(record("\ufefb صحة لهذه الأنباء.")),
        [("{}:1", "\ufefb صحة لهذه الأنباء.")],
    ),
    Case("integer id", "a.jsonl", lines(record(DENIAL, id=7)), [("7", DENIAL)]),
    Case(
        "long integer id",
        "a.jsonl",
        lines(record(DENIAL, id=12345678901234567890)),
        [("12345678901234567890", DENIAL)],
    ),
    Case("null id", "a.jsonl", lines(record(DENIAL, id=None)), [("{}:1", DENIAL)]),
    Case(
        "id is an object",
        "a.jsonl",
        lines(record(DENIAL, id={"a": 1})),
        "id",
        {"labelled": "'id' is"},
    ),
    Case(
        "null text",
        "a.jsonl",
        lines('{"text": null, "label": "denial"}'),
        "'text' is null",
        {"page": "no field “text”"},
    ),
    Case(
        "text is a number",
        "a.jsonl",
        lines('{"text": 5, "label": "denial"}'),
        "'text' is",
        {"page": "no field “text”"},
    ),
    Case(
        "text is a list",
        "a.jsonl",
        lines('{"text": ["خبر", "نفي"], "label": "denial"}'),
        [("{}:1", "خبر\nنفي")],
        {"page": "no field “text”", "labelled": "'text' is", "http": ""},
    ),
    Case(
        "no text",
        "a.jsonl",
        lines('{"story": "خبر", "label": "denial"}'),
        "no field 'text'",
        {"page": "no field “text”"},
    ),
    Case("a broken line", "a.jsonl", TWO + b'{"text": \n', "line 3", {"http": ""}),
    Case(
        "an array on one line",
        "a.jsonl",
        ARRAY.encode() + b"\n",
        "an array, not an object",
        {"page": "not a JSON object", "stdin": [("a", DENIAL), ("{}:2", CLAIM)], "http": None},
    ),
    Case(
        "one NUL", "a.jsonl", lines(record(DENIAL)) + b'{"te\0xt": "x"}\n', "line 2", {"http": ""}
    ),
    # --- JSON ------------------------------------------------------------------------------------
    Case("an array", "a.json", ARRAY.encode(), TWO_MEAN),
    Case(
        "an array over many lines",
        "a.json",
        json.dumps(json.loads(ARRAY), indent=1).encode(),
        TWO_MEAN,
    ),
    Case("an array with a mark", "a.json", BOM + ARRAY.encode(), TWO_MEAN),
    Case("an array in gzip", "a.json.gz", gzip.compress(ARRAY.encode()), TWO_MEAN),
    Case(
        "one object",
        "a.json",
        json.dumps(json.loads(record(DENIAL)), indent=2).encode(),
        [("{}:1", DENIAL)],
    ),
    Case("lines under the name of JSON", "a.json", TWO, TWO_MEAN, {"http": None}),
    Case(
        "an array of strings",
        "a.json",
        f'["{DENIAL}"]'.encode(),
        "a string, not an object",
        {"page": "not a JSON object", "http": ""},
    ),
    Case(
        "a cut array",
        "a.json",
        ARRAY.encode()[:-1],
        "not JSON",
        {"page": "not a JSON object", "http": ""},
    ),
    # --- Tables ----------------------------------------------------------------------------------
    Case("commas", "a.csv", table(*ROWS), ROWS_MEAN),
    Case("semicolons", "a.csv", table(*ROWS, separator=";"), ROWS_MEAN),
    Case("tabs", "a.csv", table(*ROWS, separator="\t"), ROWS_MEAN),
    Case("TSV", "a.tsv", table(*ROWS, separator="\t"), ROWS_MEAN),
    Case("Excel's CSV", "a.csv", BOM + table(*ROWS, separator=";", end="\r\n"), ROWS_MEAN),
    Case(
        "Excel's first line",
        "a.csv",
        b"sep=;\r\n" + table(*ROWS, separator=";", end="\r\n"),
        [("a", DENIAL), ("{}:4", CLAIM)],
    ),
    Case(
        "a comma in a header cell",
        "a.csv",
        table("id;city, country;text;label", f"a;b, c;{DENIAL};denial"),
        [("a", DENIAL)],
    ),
    Case(
        "header cells with blanks",
        "a.csv",
        table(" id , text , label ", f"a,{DENIAL},denial"),
        [("a", DENIAL)],
    ),
    Case(
        "a quoted header",
        "a.csv",
        table('"id","text","label"', f'"a","{DENIAL}","denial"'),
        [("a", DENIAL)],
    ),
    Case(
        "empty last columns",
        "a.csv",
        table("id,text,label,,", f"a,{DENIAL},denial,,", ",,,,"),
        [("a", DENIAL)],
    ),
    Case(
        "two columns of one name",
        "a.csv",
        table("text,label,text", f"{DENIAL},denial,x"),
        "two columns",
        {},
    ),
    Case(
        "no column of texts",
        "a.csv",
        table("id,story,label", f"a,{DENIAL},denial"),
        "no field 'text'",
        {"page": "no field “text”"},
    ),
    Case(
        "a row that is too long",
        "a.csv",
        table("id,text,label", f"a,{DENIAL},denial,x"),
        "line 2",
        {},
    ),
    Case(
        "quotes and line ends",
        "a.csv",
        'label,text\ndenial,"قال: ""لا"", وأضاف\nنعم."\n'.encode(),
        [("{}:2", 'قال: "لا", وأضاف\nنعم.')],
    ),
    Case(
        "a quote that is not closed",
        "a.csv",
        table("text,label", f'"{DENIAL},denial'),
        "line 2",
        {},
    ),
    Case(
        "an empty cell",
        "a.csv",
        table("id,text,label", "a,,denial"),
        [("a", "")],
        {"labelled": "line 2: 'text' is empty"},
    ),
    Case("a table in gzip", "a.csv.gz", gzip.compress(table(*ROWS)), ROWS_MEAN),
    Case("only a header", "a.csv", b"text,label\n", [], {"labelled": "no labelled sentence"}),
    # --- Texts and bytes -------------------------------------------------------------------------
    Case("text", "a.txt", DENIAL.encode(), [("{}", DENIAL)], UNLABELLED),
    Case("text with a mark", "a.txt", BOM + DENIAL.encode(), [("{}", DENIAL)], UNLABELLED),
    Case(
        "a text that begins with a bracket",
        "a.txt",
        f"[عاجل] {DENIAL}".encode(),
        [("{}", f"[عاجل] {DENIAL}")],
        UNLABELLED,
    ),
    Case("an empty file", "a.txt", b"", [("{}", "")], UNLABELLED),
    Case(
        "empty JSON Lines",
        "a.jsonl",
        b"",
        [],
        {"labelled": "no labelled sentence", "stdin": [("{}", "")], "http": None},
    ),
    Case(
        "Windows-1256",
        "a.csv",
        table(*ROWS).decode().encode("cp1256"),
        "Windows Arabic",
        {"page": ROWS_MEAN},
    ),
    Case("UTF-16", "a.csv", table(*ROWS).decode().encode("utf-16"), "UTF-16", {"page": ROWS_MEAN}),
    Case(
        "UTF-16 without its mark",
        "a.jsonl",
        TWO.decode().encode("utf-16-le"),
        "UTF-16LE",
        {"page": "NUL", "http": None},
    ),
    Case(
        "Western letters",
        "a.csv",
        "text,label\ndéjà,other\n".encode("cp1252"),
        "must be UTF-8",
        {"page": "not UTF-8"},
    ),
    Case(
        "a picture",
        "a.txt",
        bytes(range(256)),
        "byte 0x00 is not text",
        {"page": "NUL"} | UNLABELLED,
    ),
    Case(
        "damaged gzip",
        "a.jsonl.gz",
        gzip.compress(TWO)[:-9],
        "not a complete gzip file",
        {"http": None},
    ),
    Case(
        "an unknown suffix",
        "a.docx.gz",
        b"x",
        "(.docx.gz)",
        {"page": "give .txt", "labelled": "ends in .docx.gz", "stdin": None, "http": None},
    ),
]


def cases(door: str) -> list[object]:
    return [
        pytest.param(
            case,
            case.doors.get(door, case.meaning),
            id=case.about,
        )
        for case in CASES
        if case.doors.get(door, "") is not None
    ]


def named(meaning: list[tuple[str, str]], name: str) -> list[tuple[str, str]]:
    return [(identifier.format(name), text) for identifier, text in meaning]


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load(Path("fast"), threads=1)


@pytest.fixture
def labelled_by_command(classifier, monkeypatch, capsys):
    """Run `rasd classify` in this process on a model that is loaded once."""
    monkeypatch.setattr(Classifier, "load", lambda *_, **__: classifier)

    def run(*arguments: str) -> Meaning:
        code = main(["classify", *arguments, "--format", "jsonl", "--unit", "sentence"])
        said = capsys.readouterr()
        if code:
            assert (code, said.out) == (2, "")
            return said.err
        return [(r["doc_id"], r["text"]) for r in map(json.loads, said.out.splitlines())]

    return run


def check_command(found: Meaning, meaning: Meaning, name: str) -> None:
    if isinstance(meaning, str):
        assert isinstance(found, str)
        assert meaning in found
        return
    assert not isinstance(found, str), found
    # A line of a text file has its number for its id.
    wanted = [(i, t) if i != name else (f"{name}:1", t) for i, t in named(meaning, name)]
    wanted = [] if wanted == [(f"{name}:1", "")] else wanted
    assert found == wanted


@pytest.mark.parametrize(("case", "meaning"), cases("command"))
def test_as_a_file_of_the_command(case, meaning, labelled_by_command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(case.name).write_bytes(case.content)
    check_command(labelled_by_command(case.name), meaning, case.name)


@pytest.mark.parametrize(
    ("case", "meaning"),
    [c for c in cases("stdin") if not c.values[0].name.endswith((".gz", ".xz"))],
)
def test_on_standard_input(case, meaning, labelled_by_command, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(case.content)))
    check_command(labelled_by_command("-"), meaning, "stdin")


@pytest.mark.parametrize(("case", "meaning"), cases("labelled"))
def test_as_a_labelled_file(case, meaning, tmp_path):
    path = tmp_path / case.name
    path.write_bytes(case.content)
    if isinstance(meaning, str):
        with pytest.raises(InputError) as caught:
            read_labelled([path], SCHEME, NORMALIZERS["light"].apply)
        assert meaning in str(caught.value)
        return
    found = read_labelled([path], SCHEME, NORMALIZERS["light"].apply).sentences
    assert [(sentence.text, sentence.label) for sentence in found] == [
        (text, LABELS.get(text, sentence.label))
        for (_, text), sentence in zip(meaning, found, strict=True)
    ]
    ids = [i for i, _ in meaning]
    assert [s.id or i for s, i in zip(found, ids, strict=True)] == ids


@pytest.mark.parametrize(("case", "meaning"), [c for c in cases("http") if c.values[0].body])
def test_over_http(case, meaning, service):
    headers = {"content-type": "application/json"}
    if case.name.endswith(".gz"):
        headers["content-encoding"] = "gzip"
    answer = service.client.post("/v1/classify", content=case.body, headers=headers)
    if isinstance(meaning, str):
        assert 400 <= answer.status_code < 500 or "error" in answer.text
        return
    assert answer.status_code == 200, answer.text
    documents = answer.json()["documents"]
    # Over HTTP a document without an id is named by its place, from 0.
    assert [(d["id"], "".join(s["text"] for s in d["sentences"])) for d in documents] == [
        (str(n) if "{}" in identifier else identifier, text)
        for n, (identifier, text) in enumerate(meaning)
    ]


@pytest.fixture(scope="module")
def page(browser, service):
    yield from visit(browser, service, locale="en-GB")


READ = """async ([name, content]) => {
    const { readFiles } = await import("/page/input.js");
    const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
    try {
        return await readFiles([new File([bytes], name)]);
    } catch (error) {
        return { error: error.message };
    }
}"""


@pytest.mark.parametrize(("case", "meaning"), cases("page"))
def test_as_a_file_of_the_page(case, meaning, page: Page):
    found = page.evaluate(READ, [case.name, base64.b64encode(case.content).decode()])
    if isinstance(meaning, str):
        assert "error" in found, found
        # The page has its own words; where they are the same or stated, they must be said.
        assert case.name in found["error"]
        assert meaning in found["error"] or "page" not in case.doors
        return
    assert "error" not in found, found
    assert [(d["id"], d["text"]) for d in found["documents"]] == named(meaning, case.name)
    converted = isinstance(case.meaning, str)
    assert [f"{case.name} was read as" in note for note in found["notes"]] == [True] * converted


# --- What the first lines do not show, and what cannot apply -----------------------------------


def test_the_format_can_be_named(labelled_by_command, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("news.log").write_bytes(TWO)
    found = [("a", DENIAL), ("news.log:2", CLAIM)]
    assert labelled_by_command("news.log", "--input-format", "jsonl") == found
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(table("text", DENIAL))))
    assert labelled_by_command("-", "--input-format", "text") == [
        ("stdin:1", "text"),
        ("stdin:2", DENIAL),
    ]


@pytest.mark.parametrize(
    ("content", "options", "wanted"),
    [
        (table("url,body", f"u,{DENIAL}"), ("--text-field", "body"), [("stdin:2", DENIAL)]),
        (table("url,body", f"u,{DENIAL}"), (), [("stdin:2", DENIAL)]),
        (table("url,story", f"u,{DENIAL}"), (), "no field 'text'; the fields are 'url', 'story'"),
        (DENIAL.encode(), ("--text-field", "body"), "plain text, which has no field 'body'"),
        (DENIAL.encode(), ("--id-field", "url"), "plain text, which has no field 'url'"),
        (f"نعم, لا\n{DENIAL}".encode(), (), [("stdin:1", "نعم, لا"), ("stdin:2", DENIAL)]),
    ],
)
def test_options_apply_or_are_refused(content, options, wanted, labelled_by_command, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    found = labelled_by_command("-", *options)
    assert found == wanted if isinstance(wanted, list) else wanted in found


def test_a_field_of_a_text_file_is_refused(labelled_by_command, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text(DENIAL, encoding="utf-8")
    assert "a.txt: plain text" in labelled_by_command("a.txt", "--text-field", "body")


def test_the_page_stops_reading_a_file_that_grows(page):
    content = gzip.compress(b"\n" * (9 * 2**20))
    found = page.evaluate(READ, ["a.jsonl.gz", base64.b64encode(content).decode()])
    assert found["error"].startswith("a.jsonl.gz is larger than 8 MB")
