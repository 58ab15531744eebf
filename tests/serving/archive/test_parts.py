"""How much may be bad before a run stops, and parts that are removed."""

from pathlib import Path

import pytest

from serving.archive.limit import Limit
from serving.archive.parts import PartKey, Parts, PartSummary
from serving.errors import InputError


def total(records, rejected):
    return PartSummary(
        records=records, rejected=rejected, rejection=("a.csv: line 2: bad", "Mend it.")
    )


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("0", Limit(count=0)),
        ("20", Limit(count=20)),
        ("0.05", Limit(share=0.05)),
        ("5%", Limit(share=0.05)),
        ("1.0", Limit(share=1.0)),
    ],
)
def test_a_limit_is_a_count_or_a_share(text, limit):
    assert Limit.parse(text) == limit


@pytest.mark.parametrize("text", ["", "-1", "many", "1.5", "200%", "nan", "٥"])
def test_what_is_neither_is_refused(text):
    with pytest.raises(ValueError, match="neither a count"):
        Limit.parse(text)


def test_a_share_is_judged_from_a_hundred_records_on():
    Limit().check(total(99, 50), ended=False)
    with pytest.raises(InputError, match="50 of 100 records"):
        Limit().check(total(100, 50), ended=False)


def test_when_every_record_is_bad_the_error_is_that_of_the_first():
    with pytest.raises(InputError, match=r"a\.csv: line 2: bad\nMend it"):
        Limit(count=1000).check(total(3, 3), ended=True)


def test_one_bad_record_of_ten_does_not_stop_a_run():
    Limit().check(total(10, 1), ended=True)


@pytest.mark.parametrize("removed", range(10))
def test_a_removal_that_is_killed_leaves_no_finished_part_without_its_files(
    tmp_path, monkeypatch, removed
):
    parts = Parts(tmp_path / "out.parts", ".jsonl")
    keys = [PartKey(number, 0) for number in range(3)]
    with parts.locked():
        parts.claim({"model": "a"})
        for key in keys:
            with parts.writing(key) as files:
                files.data.write(b"{}\n")
    unlink, done = Path.unlink, []

    def until_killed(path, missing_ok=False):
        if len(done) == removed:
            raise KeyboardInterrupt
        done.append(path)
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", until_killed)
    with pytest.raises(KeyboardInterrupt):
        parts.discard()
    monkeypatch.undo()
    for key in parts.finished_keys():
        assert parts.data(key).is_file()
        assert parts.rejects(key).is_file()
    if any(parts.data(key).is_file() for key in keys):
        assert parts.claim({"model": "a"})  # still the run's own
