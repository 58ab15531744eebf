"""`rasd evaluate --behaviour`: what passes, what fails, and files that are no behaviour tests."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from serving.classifier import Classifier
from serving.errors import InputError
from training.evaluate.behaviour import read_behaviour, run_behaviour
from training.evaluate.run import evaluate_behaviour

RASD = Path(sys.executable).with_name("rasd")

# The bundle of these tests labels by cue words: it knows نفت, but not «لا صحة».
BASE = {"id": "1", "kind": "plain", "text": "تبنت الجماعة العملية", "label": "claim", "group": "g"}
SAME = {"id": "2", "kind": "names", "text": "تبنت الحركة العملية", "label": "claim", "group": "g"}
CHANGE = {
    "id": "3",
    "kind": "direction",
    "text": "نفت الجماعة ذلك",
    "label": "denial",
    "group": "g",
}
SAME |= {"expect": "same"}
CHANGE |= {"expect": "change"}


def write(path, *rows):
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")
    return path


def failing(bundle, path):
    classifier = Classifier.load(bundle)
    results = run_behaviour(classifier, read_behaviour(path, classifier.bundle.scheme))
    return {
        failure.case.id: (failure.answer, failure.base)
        for result in results
        for failure in result.failures
    }


def refused(bundle, path):
    with pytest.raises(InputError) as error:
        read_behaviour(path, Classifier.load(bundle).bundle.scheme)
    return str(error.value)


def test_cases_that_the_model_gets_right_pass(bundle, tmp_path):
    path = write(tmp_path / "b.jsonl", CHANGE, SAME, BASE)
    assert failing(bundle, path) == {}


def test_an_edit_that_must_not_matter_passes_with_the_bases_answer_even_a_wrong_one(
    bundle, tmp_path
):
    base = BASE | {"text": "لا صحة لما قيل", "label": "denial"}
    path = write(
        tmp_path / "b.jsonl",
        base,
        SAME | {"text": "لا صحة لما يقال", "label": "denial"},
        SAME | {"id": "4", "text": "نفت ما قيل", "label": "denial"},
    )
    assert failing(bundle, path) == {"1": ("other", None), "4": ("denial", "other")}


def test_an_edit_that_changes_the_label_fails_when_the_answer_stays_or_is_a_third(bundle, tmp_path):
    path = write(
        tmp_path / "b.jsonl",
        BASE,
        CHANGE | {"text": "ما تبنت الجماعة العملية"},
        CHANGE | {"id": "4", "text": "لا صحة لما قيل"},
        BASE | {"id": "5", "group": "h", "text": "نفت الجماعة العملية"},
        CHANGE | {"id": "6", "group": "h"},
    )
    answers = {"3": ("claim", "claim"), "4": ("other", "claim")}
    assert failing(bundle, path) == answers | {"5": ("denial", None), "6": ("denial", "denial")}


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ([BASE, SAME | {"label": "clam"}], 'line 2: unknown label "clam"\n'),
        ([BASE, SAME | {"expect": "equal"}], "line 2: 'expect' is 'equal'\nIt must be same or"),
        ([BASE, SAME | {"exspect": "same"}], "line 2: unknown field 'exspect'\n"),
        ([BASE, {"id": "9", "text": "نفت", "label": "denial"}], "line 2: no field 'kind'\n"),
        ([BASE, SAME | {"text": "…"}], "line 2: the text has no letter or digit\n"),
        ([BASE, SAME | {"id": "1"}], "line 2: the id '1' of"),
        ([BASE, SAME | {"group": "h"}], "no case without expect has its group\n"),
        ([BASE, SAME | {"label": "denial"}], "expect is 'same'; the label is denial, claim in"),
        ([BASE, CHANGE | {"label": "claim"}], "expect is 'change'; the label is claim, claim in"),
        ([BASE, BASE | {"id": "2"}], "line 2: a second case of group 'g' without expect\n"),
        ([], "holds no behaviour test\n"),
    ],
)
def test_a_wrong_file_is_refused_in_two_lines(bundle, tmp_path, rows, error):
    told = refused(bundle, write(tmp_path / "b.jsonl", *rows))
    assert error in told
    assert told.startswith(f"{tmp_path / 'b.jsonl'}")
    assert told.count("\n") == 1


def test_the_command_prints_passes_and_failures_and_writes_them(
    bundle, make_bundle, tmp_path, capsys
):
    path = write(tmp_path / "b.jsonl", BASE, SAME, CHANGE | {"text": "لا صحة لما قيل"})
    (names,) = [r for r in evaluate_behaviour(bundle, path, tmp_path, bundle) if r.kind == "names"]
    assert (names.passed, names.cases) == (1, 1)
    printed = capsys.readouterr().out
    assert "cues@1" in printed
    assert "3 direction: other, expected denial" in printed
    record = json.loads((tmp_path / "behaviour.json").read_text(encoding="utf-8"))
    assert [model["model"] for model in record["models"]] == ["cues@1", "cues@1"]
    kinds = {kind["kind"]: kind for kind in record["models"][0]["kinds"]}
    assert [failure["case"]["id"] for failure in kinds["direction"]["failures"]] == ["3"]
    assert kinds["plain"] == {"kind": "plain", "cases": 1, "failures": []}


def test_the_command_takes_labelled_files_or_behaviour_tests(tmp_path):
    path = write(tmp_path / "b.jsonl", BASE | {"text": "تبنت الجماعة الهجوم على الثكنة."})
    run = subprocess.run(
        [RASD, "evaluate", "--behaviour", path], capture_output=True, text=True, check=True
    )
    assert "1 (100%)" in run.stdout
    for arguments in ([path, "--behaviour", path], []):
        run = subprocess.run(
            [RASD, "evaluate", *arguments], capture_output=True, text=True, check=False
        )
        assert (run.returncode, run.stdout) == (2, "")
