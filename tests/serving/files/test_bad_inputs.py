"""Sixty bad inputs: each is set aside as said, none ends the reading or leaves its folder."""

import os
from pathlib import Path

import pytest
from bad_inputs import CASES, GOOD, HARMLESS, Bad

from serving.errors import Problem
from serving.files.documents import read_documents
from serving.files.fields import ReadOptions
from serving.files.rows import unreadable
from serving.files.sources import find_sources
from serving.records import Document


def items(path: Path) -> list[Document | Problem]:
    found: list[Document | Problem] = []
    for source in find_sources([str(path)]):
        try:
            with source.open() as file:
                found += read_documents(source, file, ReadOptions())
        except OSError as error:
            found.append(unreadable(source, error))
    return [item for item in found if isinstance(item, Document) or not item.warning]


def test_there_are_sixty():
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_bad_input_is_set_aside_and_what_is_good_is_kept(tmp_path, case: Bad):
    (tmp_path / case.name).write_bytes(case.content)
    found = items(tmp_path / case.name)
    documents = [item for item in found if isinstance(item, Document)]
    problems = [item for item in found if isinstance(item, Problem)]
    assert problems
    assert case.said in problems[0].what
    assert case.name in problems[0].where
    assert problems[0].remedy
    assert len(problems[0].raw) < 2**20
    assert [d.text for d in documents] == [GOOD] * case.good
    assert [path.name for path in tmp_path.iterdir()] == [case.name]


@pytest.mark.parametrize("case", HARMLESS, ids=lambda case: case.name)
def test_an_odd_input_is_read_and_nothing_is_written(tmp_path, case: Bad):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / case.name).write_bytes(case.content)
    found = items(folder / case.name)
    assert len(found) == case.good
    assert all(isinstance(item, Document) for item in found)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [folder / case.name]
    assert not Path("/abs.txt").exists()


def test_text_decoded_wrongly_is_marked(tmp_path):
    (case,) = [case for case in HARMLESS if case.name == "mojibake.txt"]
    (tmp_path / case.name).write_bytes(case.content)
    (document,) = items(tmp_path / case.name)
    assert isinstance(document, Document)
    assert document.damage == "decoded as a Western encoding"


def test_links_in_a_circle_pipes_and_files_that_may_not_be_read_end_nothing(tmp_path):
    (tmp_path / "good.txt").write_text(GOOD, "utf-8")
    (tmp_path / "loop.txt").symlink_to("loop.txt")
    (tmp_path / "folder").symlink_to(".")
    (tmp_path / "gone.txt").symlink_to("missing.txt")
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "secret.txt").write_text(GOOD, "utf-8")
    (tmp_path / "secret.txt").chmod(0)
    found = items(tmp_path)
    problems = [item for item in found if isinstance(item, Problem)]
    assert any(isinstance(item, Document) and item.id == "good.txt" for item in found)
    assert {Path(problem.where).name for problem in problems} >= {"loop.txt", "gone.txt"}
    assert all("cannot be read" in problem.what for problem in problems)
