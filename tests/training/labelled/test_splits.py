"""The split: nothing on both sides, and nothing that moves when data is added."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.errors import InputError
from serving.labels import LabelScheme
from serving.text.normalize import NORMALIZERS
from training.config import load_config
from training.labelled.reading import read_labelled
from training.labelled.sentence import LabelledSentence
from training.labelled.splits import drop_leaks, leak_key, read_sides, split_by_text

ROOT = Path(__file__).parents[3]
SCHEME = LabelScheme.read(ROOT / "configs/labels.yaml")
LIGHT = NORMALIZERS["light"].apply
AUTHORED = read_labelled([ROOT / "data/authored.jsonl"], SCHEME, LIGHT).sentences


def sentence(text: str, split: str | None = None) -> LabelledSentence:
    return LabelledSentence(
        text,
        "other",
        id=None,
        source=None,
        date=None,
        split=split,
        sure=True,
        file=Path("a.jsonl"),
        line=1,
        place="a.jsonl: line 1",
    )


def keys(sentences: Iterable[LabelledSentence]) -> set[str]:
    return {leak_key(sentence.text, LIGHT) for sentence in sentences}


@pytest.mark.parametrize(
    "other",
    [
        "مقتل ١٢٣٥ جنديا في «كمين» شمال البلدة",
        "مقتل 7 جنديا في كمين، شمال البلدة!",
        "  مَقتلُ 1,234 جندياً  في كمين - شمال البلدة.",
    ],
)
def test_texts_that_differ_in_numbers_signs_and_marks_are_one(other: str) -> None:
    assert leak_key("مقتل 12 جنديا في كمين شمال البلدة", LIGHT) == leak_key(other, LIGHT)


def test_texts_that_differ_in_a_word_are_two() -> None:
    assert leak_key("نفى الجيش القصف", LIGHT) != leak_key("أكد الجيش القصف", LIGHT)


@settings(deadline=None, max_examples=30)
@given(
    chosen=st.sets(st.integers(0, len(AUTHORED) - 1), max_size=60),
    seed=st.integers(0, 2**32 - 1),
    fraction=st.floats(0, 0.5),
)
def test_no_sentence_moves_when_others_come_or_go(
    chosen: set[int], seed: int, fraction: float
) -> None:
    few = [AUTHORED[number] for number in sorted(chosen)]
    more = [AUTHORED[number] for number in range(0, len(AUTHORED), 40)] + few
    small = split_by_text(few, LIGHT, fraction, seed)
    large = split_by_text(more, LIGHT, fraction, seed)
    assert keys(small.dev) <= keys(large.dev)
    assert keys(small.train) <= keys(large.train)


@settings(deadline=None, max_examples=50)
@given(
    texts=st.lists(st.text("كل1 ٢.،", min_size=1, max_size=6), max_size=30),
    marks=st.lists(st.sampled_from([None, "train", "dev", "validation", "test"]), min_size=30),
    seed=st.integers(0, 9),
)
def test_nothing_is_on_both_sides(texts: list[str], marks: list[str | None], seed: int) -> None:
    sentences = [sentence(text, mark) for text, mark in zip(texts, marks, strict=False)]
    split = split_by_text(sentences, LIGHT, 0.3, seed)
    test = [one for one in sentences if one.split == "test"]
    assert not keys(split.train) & keys([*split.dev, *test])
    assert len(split.train) + len(split.dev) + len(test) + split.leaks == len(sentences)


def test_every_label_is_held_out_at_about_the_fraction() -> None:
    split = split_by_text(AUTHORED, LIGHT, 0.2, seed=1)
    held_out = Counter(one.label for one in split.dev)
    for label, count in Counter(one.label for one in AUTHORED).items():
        assert held_out[label] / count == pytest.approx(0.2, abs=0.06)
    assert keys(split.dev) != keys(split_by_text(AUTHORED, LIGHT, 0.2, seed=2).dev)


def test_the_side_that_a_file_asks_for_is_kept() -> None:
    sentences = [
        sentence("نص أول", "train"),
        sentence("نص ثان", "dev"),
        sentence("نص ثالث", "validation"),
        sentence("نص رابع", "test"),
        sentence("نص ثالث.", "train"),
    ]
    split = split_by_text(sentences, LIGHT, 0.5, seed=1)
    assert split.train == sentences[:1]
    assert split.dev == sentences[1:3]
    assert split.leaks == 1


def test_training_sentences_that_are_held_out_are_dropped() -> None:
    train = [sentence("مقتل 3 جنود"), sentence("هدوء في البلدة")]
    kept, leaks = drop_leaks(train, [sentence("مقتل 4 جنود.")], LIGHT)
    assert kept == train[1:]
    assert leaks == 1


# --- From a configuration ----------------------------------------------------------------------


def config_with(folder: Path, *settings_: str) -> Path:
    lines = [
        "encoder: some/encoder",
        f"labels: {ROOT / 'configs/labels.yaml'}",
        "normalizer: light",
        "optimisation: {learning_rate: 1e-4}",
        'name: "x"',
        *settings_,
    ]
    path = folder / "config.yaml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def labelled(path: Path, texts: dict[str, str], **fields: str) -> None:
    rows = ({"text": text, "label": label} | fields for text, label in texts.items())
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


EVERY_LABEL = {f"خبر عن {name}": name for name in SCHEME.names}


def test_a_dev_file_takes_what_it_holds_out_of_training(tmp_path: Path) -> None:
    labelled(tmp_path / "a.jsonl", EVERY_LABEL | {"قصف 3 قرى": "attack_report"})
    labelled(tmp_path / "dev.jsonl", {"قصف 5 قرى": "attack_report", "نفي آخر": "denial"})
    config = load_config(config_with(tmp_path, "data: {train: [a.jsonl], dev: [dev.jsonl]}"))
    sides = read_sides(config, SCHEME, LIGHT)
    assert [one.text for one in sides.train] == list(EVERY_LABEL)
    assert [one.text for one in sides.dev] == ["قصف 5 قرى", "نفي آخر"]
    assert any("left out 1 training sentence near" in warning for warning in sides.warnings)
    assert any("no claim is held out" in warning for warning in sides.warnings)


def test_without_a_dev_file_a_share_is_held_out() -> None:
    config = load_config(ROOT / "configs/compact.yaml")
    sides = read_sides(config, SCHEME, LIGHT)
    assert len(sides.train) + len(sides.dev) == len(AUTHORED)
    assert 0.05 < len(sides.dev) / len(AUTHORED) < 0.15
    assert sides.warnings == []


def test_a_label_with_nothing_to_learn_it_from_is_refused(tmp_path: Path) -> None:
    labelled(tmp_path / "a.jsonl", {t: n for t, n in EVERY_LABEL.items() if n != "denial"})
    labelled(tmp_path / "dev.jsonl", {"نفي آخر": "denial"})
    config = load_config(config_with(tmp_path, "data: {train: [a.jsonl], dev: [dev.jsonl]}"))
    with pytest.raises(InputError, match="no sentence to learn denial from"):
        read_sides(config, SCHEME, LIGHT)


def test_a_label_that_is_all_held_out_is_told_as_that(tmp_path: Path) -> None:
    labelled(tmp_path / "a.jsonl", EVERY_LABEL)
    config = load_config(config_with(tmp_path, "data: {train: [a.jsonl], dev: [a.jsonl]}"))
    with pytest.raises(InputError, match=r"All that there were are held out too, in .*a\.jsonl"):
        read_sides(config, SCHEME, LIGHT)


def test_an_empty_side_is_refused(tmp_path: Path) -> None:
    labelled(tmp_path / "a.jsonl", EVERY_LABEL, split="train")
    config = load_config(config_with(tmp_path, "data: {train: [a.jsonl]}"))
    with pytest.raises(InputError, match="of 5 sentences, none is held out"):
        read_sides(config, SCHEME, LIGHT)


def test_a_configuration_names_the_fields_of_its_files(tmp_path: Path) -> None:
    for name, rows in (("a.jsonl", EVERY_LABEL), ("dev.jsonl", {"نفي آخر": "denial"})):
        lines = [json.dumps({"body": text, "kind": label}) for text, label in rows.items()]
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
    keys = "train: [a.jsonl], dev: [dev.jsonl], text_field: body, label_field: kind"
    config = load_config(config_with(tmp_path, f"data: {{{keys}}}"))
    sides = read_sides(config, SCHEME, LIGHT)
    assert {one.text: one.label for one in sides.train} == EVERY_LABEL
    assert [(one.text, one.label) for one in sides.dev] == [("نفي آخر", "denial")]
