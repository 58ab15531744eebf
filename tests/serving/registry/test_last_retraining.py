"""The record of a registry's last retraining: written under the lock, read with care."""

import os
from datetime import UTC, datetime

import pytest

from serving.bundle import shipped_model
from serving.errors import InputError
from serving.registry.lock import BusyError, locked
from serving.registry.retraining import (
    RETRAINING,
    CheckFigures,
    Retraining,
    last_retraining,
    record_retraining,
)
from serving.registry.store import Registry

CHECK = CheckFigures(
    name="macro-F1", outcome="passed", champion=0.7, challenger=0.8, condition="not lower"
)
RECORD = Retraining(
    time=datetime(2026, 11, 26, 12, tzinfo=UTC),
    champion="fast@1",
    challenger="fast@2",
    passed=True,
    checks=(CHECK,),
)


@pytest.fixture
def registry(tmp_path):
    versions = Registry(tmp_path / "registry", check=lambda _: None)
    versions.promote(versions.add(shipped_model("fast")))
    return versions


def test_the_last_one_is_read_back_and_the_registry_is_whole(registry):
    assert last_retraining(registry.folder) is None
    record_retraining(registry.folder, RECORD.model_copy(update={"passed": False}))
    record_retraining(registry.folder, RECORD)
    assert last_retraining(registry.folder) == RECORD
    assert registry.verify() == []


def test_what_a_kill_leaves_is_removed_by_the_next_change(registry):
    record_retraining(registry.folder, RECORD)
    (registry.folder / f".{RETRAINING}.abcd1234").write_text("{", encoding="utf-8")
    registry.promote(registry.add(shipped_model("fast"), name="again"))
    assert last_retraining(registry.folder) == RECORD
    assert not list(registry.folder.glob(".*.abcd1234"))


def test_a_registry_that_another_command_changes_keeps_its_record(registry):
    with locked(registry.folder), pytest.raises(BusyError):
        record_retraining(registry.folder, RECORD)
    assert last_retraining(registry.folder) is None


@pytest.mark.parametrize("content", [b"", b"{}", b"[1", b"\xff", b" " * 2**21])
def test_what_is_not_a_record_is_refused_in_two_lines(registry, content):
    (registry.folder / RETRAINING).write_bytes(content)
    with pytest.raises(InputError) as caught:
        last_retraining(registry.folder)
    assert RETRAINING in caught.value.problem
    assert str(caught.value).count("\n") == 1


def test_a_pipe_in_its_place_is_not_waited_for(registry):
    os.mkfifo(registry.folder / RETRAINING)
    with pytest.raises(InputError, match="not a regular file"):
        last_retraining(registry.folder)
