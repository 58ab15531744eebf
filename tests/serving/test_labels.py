"""The label scheme: what is read, and two plain lines for what is wrong."""

from pathlib import Path

import pytest

from serving.errors import InputError
from serving.labels import LabelScheme

SHIPPED = Path(__file__).parents[2] / "configs" / "labels.yaml"


def changed(folder: Path, old: str, new: str) -> Path:
    path = folder / "labels.yaml"
    path.write_text(SHIPPED.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    return path


def test_the_five_labels_are_the_default() -> None:
    names = ("attack_report", "claim", "denial", "official_response", "other")
    assert LabelScheme.read(SHIPPED).names == names


@pytest.mark.parametrize("name", ["تبنٍّ", "رد_رسمي", "Überfall", "заявление", "帮助2"])
def test_a_name_can_be_in_any_script(tmp_path: Path, name: str) -> None:
    scheme = LabelScheme.read(changed(tmp_path, "name: claim", f"name: {name}"))
    assert scheme.names[1] == name


@pytest.mark.parametrize(
    ("old", "new", "problem", "remedy"),
    [
        ("name: claim", "name: my claim", "line 9: labels.1.name is 'my claim'", "of any script"),
        ("name: claim", "name: رد رسمي", "line 9: labels.1.name is 'رد رسمي'", "underscores"),
        ("name: claim", "name: 2nd", "line 9: labels.1.name is '2nd'", "not a digit"),
        ("name: claim", "name: a-b", "line 9: labels.1.name is 'a-b'", "underscores"),
        ("name: claim", "name: denial", "line 5: labels is [{'name'", "denial occurs twice"),
        ("#d55e00", "red", "line 8: labels.0.colour is 'red'", 'as "#d55e00"'),
        ("arabic: نفي", "arabic:", "line 13: labels.2.arabic is None", "name in Arabic"),
        ("    arabic: نفي\n", "", "line 12: no key labels.2.arabic", "Add it"),
        ("arabic: نفي", "arab: نفي", "unknown key labels.2.arab", "Did you mean arabic?"),
        ("labels:", "labels: []\nx:", "line 5: labels is []", "two labels or more"),
    ],
)
def test_a_mistake_is_told_in_plain_words(
    tmp_path: Path, old: str, new: str, problem: str, remedy: str
) -> None:
    path = changed(tmp_path, old, new)
    with pytest.raises(InputError) as caught:
        LabelScheme.read(path)
    assert f"{path}: " in caught.value.problem
    assert problem in str(caught.value)
    assert remedy in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_one_mistake_is_two_lines(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        LabelScheme.read(changed(tmp_path, "name: claim", "name: my claim"))
    assert str(caught.value).count("\n") == 1
