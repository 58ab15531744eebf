"""The registry: any name, any crash, any two commands at once leave it whole."""

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.bundle import MANIFEST, shipped_model
from serving.errors import InputError, RasdError
from serving.registry.lock import BusyError, locked
from serving.registry.log import PENDING
from serving.registry.pointer import current_folder, current_name, is_version_name
from serving.registry.store import RECORD, Registry


def promote_for_ever(folder):
    """Promote one version, then the other, in a process of its own; return its id."""
    process = os.fork()
    if process == 0:
        try:
            for number in itertools.count():
                registry_at(folder).promote(("one", "two")[number % 2], reason=f"number {number}")
        finally:
            os._exit(1)
    return process


def registry_at(folder):
    return Registry(folder, check=lambda _: None)


@pytest.fixture
def folder(tmp_path):
    """A registry of three versions of the smaller model that ships, none of them current."""
    for name in ("one", "two", "three"):
        registry_at(tmp_path / "registry").add(shipped_model("fast"), name=name)
    return tmp_path / "registry"


def errors(folder):
    return [str(p) for p in registry_at(folder).verify() if not p.warning]


def warnings(folder):
    return [str(p) for p in registry_at(folder).verify() if p.warning]


def actions(folder):
    return [(entry.action, entry.version) for entry in registry_at(folder).entries()]


