"""Labelled files that are refused: every problem in words that lead to it and out of it."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_files import json_lines, read, refused

from serving.errors import InputError

DENIAL = "نفت كتائب السدرة صلتها بتفجير الجسر."
CLAIM = "تبنت كتائب السدرة تفجير الجسر."

BAD_FILES = {
    "misspelt label": (
        "a.jsonl",
        f'{{"text": "{CLAIM}", "label": "claims"}}',
        'line 1: unknown label "claims"',
        "Did you mean claim?",
    ),
    "misspelt Arabic label": (
        "a.jsonl",
        f'{{"text": "{DENIAL}", "label": "نفى"}}',
        "unknown label",
        "Did you mean نفي?",
    ),
    "no label": (
        "a.jsonl",
        f'\n{{"text": "{CLAIM}", "label": " "}}',
        "line 2: 'label' is empty",
        "attack_report, claim, denial, official_response, other",
    ),
    "null label": (
        "a.jsonl",
        f'{{"text": "{CLAIM}", "label": null}}',
        "'label' is empty",
        "attack_report, claim, denial, official_response, other",
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
        "'split' is \"eval\"",
        "train, dev, validation or test",
    ),
    "empty text": (
        "a.jsonl",
        '{"text": " ", "label": "claim"}',
        "'text' is empty",
        "remove the record",
    ),
    "only tatweel": (
        "a.jsonl",
        '{"text": "ــــ", "label": "claim"}',
        "empty after normalising",
        "remove the record",
    ),
    "only signs": (
        "a.jsonl",
        '{"text": "…!؟", "label": "claim"}',
        "no letter or digit",
        "remove the record",
    ),
    "NUL in the text": (
        "a.jsonl",
        '{"text": "هجوم\\u0000", "label": "claim"}',
        "U+0000",
        "remove the record",
    ),
    "half a surrogate pair": (
        "a.jsonl",
        '{"text": "هجوم\\ud83d", "label": "claim"}',
        "U+D83D",
        "remove the record",
    ),
    "half a surrogate pair in another field": (
        "a.jsonl",
        f'{{"text": "{CLAIM}", "label": "claim", "source": "\\ud83d"}}',
        "'source' holds U+D83D",
        "remove the record",
    ),
    "NUL in the file": ("a.jsonl", "\n\0", "line 2: byte 0x00 is not text", "tr -d"),
    "broken JSON": (
        "a.jsonl",
        '\n{"text": "x", "label"}',
        "line 2: not JSON: Expecting ':' delimiter at column 22",
        "one JSON object per line",
    ),
    "a list": ("a.jsonl", '["x"]', "an array, not an object", "one JSON object per line"),
    "endless nesting": ("a.jsonl", "[" * 100_000, "not JSON", "one JSON object per line"),
    "empty file": ("a.jsonl", "\n", "holds no labelled sentence", "Name a file"),
    "no column": (
        "a.csv",
        "sentence,Label\nx,claim",
        "line 1: no field 'text'; the fields are 'sentence', 'Label'",
        "--text-field",
    ),
    "column twice": ("a.csv", "text,label,text\n", "two columns 'text'", "Rename or remove"),
    "unquoted comma": (
        "a.csv",
        'text,label\n"a\nb",claim\nx, y,claim',
        "line 4: 3 cells, the header has 2",
        "Quote every cell",
    ),
    "open quote": ("a.csv", 'text,label\n"x,claim', "not CSV", "Close every double quote"),
    "one object": ("a.json", '{"text": "x"}', "line 1: no field 'label'", "--label-field"),
    "cut export": (
        "a.json",
        '[{"id": 1, "data": {"text": "x"}},\n',
        "line 2: not JSON: Expecting value",
        "JSON array",
    ),
    "no task": (
        "a.json",
        '[\n{"data": {}}]',
        "line 2: item 1: not a Label Studio task",
        "Label Studio",
    ),
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
        "one label per sentence",
    ),
    "other form": ("a.docx", "x", "not a labelled file: its name ends in .docx", ".jsonl"),
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
    assert error.problem == f"{file}: line 3: byte 0xca is not UTF-8 (byte 1 of the line)"
    assert "CP1256" in error.remedy


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
    *lines, remedy = str(error).splitlines()
    assert lines[0].startswith(f"{a}: line 1: 'text' is empty")
    assert lines[1].startswith(f"{a}: line 2: no field 'text'")
    assert lines[2].startswith(f"{b}: line 1: unknown label")
    assert lines[3:] == ["and 29 more"]
    assert remedy == error.remedy == "Fix these 32 problems and run again."


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
