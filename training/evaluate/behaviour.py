"""Behaviour tests of a model: short cases in a file, and how many of each kind it passes.

The sorts of test are those of Ribeiro et al. (2020, "Beyond Accuracy: Behavioral Testing of NLP
Models with CheckList"). A file is JSON Lines with the fields `id`, `kind`, `text` and `label`, and
for cases that belong together `group` and `expect`:

- A case without `expect` passes when the model gives its label (minimum functionality).
- Exactly one case of a `group` has no `expect`: the base, which the others edit.
- `"expect": "same"`: the edit must not matter. The case passes when the model answers as it does
  for the base, right or wrong (invariance).
- `"expect": "change"`: the edit changes the label. The case passes when the model gives its label
  and answers the base differently (direction).
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serving.classifier import Classifier
from serving.errors import InputError, Problem, did_you_mean, refusal
from serving.files.row import Row
from serving.files.rows import read_rows, unreadable
from serving.files.sources import recognise
from serving.labels import LabelScheme
from serving.records import Prediction
from training.labelled.reading import label_problem

# The cases that are installed with this package, for the included labels.
INCLUDED = Path(__file__).with_name("behaviour.jsonl")


class _Fields(BaseModel):
    """The fields of a case; a field's description is the remedy of its error message."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    id: str = Field(description="a string")
    kind: str = Field(description="a string")
    text: str = Field(description="a string")
    label: str = Field(description="a string")
    group: str | None = Field(default=None, description="a string")
    expect: Literal["same", "change"] | None = Field(default=None, description="same or change")


@dataclass(frozen=True, slots=True)
class Case:
    """One behaviour test; `place` names its file and line."""

    id: str
    kind: str
    text: str
    label: str
    group: str | None
    expect: Literal["same", "change"] | None
    place: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A case that a model fails: its answer, and for an edit its answer for the base."""

    case: Case
    answer: str | None
    base: str | None


@dataclass(frozen=True, slots=True)
class KindResult:
    """How many cases of one kind a model passes, and which it fails."""

    kind: str
    cases: int
    failures: tuple[Failure, ...]

    @property
    def passed(self) -> int:
        """The number of cases that pass."""
        return self.cases - len(self.failures)


def read_behaviour(path: Path, scheme: LabelScheme) -> list[Case]:
    """Read behaviour tests; raise InputError with every problem of the file.

    The included ones are refused for a model that lacks their labels.
    """
    problems: list[Problem] = []
    cases: list[Case] = []
    for row in _rows(path):
        found = [row] if isinstance(row, Problem) else _read_case(row, scheme)
        if isinstance(found, Case):
            cases.append(found)
        else:
            problems.extend(found)
    problems = problems or [*_repeated_ids(cases), *_group_problems(cases)]
    if not problems and not cases:
        problems.append(Problem(str(path), "holds no behaviour test", "Name a file that does."))
    if problems and path == INCLUDED:
        raise InputError(
            f"the included behaviour tests are not for the labels {', '.join(scheme.names)}",
            "Name a file of your own tests as `behaviour`, or leave them out with null.",
        )
    if problems:
        raise refusal(problems)
    return cases


def run_behaviour(classifier: Classifier, cases: Sequence[Case]) -> list[KindResult]:
    """Return what the model passes and fails of each kind, in the order of the cases."""
    predictions = classifier.classify([case.text for case in cases])
    answers = [item.label if isinstance(item, Prediction) else None for item in predictions]
    bases = {
        case.group: answer
        for case, answer in zip(cases, answers, strict=True)
        if case.expect is None
    }
    counts: Counter[str] = Counter()
    failures: dict[str, list[Failure]] = defaultdict(list)
    for case, answer in zip(cases, answers, strict=True):
        counts[case.kind] += 1
        base = bases[case.group] if case.expect else None
        if not _passes(case, answer, base):
            failures[case.kind].append(Failure(case, answer, base))
    return [KindResult(kind, count, tuple(failures[kind])) for kind, count in counts.items()]


def _rows(path: Path) -> Iterator[Row | Problem]:
    source = recognise(path, str(path), "jsonl")
    try:
        with source.open() as file:
            yield from read_rows(source, file, [])
    except OSError as error:
        yield unreadable(source, error)


def _read_case(row: Row, scheme: LabelScheme) -> Case | list[Problem]:
    """Return the row as a case, or what is wrong with it."""
    try:
        fields = _Fields.model_validate(row.fields)
    except ValidationError as error:
        return _field_problems(error, row)
    if fields.label not in scheme.names:
        return [label_problem(row, fields.label, scheme)]
    if not any(map(str.isalnum, fields.text)):
        return [row.problem("the text has no letter or digit", "Write a sentence.")]
    return Case(**fields.model_dump(), place=row.where)


def _field_problems(error: ValidationError, row: Row) -> list[Problem]:
    known = _Fields.model_fields
    problems = []
    for detail in error.errors():
        name = str(detail["loc"][0])
        if detail["type"] == "missing":
            remedy = "Every case needs an id, a kind, a text and a label."
            problems.append(row.problem(f"no field {name!r}", remedy))
        elif detail["type"] == "extra_forbidden":
            remedy = f"The fields are {', '.join(known)}.{did_you_mean(name, known)}"
            problems.append(row.problem(f"unknown field {name!r}", remedy))
        else:
            what = f"{name!r} is {detail['input']!r}"
            problems.append(row.problem(what, f"It must be {known[name].description}."))
    return problems


def _repeated_ids(cases: Sequence[Case]) -> list[Problem]:
    first: dict[str, Case] = {}
    return [
        Problem(case.place, f"the id {case.id!r} of {known.place}", "Give every case its own id.")
        for case in cases
        if (known := first.setdefault(case.id, case)) is not case
    ]


def _group_problems(cases: Sequence[Case]) -> list[Problem]:
    """Return what is wrong with groups: each has one base, whose label fits what edits expect."""
    bases: dict[str, Case] = {}
    problems = []
    for case in cases:
        if case.group and not case.expect and bases.setdefault(case.group, case) is not case:
            what = f"a second case of group {case.group!r} without expect"
            problems.append(Problem(case.place, what, "Say whether the label is same or change."))
    for case in cases:
        if case.expect is None:
            continue
        base = bases.get(case.group or "")
        if base is None:
            what = f"expect is {case.expect!r}, but no case without expect has its group"
            problems.append(Problem(case.place, what, "Give it the group of the case it edits."))
        elif (case.label == base.label) != (case.expect == "same"):
            what = f"expect is {case.expect!r}; the label is {case.label}, {base.label} in the base"
            problems.append(Problem(case.place, what, "Mend the label or expect."))
    return problems


def _passes(case: Case, answer: str | None, base: str | None) -> bool:
    if case.expect == "same":
        return answer is not None and answer == base
    return answer == case.label and (case.expect is None or answer != base)
