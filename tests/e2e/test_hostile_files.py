"""Files that never end, explode or steer the terminal: two lines, in time, at every verb."""

import gzip
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

RASD = Path(sys.executable).with_name("rasd")
TIMEOUT = 60  # seconds, for a machine that has other work
UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
MEMORY = 3 * 2**30
LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
YAML = {
    "laughs": LAUGHS,
    "merges": "a0: &a0 {k: v}\n"
    + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 12)),
    "deep": "a: " + "[" * 10_000,
    "itself": "a: &a [*a]\n",
    "huge": "a: x\n" * 200_000,
}


def run(folder, *arguments):
    """Run `rasd` with a bound on its memory and its time."""
    script = f'ulimit -v {MEMORY // 1024}; exec "$@"'
    result = subprocess.run(
        ["bash", "-c", script, "bash", RASD, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd=folder,
        check=False,
        timeout=TIMEOUT,
    )
    return result.returncode, result.stderr.decode()


def refused(folder, *arguments):
    code, said = run(folder, *arguments)
    assert code == 2, said
    assert len(said.splitlines()) == 2, said
    assert said.startswith("rasd: ")
    assert not UNSAFE.search(said)
    return said


def make(path, kind):
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "zeros":
        path.symlink_to("/dev/zero")
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))


@pytest.mark.parametrize("kind", ["pipe", "zeros", "socket"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("classify", "in.jsonl"),
        ("classify", "."),
        ("validate", "in.jsonl"),
        ("validate", "in.yaml"),
        ("serve", "--config", "in.yaml"),
        ("feedback", "export", "--config", "in.yaml", "-o", "out.csv"),
        ("train", "in.yaml", "--out", "out"),
    ],
    ids=" ".join,
)
def test_what_is_no_regular_file_is_refused(tmp_path, monkeypatch, kind, arguments):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    make(Path("in.yaml" if "in.yaml" in arguments else "in.jsonl"), kind)
    assert "not a regular file" in refused(tmp_path, *arguments) or kind == "socket"


@pytest.mark.parametrize("name", YAML)
def test_a_configuration_that_explodes_is_refused(tmp_path, name):
    (tmp_path / "in.yaml").write_text(YAML[name], encoding="utf-8")
    refused(tmp_path, "validate", "in.yaml")


@pytest.mark.parametrize("name", ["in.txt.gz", "in.jsonl.gz", "in.csv.gz", "in.json.gz"])
def test_a_small_file_that_holds_an_endless_record_is_refused(tmp_path, name):
    start = {"json": b'[{"text": "', "jsonl": b'{"text": "', "csv": b"text\n"}
    with gzip.open(tmp_path / name, "wb", compresslevel=1) as file:
        file.write(start.get(name.split(".")[1], b""))
        for _ in range(6):
            file.write(b"a" * 2**25)
    assert "over 16 MB" in refused(tmp_path, "classify", name, "--format", "jsonl")


@pytest.mark.parametrize("verb", ["classify", "validate"])
@pytest.mark.parametrize("name", ["in.json", "in.jsonl"])
def test_deep_json_is_refused(tmp_path, verb, name):
    deep = "[" * 100_000 + "]" * 100_000
    (tmp_path / name).write_text(f'{{"text": "x", "label": "other", "more": {deep}}}\n')
    assert "nested too deeply" in refused(tmp_path, verb, name)


HOSTILE = "\x1b[31m\n\u202eخبر\u0085\r\x9b"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        (f"{HOSTILE}.jsonl", ("classify",)),
        (f"a.{HOSTILE}", ("classify",)),
        (f"{HOSTILE}.jsonl", ("validate",)),
        (f"{HOSTILE}.yaml", ("validate",)),
        (f"{HOSTILE}.yaml", ("train", "--out", "out")),
        (f"{HOSTILE}.yaml", ("serve", "--config")),
        (f"{HOSTILE}.yaml", ("feedback", "export", "-o", "out.csv", "--config")),
    ],
)
def test_names_from_outside_cannot_steer_the_terminal(tmp_path, name, arguments):
    (tmp_path / name).write_text('{"text": \n', encoding="utf-8")
    said = refused(tmp_path, *arguments, name)
    assert "\\x1b[31m\\n\\u202eخبر" in said


def test_names_that_are_no_text_and_yaml_keys_are_escaped_too(tmp_path):
    (tmp_path / "in.yaml").write_text('"\\e[31m\\u202E\\n": 1\n', encoding="utf-8")
    assert "\\x1b[31m\\u202e" in refused(tmp_path, "serve", "--config", "in.yaml")
    path = os.fsencode(tmp_path) + b"/\xff\n.jsonl"
    Path(os.fsdecode(path)).write_bytes(b"{")
    assert "\\udcff\\n.jsonl" in refused(tmp_path, "validate", b"\xff\n.jsonl")


def test_names_of_fields_cannot_steer_the_terminal(tmp_path):
    (tmp_path / "in.jsonl").write_text(r'{"text": "a", "\u001b[2J\nb\u202e": 1}', encoding="utf-8")
    said = subprocess.run(
        [RASD, "classify", "in.jsonl", "--check"], capture_output=True, cwd=tmp_path, check=True
    ).stdout.decode()
    assert "\\x1b[2J\\nb\\u202e (1)" in said
    assert not UNSAFE.search(said)
