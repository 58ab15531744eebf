"""Where a sentence that is too long is cut: promises on any text, good places, linear time."""

from collections.abc import Sequence
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.records import Sentence
from serving.text.clause_boundaries import BARE, NEAR, with_bare
from serving.text.clauses import cut_clauses
from serving.text.sentences import sentences_of

PIECES = (
    "وقال المتحدث|إن الهجوم انتهى|قتل خمسة|فيما|بينما|من جهته|وأكّد الوزير|12|3.5|1,000|CNN|#وسم"
    '|،|؛|..|…| - |:|«|»|(|)|"|,|;|🔴|\n|\t|\xa0|\u200f|،،،،|كلمة،كلمة؛كلمة|' + "طويلة" * 30
).split("|")
news = st.lists(st.sampled_from(PIECES), min_size=1, max_size=80).map(" ".join)
texts = st.one_of(news, st.text(min_size=1)).map(str.strip).filter(bool)


def by_characters(texts: Sequence[str]) -> list[int]:
    """A token for every three characters of a word, at least one."""
    return [sum(1 + len(word) // 3 for word in text.split()) for text in texts]


def by_more_together(texts: Sequence[str]) -> list[int]:
    """Two words together have more tokens than each alone."""
    return [2 * len(text.split()) - 1 for text in texts]


def cut(text: str, limit: int = 30, count=by_characters) -> list[str]:
    sentence = Sentence(text, 0, len(text))
    return [clause.text for clause in cut_clauses([sentence], count, limit)]


class Counter:
    """Counts tokens as `count` does, and the characters that it was given."""

    def __init__(self, count):
        self.count = count
        self.characters = 0

    def __call__(self, texts: Sequence[str]) -> list[int]:
        self.characters += sum(map(len, texts))
        return self.count(texts)


@settings(max_examples=300, deadline=None)
@given(
    texts,
    st.integers(1, 60),
    st.integers(0, 50),
    st.sampled_from([by_characters, by_more_together]),
)
def test_clauses_hold_the_whole_text_in_order_and_fit(text, limit, start, count):
    sentence = Sentence(text, start, start + len(text))
    document = "." * start + text
    end = start
    for clause in cut_clauses([sentence], count, limit):
        assert clause.text == document[clause.start : clause.end]
        assert clause.text == clause.text.strip() != ""
        assert clause.start >= end
        assert not document[end : clause.start].strip()
        words = [word for word in clause.text.split() if any(map(str.isalnum, word))]
        assert count([clause.text])[0] <= limit or len(words) <= 1
        end = clause.end
    assert not document[end:].strip()


@settings(max_examples=100, deadline=None)
@given(texts)
def test_a_sentence_that_fits_stays_as_it_is(text):
    sentence = Sentence(text, 7, 7 + len(text))
    assert list(cut_clauses([sentence], by_characters, by_characters([text])[0])) == [sentence]


STATEMENTS = [
    "أعلن الجيش صباح اليوم مقتل ثلاثة جنود في هجوم على حاجز شمال المدينة",
    "وقال المتحدث باسم وزارة الدفاع إن القوات ردت على مصادر النيران",
    "وأضاف أن التعزيزات وصلت إلى المنطقة خلال ساعة واحدة",
    "وأكد شهود عيان أنهم سمعوا دوي انفجارات قوية قرب المطار",
    "من جهته نفى محافظ المدينة سقوط ضحايا بين المدنيين",
    "وذكرت وكالة الأنباء الرسمية أن الطريق الدولي أغلق أمام السيارات",
]


def test_text_without_any_mark_is_cut_where_its_sentences_end():
    assert cut(" ".join(STATEMENTS), 60) == STATEMENTS


def test_commas_in_place_of_full_stops_end_sentences():
    written = [f"{statement}،" for statement in STATEMENTS]
    assert cut(" ".join(written), 60) == written


@pytest.mark.parametrize("mark", ["،", "؛", ".."])
def test_a_long_sentence_is_cut_at_its_mark_and_not_between_bare_words(mark):
    halves = [f"قصف طال حي الميناء القديم وسوق السمك{mark}", "في ليلة شديدة البرد من ليالي الشتاء"]
    assert cut(" ".join(halves), 25) == halves


def test_a_text_without_spaces_is_cut_at_its_marks():
    text = "،".join(["قتلى", "جرحى", "نازحون"] * 20)
    assert max(by_characters(cut(text))) <= 30
    assert "".join(cut(text)) == text


def test_a_single_endless_word_is_one_clause():
    assert cut("ا" * 1000) == ["ا" * 1000]


def test_a_number_is_not_cut_at_its_commas():
    text = " ".join(["1,250,000"] * 40)
    assert set(" ".join(cut(text)).split()) == {"1,250,000"}


def test_a_place_is_bare_only_near_a_mark():
    marks = [""] * 40 + ["،"] + [""] * 40
    bare = [place for place, mark in enumerate(with_bare(marks)) if mark == BARE]
    assert bare == [p for p in range(40 - NEAR, 40 + NEAR + 1) if p != 40]


@pytest.mark.parametrize("unit", ["ا ", "ا. ", "ا؟ ", "ا؟\n", "1? "])
def test_who_asks_for_few_clauses_does_not_wait_for_all(unit):
    document = unit * 300_000
    count = Counter(by_characters)
    few = list(islice(cut_clauses(sentences_of(document), count, 30), 1000))
    assert len(few) == 1000
    assert count.characters < len(document) / 3


def test_words_that_are_too_long_together_only_are_counted_a_few_times():
    def by_a_window(texts: Sequence[str]) -> list[int]:
        return [31 if len(text) > 200 else len(text.split()) for text in texts]

    text = " ".join(["ا" + "ـ" * 99] * 300)
    count = Counter(by_a_window)
    assert cut(text, 30, count) == text.split()
    assert count.characters < 10 * len(text)


NEWS = " ".join(STATEMENTS) + " "
HOSTILE = ["ا ", "، ", "ا،", "ا", "..", "« ", "- ", "ا.. ", "\u064b", "🔴"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("unit", "size"),
    [(NEWS, 2_000_000), *((unit, 300_000) for unit in HOSTILE)],
    ids=range(1 + len(HOSTILE)),
)
def test_long_text_takes_linear_time(unit, size):
    text = f"ب {unit * (size // len(unit.encode()))} ب"
    assert "".join("".join(cut(text)).split()) == "".join(text.split())
