"""Slices part the sentences, and the wordings are told as a reader would tell them."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.bundle import Bundle, shipped_model
from serving.text.normalize import NORMALIZERS
from training.evaluate.slices import NOT_GIVEN, OTHERS, length_band, slices, year
from training.evaluate.wording import has_communique_wording, has_negation, has_quotation
from training.labelled.reading import read_labelled
from training.labelled.sentence import LabelledSentence


def _sentence(text="قصف الجيش الموقع", **fields):
    known = {"id": None, "source": None, "date": None, "split": None, "sure": True}
    return LabelledSentence(
        text=text, label="other", file=Path("a.jsonl"), line=1, place="here", **known | fields
    )


sentences = st.lists(
    st.builds(
        _sentence,
        text=st.text(max_size=80),
        source=st.none() | st.sampled_from(["a", "b", OTHERS]) | st.text(max_size=3),
        date=st.none() | st.sampled_from(["2021-05-01", "٢٠٢٢", "12/3/2023", "?"]),
        sure=st.booleans(),
        columns=st.dictionaries(st.sampled_from(["register", "theatre"]), st.text(max_size=2)),
    ),
    min_size=1,
    max_size=60,
)


@given(sentences)
@settings(max_examples=100, deadline=None)
def test_every_dimension_parts_the_sentences(every):
    rows = defaultdict(list)
    for part in slices(every):
        assert len(part.rows)
        rows[part.dimension].append(part.rows)
    for parts in rows.values():
        assert len(parts) >= 2
        assert sorted(np.concatenate(parts)) == list(range(len(every)))


def test_rare_values_are_thrown_together_and_missing_ones_come_last():
    every = [
        *(_sentence(source="wire") for _ in range(6)),
        *(_sentence(source="daily") for _ in range(9)),
        *(_sentence(source=f"blog {n}") for n in range(20)),
        _sentence(),
    ]
    found = [(part.value, len(part.rows)) for part in slices(every) if part.dimension == "source"]
    assert found == [("daily", 9), ("wire", 6), (OTHERS, 20), (NOT_GIVEN, 1)]


def test_a_column_in_which_every_value_is_different_gives_no_slices():
    every = [_sentence(columns={"url": f"https://example.org/{n}"}) for n in range(50)]
    assert not slices(every)


def test_bands_and_years_stand_in_their_order():
    every = [
        _sentence(text="كلمة " * words, date=f"{2030 - words}-01-01")
        for words in (60, 3, 25, 12)
        for _ in range(5)
    ]
    found = defaultdict(list)
    for part in slices(every):
        found[part.dimension].append(part.value)
    assert found["length"] == ["1–5 words", "11–20 words", "21–30 words", "51 words and more"]
    assert found["year"] == ["1970", "2005", "2018", "2027"]


@given(st.integers(0, 500))
def test_a_band_holds_its_number(words):
    numbers = [int(part) for part in length_band(words).replace("–", " ").split() if part.isdigit()]
    low, high = numbers if len(numbers) == 2 else (numbers[0], 10**9)
    assert low <= max(words, 1) <= high


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("2021-05-01T10:00:00Z", "2021"),
        ("٣ أيار ٢٠٢٢", "2022"),
        ("۱۴۰۲", None),
        ("1620000000", None),
        ("5/3/21", None),
        ("", None),
        (None, None),
    ],
)
def test_the_year_of_a_date(date, expected):
    assert year(date) == expected


@pytest.mark.parametrize(
    ("text", "negates"),
    [
        ("لم تعلن أي جهة مسؤوليتها", True),
        ("ولا صحة لهذه الأنباء", True),
        ("ﻻ صحة لهذه الأنباء", True),  # the ligature of lam and alef
        ("لَمْ يُصب أحد", True),
        ("لـــم يصب أحد", True),
        ("ليست لنا صلة بالحادث", True),
        ("نفت الحركة مسؤوليتها", False),
        ("قتل ثلاثة في لاهاي", False),
        ("استهدف القصف لمدة ساعة ملجأ", False),
        ("شعر بألم شديد", False),
    ],
)
def test_negation(text, negates):
    assert has_negation(text) is negates


@pytest.mark.parametrize(
    ("text", "quotes"),
    [
        ("قال «سنرد على العدوان قريبا» ومضى", True),
        ('قال "سنرد على العدوان قريبا"', True),
        ("قال “سنرد على العدوان قريبا”", True),
        ("وأضاف: «سنرد على العدوان", True),
        ("أعلنت «سرايا النصر» الهجوم على القاعدة", False),
        ('بين "الأول" قال كذا وكذا ثم "الثاني" مضى', False),
        ("قال إن الرد قريب", False),
    ],
)
def test_quotation(text, quotes):
    assert has_quotation(text) is quotes


@pytest.mark.parametrize(
    ("text", "speaks"),
    [
        ("بعون الله استهدف مجاهدونا رتلا للعدو", True),
        ("تمكنت قواتنا من السيطرة على التلة", True),
        ("بيان رقم 12 صادر عن القيادة", True),
        ("تعلن القيادة العامة تنفيذ العملية", True),
        ("أعلنت الوزارة أن قواتها سيطرت على التلة", False),
        ("وصل الوزير إلى هنا أمس", False),
        ("جاء ذلك في بيان للخارجية", False),
    ],
)
def test_communique_wording(text, speaks):
    assert has_communique_wording(text) is speaks


def test_most_communiques_that_ship_are_told_from_agency_news(authored):
    share = {
        register: np.mean(
            [has_communique_wording(r["text"]) for r in authored if r["register"] == register]
        )
        for register in ("communique", "wire")
    }
    assert share["communique"] > 0.6
    assert share["wire"] < 0.05


def test_short_strings_of_the_file_become_columns(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        f"text,label,register,note\nقصف الجيش الموقع,other,wire,{'x' * 200}\nنفت الحركة,denial,,\n",
        encoding="utf-8",
    )
    scheme = Bundle.load(shipped_model()).scheme
    data = read_labelled([path], scheme, NORMALIZERS["light"].apply)
    assert [sentence.columns for sentence in data.sentences] == [{"register": "wire"}, {}]


def test_a_column_of_the_file_named_like_a_dimension_is_told_apart():
    every = [
        _sentence(
            "قصف " * (1 + 29 * (n % 3 == 0)),
            columns={"length": "ab"[n % 2], "year": str(2020 + n % 2)},
        )
        for n in range(40)
    ]
    found = {part.dimension for part in slices(every)}
    assert {"length", "column length", "year"} <= found
