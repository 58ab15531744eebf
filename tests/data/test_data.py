"""The sentences that ship: their form, their labels, their datasheet, no leak into the tests."""

import re
import statistics
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from serving.labels import LabelScheme
from serving.text.normalize import NORMALIZERS, Normalizer
from training.labelled.reading import read_labelled
from training.labelled.splits import leak_key

ROOT = Path(__file__).parents[2]
AUTHORED = ROOT / "data/authored.jsonl"
SCHEME = LabelScheme.read(ROOT / "configs/labels.yaml")
REGISTERS = ("wire", "newspaper", "ticker", "quote", "social", "communique")
# The theatres that most sentences name; the field is free text, often a place and a country.
THEATRES = (
    "Afghanistan|Algeria|Egypt|Gaza|Iran|Iraq|Israel|Jordan|Lebanon|Libya|Nigeria|Pakistan|Red Sea|"
    "Sahel|Somalia|(?<!South )Sudan|Syria|Turkey|Ukraine|Yemen"
)


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    id: str = Field(pattern=r"^a\d{4}$")
    text: str
    label: Literal["attack_report", "claim", "denial", "official_response", "other"]
    register_: Literal["wire", "newspaper", "ticker", "quote", "social", "communique"] = Field(
        alias="register"
    )
    theatre: str = Field(min_length=1)


LINES = [
    Line.model_validate_json(line)
    for line in AUTHORED.read_text(encoding="utf-8").removesuffix("\n").split("\n")
]


def figures() -> str:
    """Return the tables of data/README.md."""
    registers = Counter((line.label, line.register_) for line in LINES)
    rows = ["| label | " + " | ".join(REGISTERS) + " | all |", "| --- " + "| ---: " * 7 + "|"]
    for label in SCHEME.names:
        counts = [registers[label, register] for register in REGISTERS]
        rows.append(f"| `{label}` | " + " | ".join(map(str, [*counts, sum(counts)])) + " |")
    sums = [sum(registers[label, register] for label in SCHEME.names) for register in REGISTERS]
    rows.append("| all | " + " | ".join(f"{count:,}" for count in [*sums, len(LINES)]) + " |")

    theatres = Counter(
        found[0]
        if (found := re.search(rf"\b({THEATRES})\b", line.theatre))
        else "elsewhere or none"
        for line in LINES
    )
    listed = ", ".join(f"{name} {count}" for name, count in theatres.most_common())
    words = sorted(len(line.text.split()) for line in LINES)
    length = f"{words[0]} to {words[-1]} words, the median being {statistics.median(words):g}"
    return (
        "\n".join(rows)
        + f"\n\nTheatre (the first of these that the field names): {listed}.\n\nLength: {length}.\n"
    )


def test_the_datasheet_has_the_figures_of_the_file() -> None:
    datasheet = (ROOT / "data/README.md").read_text(encoding="utf-8")
    assert figures() in datasheet, f"data/README.md should hold:\n\n{figures()}"


def test_the_file_passes_the_check_that_training_makes() -> None:
    data = read_labelled([AUTHORED], SCHEME, NORMALIZERS["light"].apply)
    assert len(data.sentences) == len(LINES)
    assert data.warnings == []
    assert all(data.counts.values())


def test_ids_are_unique() -> None:
    assert len({line.id for line in LINES}) == len(LINES)


@pytest.mark.parametrize("normalizer", NORMALIZERS.values(), ids=NORMALIZERS)
def test_no_two_sentences_are_near_identical(normalizer: Normalizer) -> None:
    keys = Counter(leak_key(line.text, normalizer.apply) for line in LINES)
    assert [key for key, count in keys.items() if count > 1] == []


def test_texts_are_clean() -> None:
    for line in LINES:
        assert unicodedata.is_normalized("NFC", line.text), line.id
        assert " ".join(line.text.split()) == line.text, line.id
        strange = [c for c in line.text if unicodedata.category(c).startswith("C")]
        assert strange == [], line.id


def test_every_label_stands_in_every_register() -> None:
    assert {(line.label, line.register_) for line in LINES} == {
        (label, register) for label in SCHEME.names for register in REGISTERS
    }


def test_the_armed_groups_and_leaders_of_the_day_are_not_named() -> None:
    names = (
        "الحوثي|أنصار الله|حماس|حزب الله|داعش|الدولة الإسلامية|تنظيم القاعدة|طالبان|بوكو حرام|"
        "حركة الشباب|الدعم السريع|جبهة النصرة|تحرير الشام|الحشد الشعبي|القسام|سرايا القدس|"
        "الجهاد الإسلامي|فاغنر|الحرس الثوري|العمال الكردستاني|البشمركة|البيشمركة|"
        "نتنياهو|ترامب|زيلينسكي|أردوغان|خامنئي|البرهان|حميدتي|السيسي|حفتر"
    )
    named = re.compile(rf"\b[وفبلك]?({names})\b")
    assert [line.text for line in LINES if named.search(line.text)] == []


def test_the_guidelines_define_every_label_and_their_examples_are_held_apart() -> None:
    guidelines = (ROOT / "data/GUIDELINES.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", guidelines, re.MULTILINE)
    scheme = {label.name: label.arabic for label in SCHEME.labels}
    assert {name: arabic for name, arabic in rows if name in scheme} == scheme
    light = NORMALIZERS["light"].apply
    examples = re.findall(r"^\| ([^|`]*[ء-ي][^|]*) \| (\w+) \|", guidelines, re.MULTILINE)
    assert {label for _, label in examples} == set(scheme)
    ours = {leak_key(line.text, light) for line in LINES}
    assert [text for text, _ in examples if leak_key(text, light) in ours] == []


def test_no_sentence_stands_in_the_models_tests() -> None:
    light = NORMALIZERS["light"].apply
    keys = [f" {leak_key(line.text, light)} " for line in LINES]
    for file in (ROOT / "tests/model").rglob("*"):
        if file.is_file() and file.suffix in {".py", ".json", ".jsonl", ".csv", ".txt", ".yaml"}:
            content = f" {leak_key(file.read_text(encoding='utf-8'), light)} "
            assert [key for key in keys if key in content] == [], file
