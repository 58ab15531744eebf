"""The table for people: nothing in a text can leave its line or command a terminal."""

import io
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from serving.files.table import PIPED_WIDTH, TableWriter, plain
from serving.labels import LabelScheme
from serving.records import Document, Prediction, Record, Refusal, Sentence

SCHEME = LabelScheme.read(Path(__file__).parents[3] / "configs" / "labels.yaml")
ISOLATES = {"\u2066", "\u2067", "\u2068"}
any_text = st.text(st.characters(exclude_categories=()))


def record(text, label="claim", *, probability=0.5, certain=True, document="a.txt", number=0):
    answer = (
        Prediction(label, probability, {label: probability}, certain=certain, truncated=False)
        if label
        else Refusal("empty")
    )
    sentence = Sentence(text, 0, len(text))
    return Record.of(Document(document, text), number, sentence, answer, model="m@1")


def render(*records, by_document=True, terminal=False) -> str:
    stream = io.BytesIO()
    writer = TableWriter(stream, SCHEME, by_document=by_document, terminal=terminal)
    writer.write(records)
    writer.close()
    return stream.getvalue().decode()


def test_a_table_a_document_and_the_counts_at_the_end():
    table = render(
        record("نفت الوزارة ذلك.", "denial", probability=0.997, document="x.txt"),
        record("قُتل اثنان.", "attack_report", probability=0.414, certain=False, number=1),
        record("— — —", None, document="y.txt"),
        record("Reuters said so.", "other", probability=1.0, number=1),
    )
    shown = table.replace("\u2067", "<").replace("\u2066", ">")
    shown = re.sub("[\u2068\u2069]", "|", shown)

    def at_the_margin(text):
        return " " * (PIPED_WIDTH - 32 - cell_len(text)) + f"<{text}|"

    assert shown == (
        "|x.txt|\n"
        "   №  label              prob.  text\n"
        f"   1  denial              99%   {at_the_margin('نفت الوزارة ذلك.')}\n"
        f"   2  attack_report       41%?  {at_the_margin('قُتل اثنان.')}\n"
        "\n"
        "|y.txt|\n"
        "   №  label              prob.  text\n"
        "   1  refused                   >— — —|\n"
        "   2  other              100%   >Reuters said so.|\n"
        "\n"
        "4 sentences: 1 attack_report, 1 denial, 1 other; 1 uncertain (?); 1 refused\n"
    )


@settings(max_examples=200, deadline=None)
@given(text=any_text, document=any_text)
@example(text="\x1b[2J\x1b]0;title\x07 \x9b31m", document="\u202eabc\u2069")
@example(text="نص\u2069\u202e\u200f نص" * 40, document="\ud800")
@example(text="👩‍👩‍👧 [red]خبر[/red] :smile: " * 20, document="[bold]")
def test_no_text_reaches_the_terminal_or_leaves_its_line(text, document):
    table = render(record(text, document=document), record("خبر", number=1))
    lines = table.split("\n")
    assert len(table.splitlines()) == len(lines) - 1
    for line in lines:
        signs = [sign for sign in line if sign in ISOLATES or sign == "\u2069"]
        assert len(signs) in (0, 2)
        assert not signs or (signs[0] in ISOLATES and line.endswith("\u2069"))
        assert not re.search("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e]", line)


@settings(max_examples=100, deadline=None)
@given(words=st.lists(st.text("ابتةنوصلﻻمَّ،.abc12", min_size=1, max_size=30), min_size=1))
def test_long_texts_break_between_words_within_the_width(words):
    text = " ".join(words)
    lines = render(record(text)).split("\n")[2:-3]
    assert " ".join(re.search("[\u2066\u2067](.*)\u2069", line)[1] for line in lines) == text
    assert max(cell_len(line) for line in lines) <= PIPED_WIDTH


def test_markup_in_a_text_is_text():
    assert "[red]عاجل[/red] :smile: &amp;" in render(record("[red]عاجل[/red] :smile: &amp;"))
    assert plain("سطر\r\n\tسطر\u2028سطر") == "سطر سطر سطر"


@pytest.mark.parametrize(
    ("terminal", "no_color", "coloured"),
    [(True, None, True), (True, "1", False), (False, None, False)],
)
def test_labels_have_their_colour_on_a_terminal_unless_it_is_refused(
    monkeypatch, terminal, no_color, coloured
):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", no_color)
    denial = next(label for label in SCHEME.labels if label.name == "denial")
    red, green, blue = (int(denial.colour[i : i + 2], 16) for i in (1, 3, 5))
    table = render(record("نفى", "denial"), terminal=terminal)
    assert (f"38;2;{red};{green};{blue}m" in table) == coloured
    assert ("\x1b" in table) == terminal


def test_sentences_given_one_by_one_share_one_table():
    name = "archive/2020/07/lines.txt:11"
    table = render(record("نفى", document=name), record("نفى", document="7"), by_document=False)
    assert table.count("label") == 1
    assert f"\u2068…{name[-19:]}\u2069" in table
    assert "\u20687\u2069" in table


def test_no_records_no_table():
    assert render() == ""


def test_a_label_may_have_the_name_of_a_count():
    labels = [{"name": name, "arabic": name} for name in ("uncertain", "refused", "sentences")]
    scheme = LabelScheme.model_validate(
        {"labels": [SCHEME.labels[0].model_dump() | x for x in labels]}
    )
    stream = io.BytesIO()
    writer = TableWriter(stream, scheme, by_document=True, terminal=False)
    writer.write([record("أ", "uncertain"), record("ب", "sentences", number=1)])
    writer.close()
    assert stream.getvalue().decode().endswith("2 sentences: 1 uncertain, 1 sentences\n")
