"""Labelled files: what is read, what is refused and in which words."""

import csv
import io
import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.errors import InputError
from serving.labels import LabelScheme
from serving.normalize import NORMALIZERS
from training.labelled import LabelledData, read_labelled

ROOT = Path(__file__).parents[2]
SCHEME = LabelScheme.read(ROOT / "configs/labels.yaml")
LIGHT = NORMALIZERS["light"].apply

ATTACK = "سقطت قذيفتان على سوق الخضار في بلدة النخيل."
DENIAL = "نفت كتائب السدرة صلتها بتفجير الجسر."
CLAIM = "تبنت كتائب السدرة تفجير الجسر."


def read(*files: Path, conflicts: str = "stop") -> LabelledData:
    return read_labelled(files, SCHEME, LIGHT, conflicts)


def refused(*files: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        read(*files)
    return caught.value


def json_lines(path: Path, *rows: dict) -> Path:
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")
    return path


def label_studio(path: Path, *tasks: dict, indent: int | None = None) -> Path:
    path.write_text(json.dumps(tasks, ensure_ascii=False, indent=indent), encoding="utf-8")
    return path


def task(number: int, text: str, *labels: str, **annotation: object) -> dict:
    def result(label: str) -> list[dict]:
        choice = {"from_name": "label", "to_name": "text", "type": "choices"}
        return [choice | {"value": {"choices": [label]}}]

    annotations = [
        {"id": n, "result": result(label)} | annotation for n, label in enumerate(labels)
    ]
    return {"id": number, "data": {"text": text}, "annotations": annotations}


# --- What is read ------------------------------------------------------------------------------


def test_json_lines_with_optional_and_unknown_fields(tmp_path: Path) -> None:
    file = json_lines(
        tmp_path / "a.jsonl",
        {"text": ATTACK, "label": "attack_report", "register": "wire"},
        {"text": DENIAL, "label": "denial", "id": 7, "source": "wire", "date": "2026-01-02"}
        | {"split": "validation", "sure": False},
    )
    first, second = read(file).sentences
    assert (first.text, first.label, first.id, first.split, first.sure) == (
        ATTACK,
        "attack_report",
        None,
        None,
        True,
    )
    assert (second.id, second.source, second.date) == ("7", "wire", "2026-01-02")
    assert (second.split, second.sure, second.file, second.line) == ("validation", False, file, 2)


def test_a_line_ends_at_a_newline_only(tmp_path: Path) -> None:
    text = "قال\u2028الشاهد\u0085إن القصف توقف"
    file = json_lines(
        tmp_path / "a.jsonl",
        {"text": text, "label": "attack_report"},
        {"text": DENIAL, "label": "denial"},
    )
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n\r\n"))
    first, second = read(file).sentences
    assert (first.text, first.line, second.line) == (text, 1, 3)


def test_csv_with_a_line_break_in_a_cell(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(
        'id,text,label,sure\r\n1,"سطر أول\nوسطر ""ثان""",other,\r\n'
        f"\r\n2,{DENIAL},denial,FALSE\r\n",
        encoding="utf-8-sig",
        newline="",
    )
    first, second = read(file).sentences
    assert (first.text, first.line, first.sure) == ('سطر أول\nوسطر "ثان"', 2, True)
    assert (second.text, second.line, second.sure, second.id) == (DENIAL, 5, False, "2")


def test_label_studio_passes_over_what_nobody_labelled(tmp_path: Path) -> None:
    named_otherwise = task(4, CLAIM, "claim")
    named_otherwise["data"] = {"priority": 3, "sentence": CLAIM, "date": "2026-03-01"}
    linked = task(1, ATTACK, "attack_report", "attack_report")
    linked["annotations"][0]["result"].append({"type": "relation", "from_id": "a", "to_id": "b"})
    file = label_studio(
        tmp_path / "export.json",
        linked,
        task(2, "لم يقرأها أحد."),
        task(3, "ألغاها المراجع.", "claim", was_cancelled=True),
        named_otherwise,
    )
    data = read(file)
    assert [(s.text, s.label, s.id, s.date) for s in data.sentences] == [
        (ATTACK, "attack_report", "1", None),
        (CLAIM, "claim", "4", "2026-03-01"),
    ]
    assert data.warnings == [f"{file}: passed over 2 tasks that nobody has labelled"]


def test_label_studio_tasks_know_their_lines(tmp_path: Path) -> None:
    file = label_studio(tmp_path / "export.json", task(1, ATTACK, "attack_report"), indent=1)
    (sentence,) = read(file).sentences
    assert file.read_text(encoding="utf-8").splitlines()[sentence.line - 1] == " {"
    broken = label_studio(tmp_path / "bad.json", task(8, ATTACK, "attack"))
    assert str(refused(broken)).startswith(f"{broken}: line 1: task 8: unknown label")


texts = st.text('ابتثنفيﻻ ،"\n,12', min_size=1, max_size=30).filter(
    lambda text: any(c.isalnum() for c in text)
)
pairs = st.dictionaries(
    texts.map(str.strip).map(LIGHT).filter(bool), st.sampled_from(SCHEME.names), min_size=1
)


@settings(deadline=None, max_examples=100)
@given(pairs=pairs, seed=st.integers(0, 99))
def test_every_form_holds_the_same(
    pairs: dict[str, str], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("forms")
    items = list(pairs.items())
    lines = json_lines(folder / "a.jsonl", *({"text": t, "label": n} for t, n in items))
    random.Random(seed).shuffle(items)
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([("label", "text"), *((n, t) for t, n in items)])
    table = folder / "a.csv"
    table.write_text(buffer.getvalue(), encoding="utf-8", newline="")
    tasks = label_studio(folder / "a.json", *(task(i, t, n) for i, (t, n) in enumerate(items)))

    read_back = [read(file) for file in (lines, table, tasks)]
    for data in read_back:
        assert {sentence.text: sentence.label for sentence in data.sentences} == pairs
        assert sum(data.counts.values()) == len(pairs)
    assert len({data.fingerprint for data in read_back}) == 1


def test_the_fingerprint_changes_with_a_label_and_not_with_tashkeel(tmp_path: Path) -> None:
    one = read(json_lines(tmp_path / "1.jsonl", {"text": "نفى الجيش الخبر", "label": "denial"}))
    same = read(json_lines(tmp_path / "2.jsonl", {"text": "نَفى  الجيشُ الخبر", "label": "denial"}))
    other = read(json_lines(tmp_path / "3.jsonl", {"text": "نفى الجيش الخبر", "label": "other"}))
    assert one.fingerprint == same.fingerprint != other.fingerprint


# --- One text, one label -----------------------------------------------------------------------


def test_a_text_that_stands_twice_is_kept_once(tmp_path: Path) -> None:
    a = json_lines(tmp_path / "a.jsonl", {"text": ATTACK, "label": "attack_report"})
    b = json_lines(
        tmp_path / "b.jsonl",
        {"text": DENIAL, "label": "denial"},
        {"text": ATTACK.replace("قذيفتان", "قذيفتـــان"), "label": "attack_report"},
    )
    data = read(a, b)
    assert [sentence.text for sentence in data.sentences] == [ATTACK, DENIAL]
    assert data.warnings == [f"{b}: line 2: the same text and label as {a}: line 1: left out"]


def test_two_labels_for_one_text_stop_and_name_both_places(tmp_path: Path) -> None:
    a = json_lines(tmp_path / "a.jsonl", {"text": CLAIM, "label": "claim"})
    b = json_lines(tmp_path / "b.jsonl", {"text": CLAIM + " ", "label": "attack_report"})
    error = refused(a, b)
    assert error.problem == (
        f"{b}: line 1: the same text as {a}: line 1, there claim, here attack_report"
    )
    assert "data.conflicts" in error.remedy


@pytest.mark.parametrize(
    ("labels", "conflicts", "kept"),
    [
        (("claim", "denial", "denial"), "drop", []),
        (("claim", "denial", "denial"), "first", ["claim"]),
        (("claim", "denial", "denial"), "majority", ["denial"]),
        (("claim", "denial"), "majority", []),
        (("claim", "denial", "other", "denial", "claim"), "majority", []),
    ],
)
def test_conflicts_are_settled_as_asked(
    tmp_path: Path, labels: tuple[str, ...], conflicts: str, kept: list[str]
) -> None:
    rows = json_lines(tmp_path / "a.jsonl", *({"text": CLAIM, "label": n} for n in labels))
    tasks = label_studio(tmp_path / "a.json", task(1, CLAIM, *labels))
    for file in (rows, tasks):
        data = read(file, conflicts=conflicts)
        assert [sentence.label for sentence in data.sentences] == kept
        assert len(data.warnings) == 1
        assert ("kept as" if kept else "left out") in data.warnings[0]


def test_annotators_who_disagree_on_a_task_are_named(tmp_path: Path) -> None:
    file = label_studio(tmp_path / "a.json", task(31, CLAIM, "claim", "attack_report"))
    assert "task 31" in refused(file).problem


# --- What is refused ---------------------------------------------------------------------------

BAD_FILES = {
    "misspelt label": (
        "a.jsonl",
        f'{{"text": "{CLAIM}", "label": "claims"}}',
        'line 1: unknown label "claims"',
        "Did you mean claim?",
    ),
    "Arabic label": (
        "a.jsonl",
        f'{{"text": "{DENIAL}", "label": "نفي"}}',
        "unknown label",
        "Did you mean denial?",
    ),
    "no label": (
        "a.jsonl",
        f'\n{{"text": "{CLAIM}", "label": " "}}',
        "line 2: the label is empty",
        "attack_report, claim, denial, official_response, other",
    ),
    "null label": (
        "a.jsonl",
        f'{{"text": "{CLAIM}", "label": null}}',
        "label is null",
        "must be a string",
    ),
    "missing field": (
        "a.jsonl",
        f'{{"Text": "{CLAIM}", "label": "claim"}}',
        "no field 'text'",
        "Did you mean Text?",
    ),
    "bad split": (
        "a.jsonl",
        f'{{"text": "{CLAIM}", "label": "claim", "split": "eval"}}',
        'split is "eval"',
        "train, dev, validation or test",
    ),
    "empty text": ("a.jsonl", '{"text": " ", "label": "claim"}', "text is empty", "take the line"),
    "only tatweel": (
        "a.jsonl",
        '{"text": "ــــ", "label": "claim"}',
        "empty after normalising",
        "take the line",
    ),
    "only signs": (
        "a.jsonl",
        '{"text": "…!؟", "label": "claim"}',
        "no letter or digit",
        "take the line",
    ),
    "NUL in the text": (
        "a.jsonl",
        '{"text": "هجوم\\u0000", "label": "claim"}',
        "U+0000",
        "take the line",
    ),
    "half a surrogate pair": (
        "a.jsonl",
        '{"text": "هجوم\\ud83d", "label": "claim"}',
        "U+D83D",
        "take the line",
    ),
    "NUL in the file": ("a.jsonl", "\n\0", "line 2: holds a NUL", "UTF-8"),
    "broken JSON": (
        "a.jsonl",
        '\n{"text": "x", "label"}',
        "line 2: not JSON: Expecting ':' delimiter at column 22",
        "one object a line",
    ),
    "a list": ("a.jsonl", '["x"]', "holds a list, not an object", "one object a line"),
    "endless nesting": ("a.jsonl", "[" * 100_000, "not JSON", "one object a line"),
    "empty file": ("a.jsonl", "\n", "holds no labelled sentence", "Name a file"),
    "no column": ("a.csv", "sentence,Label\nx,claim", "line 1: no column text", "text,label"),
    "semicolons": ("a.csv", "text;label\nx;claim", "line 1: no column text", "part them by commas"),
    "column twice": ("a.csv", "text,label,text\n", "two columns 'text'", "Keep one"),
    "unquoted comma": (
        "a.csv",
        'text,label\n"a\nb",claim\nx, y,claim',
        "line 4: 3 cells under 2 columns",
        "double quotes",
    ),
    "open quote": ("a.csv", 'text,label\n"x,claim', "not CSV", "Close every double quote"),
    "no list": ("a.json", '{"text": "x"}', "line 1: not a list of tasks", "Label Studio"),
    "cut export": (
        "a.json",
        '[{"id": 1, "data": {"text": "x"}},\n',
        "line 2: not a list of tasks",
        "Label Studio",
    ),
    "no task": ("a.json", '[\n{"text": "x"}]', "line 2: not a Label Studio task", "Label Studio"),
    "two choices": (
        "a.json",
        json.dumps(
            [
                {
                    "id": 5,
                    "data": {"text": "خبر"},
                    "annotations": [
                        {"result": [{"type": "choices", "value": {"choices": ["claim", "other"]}}]}
                    ],
                }
            ]
        ),
        "task 5: one annotation with the labels claim and other",
        "one label a sentence",
    ),
    "other form": ("a.xlsx", "x", "not a labelled file: its name ends in .xlsx", ".jsonl"),
}


@pytest.mark.parametrize(
    ("name", "content", "problem", "remedy"), BAD_FILES.values(), ids=BAD_FILES
)
def test_one_problem_is_told_in_two_lines(
    tmp_path: Path, name: str, content: str, problem: str, remedy: str
) -> None:
    file = tmp_path / name
    file.write_text(content, encoding="utf-8")
    error = refused(file)
    assert str(error).count("\n") == 1
    assert error.problem.startswith(str(file))
    assert problem in error.problem
    assert remedy in error.remedy


def test_windows_1256_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"text,label\nplain,other\n" + f"{CLAIM},claim\n".encode("cp1256"))
    error = refused(file)
    assert error.problem == f"{file}: line 3: byte 0xca is not UTF-8"
    assert "WINDOWS-1256" in error.remedy


def test_utf_16_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(f"text,label\n{CLAIM},claim\n".encode("utf-16"))
    assert "UTF-16" in refused(file).problem


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "a.jsonl").problem


def test_all_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    a = json_lines(tmp_path / "a.jsonl", {"text": "", "label": "claim"}, {"label": "claim"})
    b = json_lines(tmp_path / "b.jsonl", *({"text": str(n), "label": "x"} for n in range(30)))
    error = refused(a, b)
    lines = error.problem.splitlines()
    assert lines[0].startswith(f"{a}: line 1: the text is empty")
    assert lines[1].startswith(f"{a}: line 2: no field 'text'")
    assert lines[2].startswith(f"{b}: line 1: unknown label")
    assert lines[-1] == "and 12 more"
    assert len(lines) == 21
    assert "32 problems" in error.remedy


@settings(deadline=None, max_examples=200)
@given(
    suffix=st.sampled_from([".jsonl", ".csv", ".json"]),
    content=st.binary(max_size=60)
    | st.text('[]{}",:\\ \n\rtextlabeldnullu0claim', max_size=60).map(str.encode)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "id",
                        "data",
                        "text",
                        "label",
                        "annotations",
                        "result",
                        "type",
                        "value",
                        "choices",
                    ]
                ),
                inner | st.just("choices"),
            )
        ),
        max_leaves=20,
    ).map(lambda value: json.dumps(value).encode()),
)
def test_whatever_a_file_holds_it_is_read_or_refused(
    suffix: str, content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("any") / f"a{suffix}"
    file.write_bytes(content)
    try:
        read(file)
    except InputError as error:
        assert str(file) in error.problem