def test_a_promotion_killed_at_any_moment_leaves_a_registry_that_verifies(folder):
    dice = random.Random(1)
    for _ in range(30):
        process = promote_for_ever(folder)
        time.sleep(dice.uniform(0.0, 0.3))
        os.kill(process, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
        assert errors(folder) == []
        assert current_name(folder) in (None, "one", "two")
    # The lock of the last one is free, and the log is whole after one more change.
    registry_at(folder).promote("three", reason="the end")
    assert registry_at(folder).verify() == []
    changes = [e for e in registry_at(folder).entries() if e.action == "promote"]
    assert len(changes) > 5
    for before, after in itertools.pairwise(changes):
        assert after.previous == before.version
    assert not list(folder.glob(".current*"))


@pytest.mark.parametrize("made", [True, False])
def test_the_line_of_a_change_is_there_exactly_when_the_change_is(folder, made):
    registry = registry_at(folder)
    registry.promote("one")
    line = registry.entries()[-1].model_copy(
        update={"version": "two", "previous": "one", "reason": "killed"}
    )
    (folder / PENDING).write_text(json.dumps(line.model_dump(exclude_none=True)))
    if made:
        (folder / "current").write_text("two\n")
    assert errors(folder) == []
    assert "log: a command was killed" in warnings(folder)
    registry.promote("three")
    assert [version for action, version in actions(folder) if action == "promote"] == (
        ["one", "two", "three"] if made else ["one", "three"]
    )
    assert registry.verify() == []


def test_a_user_whose_name_is_not_utf8_is_logged(folder, monkeypatch):
    monkeypatch.setenv("LOGNAME", os.fsdecode(b"\xe3\xcd\xe3\xcf"))
    registry_at(folder).promote("one")
    assert registry_at(folder).entries()[-1].by.startswith("\\udce3\\udccd")


def test_a_line_that_was_cut_off_is_written_whole(folder):
    registry = registry_at(folder)
    registry.promote("one")
    log = folder / "log.jsonl"
    content = log.read_bytes()
    last = content.splitlines(keepends=True)[-1]
    log.write_bytes(content[: -len(last) // 2])
    (folder / PENDING).write_bytes(last)
    registry.promote("two")
    assert log.read_bytes().startswith(content)
    assert registry.verify() == []


def test_a_change_by_hand_is_noted_and_can_be_rolled_back(folder):
    registry = registry_at(folder)
    registry.promote("one")
    (folder / "current").write_text("two\n")
    assert warnings(folder) == ["current: was changed without `rasd models`"]
    assert registry.rollback() == ("one", "two")
    assert actions(folder)[-2:] == [("found", "two"), ("rollback", "one")]


def test_rollback_goes_back_one_promotion_at_a_time(folder):
    registry = registry_at(folder)
    with pytest.raises(InputError, match="no earlier version"):
        registry.rollback()
    for name in ("one", "two", "three"):
        registry.promote(name)
    assert registry.rollback() == ("two", "three")
    assert registry.rollback(reason="still worse") == ("one", "two")
    with pytest.raises(InputError, match="no earlier version"):
        registry.rollback()
    assert registry.entries()[-1].reason == "still worse"
    assert registry.verify() == []


def test_a_link_stays_a_link(folder):
    (folder / "current").symlink_to("versions/one")
    registry_at(folder).promote("two")
    assert (folder / "current").is_symlink()
    assert (folder / "current" / MANIFEST).is_file()
    assert current_folder(folder) == folder / "versions" / "two"


def test_a_file_that_a_link_leads_to_holds_the_name(folder):
    # As Kubernetes mounts the files of a ConfigMap.
    (folder / "data").write_text("one\n")
    (folder / "current").symlink_to("data")
    assert current_folder(folder) == folder / "versions" / "one"


def test_a_version_that_fails_its_check_is_neither_added_nor_promoted(folder):
    def refuse(bundle: Path) -> None:
        raise InputError("it scores otherwise", "Make it again.")

    registry_at(folder).promote("one")
    strict = Registry(folder, check=refuse)
    before = sorted(folder.rglob("*"))
    with pytest.raises(InputError, match="otherwise"):
        strict.promote("two")
    with pytest.raises(InputError, match="otherwise"):
        strict.add(shipped_model("fast"), name="four")
    assert sorted(folder.rglob("*")) == before
    assert current_name(folder) == "one"
    assert registry_at(folder).verify() == []


def test_prune_keeps_the_newest_the_current_and_the_one_to_return_to(folder):
    registry = registry_at(folder)
    for name in ("four", "five"):
        registry.add(shipped_model("fast"), name=name)
    registry.promote("one")
    registry.promote("two")
    assert sorted(registry.prune(keep=1)) == ["four", "three"]
    assert [version.name for version in registry.versions()] == ["one", "two", "five"]
    assert registry.rollback() == ("one", "two")
    assert registry.verify() == []


def test_prune_takes_a_version_that_is_a_link_and_leaves_what_it_leads_to(folder, tmp_path):
    elsewhere = tmp_path / "disk"
    (folder / "versions" / "one").rename(elsewhere)
    (folder / "versions" / "one").symlink_to(elsewhere)
    registry = registry_at(folder)
    registry.promote("two")
    assert registry.prune(keep=1) == ["one"]
    assert (elsewhere / MANIFEST).is_file()
    registry.promote("three")
    assert registry.rollback() == ("two", "three")
    assert registry.verify() == []


def test_the_newest_is_what_was_added_last_whatever_the_clock_said(folder):
    log = folder / "log.jsonl"
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    lines[-1]["time"] = "2001-01-01T00:00:00"  # of a machine whose clock is wrong
    log.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    registry = registry_at(folder)
    assert [version.name for version in registry.versions()] == ["one", "two", "three"]
    assert registry.prune(keep=1) == ["one", "two"]


def test_a_pruned_version_is_not_what_a_later_one_of_its_name_returns_to(folder):
    registry = registry_at(folder)
    for name in ("one", "two", "three"):
        registry.promote(name)
    assert registry.prune(keep=1) == ["one"]
    registry.add(shipped_model("fast"), name="one")
    assert registry.rollback() == ("two", "three")
    with pytest.raises(InputError, match="no earlier version"):
        registry.rollback()


def test_what_a_killed_command_left_is_removed_by_the_next(folder):
    left = [folder / "versions" / ".four.abc12_xy", folder / "versions" / ".two.00012345"]
    for path in left:
        path.mkdir()
    (folder / ".current.abcdefgh").touch()
    (folder / "versions" / ".keep").mkdir()
    assert errors(folder) == []
    registry_at(folder).promote("one")
    assert not any(path.exists() for path in [*left, folder / ".current.abcdefgh"])
    assert (folder / "versions" / ".keep").is_dir()


def test_the_record_of_the_training_is_kept_beside_the_bundle(folder, tmp_path):
    record = tmp_path / "run"
    record.mkdir()
    (record / "report.html").write_text("how it was trained")
    registry_at(folder).add(shipped_model("fast"), name="four", record=record)
    kept = folder / "versions" / "four" / RECORD / "report.html"
    assert kept.read_text() == "how it was trained"
    assert errors(folder) == []


def test_a_bundle_goes_out_to_a_repository_and_comes_back_the_same(folder, tmp_path):
    registry = registry_at(folder)
    registry.export("one", tmp_path / "hub")
    assert (tmp_path / "hub" / "README.md").read_text(encoding="utf-8").startswith("---\n")
    (tmp_path / "hub" / ".gitattributes").touch()
    registry.add(tmp_path / "hub", name="back")
    for path in sorted((folder / "versions" / "one").iterdir()):
        assert path.read_bytes() == (folder / "versions" / "back" / path.name).read_bytes()
    assert not (folder / "versions" / "back" / ".gitattributes").exists()


def test_the_links_of_the_hubs_cache_are_followed_and_copied_as_files(folder, tmp_path):
    snapshot = tmp_path / "models--desk--fast" / "snapshots" / "0a1b"
    blobs = tmp_path / "models--desk--fast" / "blobs"
    shutil.copytree(shipped_model("fast"), snapshot)
    blobs.mkdir()
    for path in list(snapshot.iterdir()):
        path.rename(blobs / path.name)
        path.symlink_to(Path("../../blobs") / path.name)
    registry_at(folder).add(snapshot, name="cached")
    files = list((folder / "versions" / "cached").iterdir())
    assert files
    assert not any(path.is_symlink() for path in files)


def test_a_pointer_of_git_lfs_in_the_place_of_a_file_is_named_as_that(folder, tmp_path):
    clone = shutil.copytree(shipped_model("fast"), tmp_path / "clone")
    (clone / "model.onnx").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(InputError, match="Git LFS") as caught:
        registry_at(folder).add(clone)
    assert "git lfs pull" in caught.value.remedy


def test_a_clone_with_its_history_is_not_replaced(folder, tmp_path):
    registry = registry_at(folder)
    clone = tmp_path / "clone"
    registry.export("one", clone)
    (clone / ".git").mkdir()
    with pytest.raises(InputError, match="a git repository"):
        registry.export("two", clone)
    assert (clone / ".git").is_dir()


def test_a_version_that_was_removed_or_exchanged_by_hand_is_told(folder):
    shutil.rmtree(folder / "versions" / "one")
    shutil.rmtree(folder / "versions" / "two")
    shutil.copytree(shipped_model("default"), folder / "versions" / "two")
    assert errors(folder) == []
    removed, exchanged, _ = warnings(folder)  # and that none is current
    assert "one" in removed and "was removed without `rasd models`" in removed
    assert "two" in exchanged and "the log says that fast@" in exchanged


def test_a_record_that_holds_the_registry_is_refused(folder):
    with pytest.raises(InputError, match="the registry is in it"):
        registry_at(folder).add(shipped_model("fast"), name="four", record=folder.parent)


def test_verify_names_what_is_wrong(folder):
    (folder / "versions" / "two" / "model.onnx").write_bytes(b"")
    (folder / "versions" / "with space").mkdir()
    (folder / "current").write_text("four\n")
    found = "\n".join(errors(folder))
    assert "two: " in found
    assert "with space: not a version" in found
    assert "current: names no version: 'four'" in found


def test_the_lock_of_a_dead_process_is_free_and_that_of_a_living_one_is_not(folder):
    script = (
        "import sys; from pathlib import Path; from serving.registry.lock import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BusyError, match=f"process {holder.pid}") as caught:
            registry_at(folder).promote("one")
        assert str(caught.value).count("\n") == 1
        assert caught.value.exit_code == 1
        holder.send_signal(signal.SIGKILL)
    assert registry_at(folder).promote("one") is None


def test_a_lock_is_free_again_after_an_error(folder):
    with pytest.raises(ZeroDivisionError), locked(folder):
        1 / 0  # noqa: B018
    with locked(folder):
        pass


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.one_of(st.text(max_size=300), st.from_regex(r"[\w.-]{1,120}")))
def test_a_name_is_taken_only_if_it_can_stand_in_a_header_and_names_a_folder(folder, name):
    if is_version_name(name):
        assert name.isascii()
        assert name.isprintable()
        assert (folder / "versions" / name).resolve().parent == (folder / "versions").resolve()
        assert not name.startswith(".")
    else:
        with pytest.raises(InputError) as caught:
            registry_at(folder).promote(name)
        assert str(caught.value).count("\n") == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.one_of(st.binary(max_size=5000), st.text(max_size=300).map(str.encode)))
def test_whatever_the_pointer_holds_is_a_version_or_an_error(folder, content):
    (folder / "current").write_bytes(content)
    try:
        found = current_folder(folder)
    except InputError as error:
        assert str(error).isprintable() or str(error).count("\n") == 1
    else:
        assert found.parent == folder / "versions"
        assert found.name == content.decode().strip()


def test_a_registry_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="not a registry"):
        registry_at(tmp_path).promote("one")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_registry_that_may_not_be_written_is_two_lines(folder):
    folder.chmod(0o500)
    with pytest.raises(Exception, match="Permission denied") as caught:
        registry_at(folder).promote("one")
    assert str(caught.value).count("\n") == 1


def test_a_place_where_no_registry_can_be_is_refused(folder, tmp_path):
    file = tmp_path / "file"
    file.write_text("text", encoding="utf-8")
    with pytest.raises(InputError, match="no registry can be made there"):
        registry_at(file).add(folder / "versions" / "one")
    with pytest.raises(InputError, match="not a registry"):
        registry_at(file).versions()


def test_a_record_with_a_link_to_nothing_is_refused_and_nothing_is_added(folder, tmp_path):
    record = tmp_path / "record"
    record.mkdir()
    (record / "log").symlink_to(tmp_path / "nothing")
    with pytest.raises(InputError, match="log: cannot be copied"):
        registry_at(folder).add(folder / "versions" / "one", name="five", record=record)
    assert not (folder / "versions" / "five").exists()


def test_a_pointer_that_cannot_be_replaced_is_named(folder):
    (folder / "current").unlink(missing_ok=True)
    (folder / "current").mkdir()
    with pytest.raises(RasdError, match="current: Is a directory") as caught:
        registry_at(folder).promote("two")
    assert ".current" not in str(caught.value)
