"""Every bad input: exit 2, two lines that name it and say what would be right, nothing written.

A run with an output file sets bad records aside, so `--strict` asks for the first to end it.
"""

import json
import shutil
import sys

import pytest

from serving.bundle import shipped_model

GOOD = "نفت الوزارة صحة الأنباء.\n"
SEVEN_LINES = '{"text": "خبر"}\n' * 6 + '{"text": "خبر"\n'


def flip_a_byte(folder):
    shutil.copytree(shipped_model(), folder)
    model = folder / "model.onnx"
    raw = bytearray(model.read_bytes())
    raw[len(raw) // 2] ^= 1
    model.write_bytes(raw)


def lose_the_graph(folder):
    shutil.copytree(shipped_model(), folder)
    (folder / "model.onnx").unlink()


def refused(rasd, tmp_path, *arguments, problem, remedy, stdin=""):
    """Run and check what holds for every refusal; `arguments` may name an output already."""
    output = [] if "-o" in arguments else ["-o", "out.jsonl"]
    before = sorted(tmp_path.rglob("*"))
    result = rasd("classify", *arguments, *output, stdin=stdin)
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before
    first, second = result.stderr.splitlines()
    assert first.startswith("rasd: ")
    assert problem in first
    assert remedy in second
    return result


BAD_FILES = {
    "news.txt": [
        (GOOD.encode("cp1256"), "line 1: byte 0xe4 is not UTF-8", "iconv -f CP1256"),
        ((GOOD * 2).encode()[:-3], "line 2: byte 0xd8 is not UTF-8", "cut off"),
        ((GOOD + "خ\0بر").encode(), "line 2: byte 0x00 is not text", "tr -d"),
        (GOOD.encode("utf-16"), "line 1: begins with the byte order mark", "UTF-16"),
    ],
    "news.jsonl": [
        (SEVEN_LINES.encode(), "line 7: not JSON", "one JSON object per line"),
        (
            b'{"id": 1, "story": "x"}',
            "no field 'text'; the fields are 'id', 'story'",
            "--text-field",
        ),
    ],
    "news.csv": [
        (b"id,story\n1,x\n", "no field 'text'; the fields are 'id', 'story'", "--text-field"),
        (b"id,text\n1,a, b\n", "line 2: 3 cells, the header has 2", "Quote"),
    ],
    "news.docx": [
        (b"PK", "(.docx)", ".txt, .jsonl"),
        (b"PK", "(.docx)", "Save it as plain text (.txt) in UTF-8"),
    ],
    "news.PDF": [(b"%PDF-1.7", "(.PDF)", "pdftotext")],
    "news.txt.gz": [(b"news", "not a complete gzip file", "gzip -t")],
}


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        pytest.param(name, bad, id=f"{name}: {bad[1]}")
        for name, cases in BAD_FILES.items()
        for bad in cases
    ],
)
def test_a_bad_file(rasd, tmp_path, name, bad):
    content, problem, remedy = bad
    (tmp_path / "good.txt").write_text(GOOD, encoding="utf-8")
    (tmp_path / name).write_bytes(content)
    result = refused(rasd, tmp_path, "good.txt", name, "--strict", problem=problem, remedy=remedy)
    assert result.stderr.startswith(f"rasd: {name}: ")


def test_a_missing_file(rasd, tmp_path):
    refused(rasd, tmp_path, "no.txt", problem="no.txt: no such file", remedy="Check its name")


def test_a_folder_without_texts(rasd, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"x")
    refused(rasd, tmp_path, "photos", problem="photos: no supported file", remedy="Supported: .txt")


def test_bad_standard_input(rasd, tmp_path):
    refused(
        rasd,
        tmp_path,
        "-",
        "--strict",
        stdin='{"text": "خبر"}\n{"text"\n',
        problem="standard input: line 2: not JSON",
        remedy="one JSON object per line",
    )


