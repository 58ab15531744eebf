"""The sentences that ship: their form, their labels, their datasheet, no leak into the tests."""

import gzip
import json
import re
import statistics
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path
from typing import Literal, get_args

import pytest
from pydantic import BaseModel, ConfigDict, Field

from serving.labels import LabelScheme
from serving.text.normalize import NORMALIZERS, Normalizer
from training.labelled.reading import read_labelled
from training.labelled.splits import leak_key

ROOT = Path(__file__).parents[2]
AUTHORED = ROOT / "data/authored.jsonl"
SCHEME = LabelScheme.read(ROOT / "configs/labels.yaml")
Register = Literal[
    "wire",
    "newspaper",
    "ticker",
    "quote",
    "social",
    "communique",
    "headline",
    "dialect",
    "factcheck",
    "body",
    "pair",
    "statement",
    "analysis",
]
REGISTERS = get_args(Register)
FIRST_ROUND = 2640
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
    register_: Register = Field(alias="register")
    theatre: str = Field(min_length=1)
    set: int | None = None


LINES = [
    Line.model_validate_json(line)
    for line in AUTHORED.read_text(encoding="utf-8").removesuffix("\n").split("\n")
]


def figures() -> str:
    """Return the figures of data/README.md: tables of registers, dialects, pairs and lengths."""
    counts = Counter((line.register_, line.label) for line in LINES)
    rows = [
        "| register | " + " | ".join(f"`{label}`" for label in SCHEME.names) + " | all |",
        "| --- " + "| ---: " * (len(SCHEME.names) + 1) + "|",
    ]
    for register in REGISTERS:
        cells = [counts[register, label] for label in SCHEME.names]
        rows.append(f"| `{register}` | {' | '.join(f'{n:,}' for n in [*cells, sum(cells)])} |")
    totals = [sum(counts[register, label] for register in REGISTERS) for label in SCHEME.names]
    rows.append(f"| all | {' | '.join(f'{n:,}' for n in [*totals, len(LINES)])} |")

    dialects = Counter(
        found[1] for line in LINES if (found := re.search(r"(\w+) dialect$", line.theatre))
    )
    sets = Counter(Counter(line.set for line in LINES if line.set is not None).values())
    theatres = Counter(
        found[0] if (found := re.search(rf"\b({THEATRES})\b", line.theatre)) else "other or none"
        for line in LINES
    )
    words = sorted(len(line.text.split()) for line in LINES)
    return "\n\n".join(
        [
            "\n".join(rows),
            f"Dialects: {listed(dialects)}.",
            f"Minimal pairs: {sets[2]} sets of two sentences and {sets[3]} sets of three.",
            f"Theatre (the first of these that the field names): {listed(theatres)}.",
            f"Length: {words[0]} to {words[-1]} words, median {statistics.median(words):g}.",
        ]
    )


def listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())


def test_the_datasheet_has_the_figures_of_the_file() -> None:
    datasheet = (ROOT / "data/README.md").read_text(encoding="utf-8")
    assert figures() in datasheet, f"data/README.md should hold:\n\n{figures()}"


def test_the_file_passes_the_check_that_training_makes() -> None:
    data = read_labelled([AUTHORED], SCHEME, NORMALIZERS["light"].apply)
    assert len(data.sentences) == len(LINES)
    assert data.warnings == []
    assert all(data.counts.values())


def test_ids_are_the_numbers_of_the_lines() -> None:
    assert [line.id for line in LINES] == [f"a{number:04}" for number in range(len(LINES))]


def test_the_first_round_has_six_registers_and_the_minimal_pairs_are_sets_of_two_or_three() -> None:
    assert {line.register_ for line in LINES[:FIRST_ROUND]} == set(REGISTERS[:6])
    assert [line for line in LINES if (line.set is not None) != (line.register_ == "pair")] == []
    labels = defaultdict(set)
    for line in LINES:
        if line.set is not None:
            labels[line.set].add(line.label)
    assert [number for number, found in labels.items() if len(found) < 2] == []


