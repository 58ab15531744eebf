"""What stands at --out is never lost: only an older folder of the same kind is replaced."""

import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch")

from serving.cli import main


@pytest.fixture
def command(tiny_run, tiny_encoder, text):
    """Make the arguments that have a command write to a folder."""
    checkpoint = tiny_run / "checkpoint"
    begins = {
        "export": ["export", checkpoint],
        "average": ["average", checkpoint, checkpoint],
        "trim": ["trim", tiny_encoder, "--text", text],
    }

    def make(name: str, out: object) -> list[str]:
        return [*map(str, begins[name]), "--out", str(out)]

    return make


@pytest.fixture
def theirs(tmp_path, monkeypatch) -> Path:
    """The current folder, which holds what somebody has written."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "note.txt").write_text("years of work")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def refused(capsys, arguments: list[str]) -> str:
    assert main(arguments) == 2
    error: str = capsys.readouterr().err
    assert error.count("\n") == 2
    return error


@pytest.mark.parametrize("name", ["export", "average", "trim"])
@pytest.mark.parametrize("out", ["theirs", "theirs/note.txt", "theirs/note.txt/new", "."])
def test_what_is_not_ours_stays(command, theirs, capsys, name, out):
    assert f"{out}: " in refused(capsys, command(name, out))
    assert contents(theirs) == {"theirs/note.txt": b"years of work"}


@pytest.mark.parametrize("name", ["export", "average"])
def test_an_older_one_of_the_same_kind_is_replaced(command, tmp_path, capsys, name):
    out = tmp_path / "made"
    assert main(command(name, out)) == 0
    made = contents(out)
    (out / "README.md").write_text("an older one")
    assert main(command(name, out)) == 0
    capsys.readouterr()
    assert contents(out).keys() >= made.keys() - {"README.md"}
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    other = {"export": "average", "average": "export"}[name]
    refused(capsys, command(other, out))


def test_an_empty_folder_may_be_the_current_one(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(command("export", ".")) == 0
    assert (tmp_path / "bundle.json").is_file()


def test_an_input_of_the_mean_is_not_its_output(tiny_run, tmp_path, capsys):
    one = shutil.copytree(tiny_run / "checkpoint", tmp_path / "one")
    before = contents(one)
    arguments = ["average", str(tiny_run / "checkpoint"), str(one), "--out", str(one)]
    assert "one of the checkpoints to average" in refused(capsys, arguments)
    assert contents(one) == before


@pytest.mark.parametrize(
    ("there", "says"),
    [
        ("bundle/bundle.json", "has been trained already"),
        ("checkpoint/checkpoint.json", "has been trained already"),
        ("bundle/thesis.docx", "something else is there already"),
        ("checkpoint/thesis.docx", "something else is there already"),
        ("", "is a file"),
    ],
)
def test_a_training_leaves_what_has_ended_and_what_is_not_its_own(tmp_path, capsys, there, says):
    out = tmp_path / "run"
    file = out / there if there else out
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("years of work")
    config = Path(__file__).parents[3] / "configs" / "compact.yaml"
    assert says in refused(capsys, ["train", str(config), "--out", str(out)])
    assert file.read_text() == "years of work"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]