@pytest.mark.parametrize(
    ("output", "problem", "remedy"),
    [
        ("missing/out.jsonl", "there is no folder missing", "Make it first"),
        ("folder", "folder: holds something other than a run's parts", "Name a new folder"),
        ("good.txt", "good.txt: is also an input", "another file"),
        ("out.docx", "'.docx' names no format", "--format"),
        pytest.param(
            "/dev/null",
            "is a device",
            "Name a file",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="no such device"),
        ),
    ],
)
def test_an_output_that_cannot_be(rasd, tmp_path, output, problem, remedy):
    (tmp_path / "good.txt").write_text(GOOD, encoding="utf-8")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine.txt").touch()
    refused(rasd, tmp_path, "good.txt", "-o", output, problem=problem, remedy=remedy)
    assert (tmp_path / "good.txt").read_text(encoding="utf-8") == GOOD


@pytest.mark.parametrize(
    ("spoil", "problem", "remedy"),
    [
        (flip_a_byte, "model.onnx: damaged", "Copy the bundle again"),
        (lose_the_graph, "model.onnx is missing", "Copy the bundle again"),
    ],
)
def test_a_bad_model(rasd, tmp_path, spoil, problem, remedy):
    (tmp_path / "good.txt").write_text(GOOD, encoding="utf-8")
    spoil(tmp_path / "bundle")
    refused(rasd, tmp_path, "good.txt", "--model", "bundle", problem=problem, remedy=remedy)


def test_what_was_there_before_stays_when_a_run_fails(rasd, tmp_path):
    lines = [json.dumps({"text": "خبر"}) for _ in range(700)]  # more than one chunk
    (tmp_path / "news.jsonl").write_text("\n".join([*lines, "{"]), encoding="utf-8")
    (tmp_path / "out.jsonl").write_text("yesterday's", encoding="utf-8")
    refused(rasd, tmp_path, "news.jsonl", "--strict", problem="line 701", remedy="JSON object")
    assert (tmp_path / "out.jsonl").read_text(encoding="utf-8") == "yesterday's"


@pytest.mark.parametrize(
    ("arguments", "problem", "asked"),
    [
        ("classify", "arguments are required: INPUT", "classify"),
        ("classify a.txt --threads 0", "'0' is not a whole number above 0", "classify"),
        ("classify a.txt --threads x", "'x' is not a whole number above 0", "classify"),
        ("classify a.txt --cache -1", "'-1' is not a whole number", "classify"),
        ("classify a.txt --format xml", "invalid choice: 'xml'", "classify"),
        ("classify a.txt --text-feild x", "--text-feild. Did you mean --text-field?", "classify"),
        ("serve --prot=3", "--prot=3. Did you mean --port?", "serve"),
        ("serve --port 65536", "'65536' is not a whole number from 0 to 65535", "serve"),
        ("feedback exprt", "invalid choice: 'exprt'", "feedback"),
        ("clasify a.txt", "invalid choice: 'clasify' (choose from", ""),
        ("clasify a.txt", "Did you mean classify?", ""),
        ("classify a.txt --unit sentences", "Did you mean sentence?", "classify"),
    ],
)
def test_wrong_usage_is_two_lines_too(rasd, arguments, problem, asked):
    result = rasd(*arguments.split())
    assert (result.returncode, result.stdout) == (2, "")
    first, second = result.stderr.splitlines()
    command = f"rasd {asked}".strip()
    assert first.startswith(f"{command}: ")
    assert problem in first
    assert second == f"`{command} --help` says what it takes."


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("--engine ray", "--engine needs a .jsonl or .csv file"),
        ("--cache 0 -o out.txt", "--cache needs a .jsonl or .csv file"),
        ("--restart", "--restart needs a .jsonl or .csv file"),
        ("--ray-address a:1 -o out.jsonl", "--ray-address needs --engine ray"),
    ],
)
def test_an_option_that_would_do_nothing(rasd, tmp_path, options, problem):
    (tmp_path / "good.txt").write_text(GOOD, encoding="utf-8")
    result = rasd("classify", "good.txt", *options.split())
    assert result.returncode == 2
    assert problem in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["good.txt"]


def test_debug_adds_the_traceback_and_changes_nothing_else(rasd, tmp_path):
    plain = rasd("classify", "nofile.txt")
    result = rasd("--debug", "classify", "nofile.txt")
    assert result.returncode == plain.returncode == 2
    assert result.stderr.startswith("Traceback")
    assert result.stderr.endswith(plain.stderr)