@pytest.mark.parametrize("normalizer", NORMALIZERS.values(), ids=NORMALIZERS)
def test_no_two_sentences_are_near_identical(normalizer: Normalizer) -> None:
    keys = Counter(leak_key(line.text, normalizer.apply) for line in LINES)
    assert [key for key, count in keys.items() if count > 1] == []


def test_texts_are_clean() -> None:
    for line in LINES:
        assert unicodedata.is_normalized("NFC", line.text), line.id
        assert " ".join(line.text.split()) == line.text, line.id
        text = line.text.replace("\u200d", "")  # the joiner inside an emoji
        strange = [c for c in text if unicodedata.category(c).startswith("C")]
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


@pytest.mark.parametrize("name", ["dialect_denials", "flat_denials"])
def test_the_dialect_denials_are_divided_as_their_note_says_and_stand_nowhere_else(
    name: str,
) -> None:
    path = ROOT / f"benchmarks/data/{name}.jsonl"
    data = read_labelled([path], SCHEME, NORMALIZERS["light"].apply)
    assert data.warnings == []
    split = Counter((one.split, one.label == "denial") for one in data.sentences)
    assert split == {
        ("train", True): 150,
        ("test", True): 50,
        ("train", False): 30,
        ("test", False): 10,
    }
    dialects = Counter(one.columns["dialect"] for one in data.sentences)
    assert set(dialects.values()) == {48}
    light = NORMALIZERS["light"].apply
    keys = {leak_key(one.text, light) for one in data.sentences}
    assert len(keys) == len(data.sentences)
    behaviour = (ROOT / "training/evaluate/behaviour.jsonl").read_text(encoding="utf-8")
    others = [json.loads(line)["text"] for line in behaviour.splitlines()]
    others += [line.text for line in LINES]
    assert keys & {leak_key(text, light) for text in others} == set()


def test_no_sentence_stands_in_the_models_tests() -> None:
    light = NORMALIZERS["light"].apply
    keys = [f" {leak_key(line.text, light)} " for line in LINES]
    for file in [*(ROOT / "tests/model").rglob("*"), ROOT / "training/evaluate/behaviour.jsonl"]:
        if file.is_file() and file.suffix in {".py", ".json", ".jsonl", ".csv", ".txt", ".yaml"}:
            content = f" {leak_key(file.read_text(encoding='utf-8'), light)} "
            assert [key for key in keys if key in content] == [], file


def test_the_drawn_sentences_of_ordinary_news_are_whole():
    with gzip.open(AUTHORED.with_name("general_news.tsv.gz"), "rt", encoding="utf-8") as stream:
        header, *rows = (line.rstrip("\n").split("\t") for line in stream)
    with gzip.open(AUTHORED.with_name("news_labels.tsv.gz"), "rt", encoding="utf-8") as stream:
        learned = {line.split("\t")[0] for line in list(stream)[1:]}
    labels = set(SCHEME.names)
    assert header == ["sha256", "label", "second"]
    assert not learned & {key for key, *_ in rows}
    assert len({key for key, *_ in rows}) == len(rows) == 2955
    assert sum(label != "" for _, label, _ in rows) == 246
    for key, label, second in rows:
        assert re.fullmatch(r"[0-9a-f]{16}", key)
        assert label in {"", *labels}
        assert second in ({"", *labels} - {label} if label else {""})


def test_the_labels_without_sentences_are_whole():
    with gzip.open(AUTHORED.with_name("news_labels.tsv.gz"), "rt", encoding="utf-8") as stream:
        header, *rows = (line.rstrip("\n").split("\t") for line in stream)
    labels = set(SCHEME.names)
    assert header == ["sha256", "label", "second", "sure"]
    assert f"{len(rows):,} sentences" in AUTHORED.with_name("README.md").read_text(encoding="utf-8")
    assert len({key for key, *_ in rows}) == len(rows)
    for key, label, second, sure in rows:
        assert re.fullmatch(r"[0-9a-f]{16}", key)
        assert label in labels
        assert second in {"", *labels} - {label}
        assert sure in ("yes", "no")
