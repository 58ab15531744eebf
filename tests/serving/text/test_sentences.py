"""Where Arabic news is cut into sentences: golden articles, hard cases, promises on any text.

The golden articles are our own. In their files a line `style: …` and an empty line come first, and
the sign ¦ stands after every sentence.
"""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.text.sentences import LONGEST, split_sentences

ARTICLES = sorted((Path(__file__).parent / "articles").glob("*.txt"))
SAMPLE = Path(__file__).parents[3] / "data" / "sample_article.txt"

FRAGMENTS = (
    "وقال المتحدث|إن الهجوم انتهى|قتل|خمسة|د|أ|م|ص|هـ|و|ثم|أ.ف.ب|سي.إن.إن|مباحًا|العربية.نت|U.S.|Dr"
    "|3.5|٣٫٥|12.10.2024|2011 م|www.site.example/a.b?c=d|a.b@c.example|#وسم|@user|1|٢| 1. |- |• "
    '|pic.twitter.com/Ab1|https://t.co/Cd2|— نادر (@nader_x) April 21, 2024|(@x)|— | -- |" / X'
    "|.|..|...|…|!|?|؟|؟!|،|؛|:|\"|“|”|«|»|‘|’|'|(|)|[|]| | |  |\n|\n\n|\r\n|\u2028|\u0085|\t|\xa0"
    "|\u200f|\ufeff|🔴|_|/|&quot;|" + "كلمة " * 12
).split("|")
arabic_news = st.lists(st.sampled_from(FRAGMENTS), max_size=60).map("".join)
documents = st.one_of(st.text(), st.text(alphabet='ابد .!؟…"«»()\n\r\u2028—@1a'), arabic_news)


def texts(document: str) -> list[str]:
    return [sentence.text for sentence in split_sentences(document)]


def marked(document: str) -> str:
    """The document with the sign ¦ after every sentence."""
    for sentence in reversed(split_sentences(document)):
        document = f"{document[: sentence.end]}¦{document[sentence.end :]}"
    return document


@pytest.mark.parametrize("path", ARTICLES, ids=lambda path: path.stem)
def test_every_boundary_of_a_golden_article_is_found_and_no_other(path):
    golden = path.read_text(encoding="utf-8").split("\n\n", 1)[1]
    assert marked(golden.replace("¦", "")) == golden


def test_golden_articles_are_many_and_long_enough_to_mean_something():
    counts = [path.read_text(encoding="utf-8").count("¦") for path in ARTICLES]
    assert len(counts) >= 12
    assert all(8 <= count <= 20 for count in counts)


def test_sample_article_is_cut_at_its_lines_and_before_its_tweets_tail():
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()
    prose, link = next(line for line in lines if "(@" in line).split(" pic.", 1)
    position = lines.index(f"{prose} pic.{link}")
    lines[position : position + 1] = [prose, f"pic.{link}"]
    assert texts(SAMPLE.read_text(encoding="utf-8")) == lines


@settings(max_examples=400, deadline=None)
@given(documents)
def test_offsets_point_at_the_text_and_nothing_visible_is_lost(document):
    end = 0
    for sentence in split_sentences(document):
        assert sentence.text == document[sentence.start : sentence.end]
        assert sentence.text == sentence.text.strip() != ""
        assert sentence.start >= end
        assert not document[end : sentence.start].strip()
        end = sentence.end
    assert not document[end:].strip()


@settings(max_examples=200, deadline=None)
@given(arabic_news, arabic_news)
def test_paragraphs_apart_are_cut_as_if_each_stood_alone(first, second):
    # A line over 100 characters says that neither is hard-wrapped.
    wide = "ط" * 101
    first, second = f"{wide}\n{first}", f"{wide}\n{second}"
    assert texts(f"{first}\n\n{second}") == texts(first) + texts(second)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(alphabet="ابتد ", min_size=1).filter(str.strip), min_size=1, max_size=8))
def test_blank_lines_always_split(paragraphs):
    assert texts("\n \n".join(paragraphs)) == [paragraph.strip() for paragraph in paragraphs]


REPEATED = [
    *(".", ". ", ". . ", "قال.. ", "a.", "1.", "أ. ", "و!", '"', '."', '"ا. ', "«", "&quot;"),
    *("(", "(«", "(ا. ", "@", "(@", "- (@", "—ا", "— ا (@ب", "t.co/a ", "pic.x.com/a "),
    *(" ", "\n", "ا\n", "ا \n", "ا\t.", "|", "ا ا ا | ", "ا ا ا. 🔴 ", "1? ", "? ( "),
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("unit", REPEATED, ids=range(len(REPEATED)))
def test_repetition_of_anything_takes_linear_time(unit):
    document = "ب" + unit * (50_000 // len(unit)) + "ب"
    assert "".join("".join(texts(document)).split()) == "".join(document.split())


@pytest.mark.parametrize("unit", ["a. ", "a.b", "1? ", "? ( ", "1? ( "])
def test_a_sentence_without_end_comes_in_parts(unit):
    document = unit * (2 * LONGEST // len(unit))
    found = texts(document)
    assert max(map(len, found)) <= LONGEST + 2 * len(unit)
    assert "".join("".join(found).split()) == "".join(document.split())


# One document a line, where the sign ¦ stands after every sentence.
HARD_CASES = """
closing marks stay with their sentence
    قال «سنعود!».¦ وقال ”لن نعود.”¦ (انتهى.)¦ وعاد.¦
    قال: “لا؟!”.¦ ثم رحل.¦ [نص مترجم.]¦ وهذا كل شيء.¦
    قال : « سنعود . »¦ وبقي المحاصرون في الداخل .¦
    وأضاف ( مبتسما ! ) أن الأمر انتهى ؟ !¦ وخرج¦
    هذه أكاذيب (تم حذفها..)..".¦ لقد نفيناها.¦
    &quot;لن نعود.&quot;¦ &quot;بل سنعود.&quot;¦
a run of marks is one mark
    لماذا؟!¦ كفى!!!¦ ماذا؟؟؟¦ لا .. أبدا!..¦ نعم۔¦ حسنا¦
a quotation ends, its sentence goes on
    قال: "لن نتراجع." وأضاف أن الباب مفتوح.¦ وسكت.¦
    قال: "لن نتراجع." مضيفًا أنه باق.¦ وسكت.¦
    قال: "لن نتراجع."¦ ووصف الوزير ذلك بأنه "خطأ."¦ وغادر¦
    عرضت القناة برنامج "من المسؤول؟" على جزأين.¦
    رفعوا لافتة "ارحلوا!" وسط الميدان.¦ ثم تفرقوا¦
    رفعوا لافتة "ارحلوا!"¦ وأغلقوا الميدان.¦
a short quotation is not cut, a long one is
    قال «لا. لن نفعل. أبدا»، ثم خرج.¦
    وقال "لا نعلم. سنحقق" في إشارة إلى التفجير.¦
    قال: «كنا في البيت.¦ ثم هربنا إلى القبو مع الأولاد وبقينا فيه حتى الصباح من غير ماء ولا ضوء \
ولا خبر عن أهلنا في الحي الآخر وهم سبعة!¦ وجاء المسعفون».¦
an ellipsis in mid-line is a pause
    عاجل.. قتيلان في القصف¦
    انتظروا طويلا... ولم يأت أحد… ثم رحلوا¦
    توقف القصف..¦ وقالت الشرطة إن الوضع هادئ¦
    توقف القصف…¦وأكّد الأهالي عودتهم¦
numbers and addresses
    بلغت 3.5 و٣٫٥ و٣.٥ و1.250.000 في 12.10.2024 عند 10.30.¦ 12 قتيلا.¦
    العنوان 10.0.0.1 والإصدار 2.3.1 على www.site.example/a.b?x=1!2.¦ وانتهى¦
    راسلوا a.b@c.example أو العربية.نت.¦ شكرا¦
    فاز 3.¦ وخسر 5.¦ من جهته قال: لا¦
    سجل 0.\u200f5 نقطة.\u200f¦ وتراجع¦
abbreviations, initials, acronyms
    طبيبنا د. وليد ود.سامي وأ.د. ليلى والمهندس م. أ. الحسيني في ص. 12.¦ ثم غادروا¦
    قال Dr. J. R. Smith وG. Lane من U.S. ذلك.¦ ثم غادرا¦
    عام 300 ق.م. تقريبا وسنة 21 هـ. أي قبل قرون.¦ وفي عام 2011 م.¦ وقعت واقعة¦
    في المنطقة ج.¦ وقال د ب أ.¦ وقالت أ.ف.ب.¦ وأضافت وليد ع. أيضا.¦
    نقلت سي.إن.إن وسي.أن.أن وجهاز إم.آي 5 ذلك.¦ ونفته بي.بي.سي.¦ وانتهى¦
    قصفت إ.س.را.ئي.ل بلدة وادعى الجيـ.ـش غير ذلك.¦وسكت¦
    أصبح الأمر مباحًا.¦ أما البقية فلا.¦ وعاد يوميًا.¦ هكذا¦
datelines and numbering
    بغداد (رويترز) - قال مسؤول إن الطريق أغلق.¦ وأعيد فتحه.¦
    القاهرة - أ.ف.ب: أغلق الطريق.¦
    دبي، الإمارات العربية المتحدة (CNN) -- أغلق الطريق.¦
    1. أغلق الطريق.¦ 2. فتح الطريق.¦ ٣. انتهى¦
    أ. أغلق الطريق.¦
no space after the mark
    انتهى الهجوم.¦وقال المتحدث؟¦لا أحد.¦قتل 3.¦وجرح 4!¦ثم CNN.¦وعاد¦
    انتهى الهجوم .¦وقال الشهود ،انه كان قويا؛ ثم سكتوا .¦
the tails of tweets
    كفى!!¦ pic.twitter.com/Ab1— نادر (@nader_x) April 21, 2024¦
    كفى¦ https://t.co/a https://t.co/b — نادر 🚑 (@n) ٢١ نيسان ٢٠٢٤¦ وقال الجيش: لا.¦
    كفى¦ — نادر (@n) 21 كانون الثاني/يناير، 2024¦وقال الجيش: لا.¦
    كفى #وسم #وسم2¦ pic.x.com/Ab1¦ وقال الجيش: لا.¦ وسكت¦
    نادر on X: "كفى قصفا.¦ https://t.co/a" / X¦ وقال الجيش: لا.¦
    "كفى قصفا¦ https://t.co/a" نادر on Twitter¦
    كفى.¦— Al-Nadir | نادر (@n) 10:30 PM · Apr 21, 2024.¦ وبعد¦
    قال فلان (@falan) إن الحساب - وهو موثق - حذف.¦ وسكت¦
a bar, an emoji or a written line break parts the statements of a ticker
    عاجل | قصف يطال أطراف الميناء |¦ الجيش ينفي وقوع إصابات |¦ إغلاق طريق الساحل أمام السيارات¦
    قصف يطال أطراف الميناء ⚡¦ الجيش ينفي وقوع إصابات ⚡¦ إغلاق طريق الساحل أمام السيارات¦
    🔴 قصف يطال أطراف الميناء¦ 🔴 الجيش ينفي وقوع إصابات.¦ 🔴🔴 إغلاق طريق الساحل¦
    قصف يطال أطراف الميناء.¦ 🔴 الجيش ينفي وقوع إصابات¦
    بيان رقم واحد\\n\\n¦هاجمنا الثكنة.\\n¦🔴 عاد المقاتلون سالمين\\r\\n¦انتهى¦
    \\nهاجمنا الثكنة فجر اليوم \\n |¦ انتهى البيان¦
    الملف في C:\\news\\report والوحدة km|h والعلم 🇱🇧 على السارية العالية¦
    شكرا ❤️ لكم جميعا يا أصدقاء¦
    أخبار | رياضة | طقس | قصف يطال أطراف الميناء | موقع الفجر¦
«et cetera» in the midst of a sentence
    وصلت الأغطية والخيام والأدوية إلخ. إلى المخيم الشمالي.¦ وشكر الأهالي المتبرعين.¦
    وصلت الأغطية والخيام والأدوية الخ.¦ وقال الأهالي إنها لا تكفي.¦ نريد ماء وخبزا إلخ.¦
    وصلت الأغطية (والخيام إلخ.) إلى المخيم.¦ الحكومة تأخرت.¦
what has no word joins its neighbour
    انتهى.¦ ثم عاد. . .¦ وخرج. #وسم ✅¦
    انتهى! 🔥¦
marks that cannot be seen stay with the sentence before them
    قصف جديد‼\ufe0f¦ نفى الجيش ذلك⁉\ufe0f¦ وسكت.\u061c¦ وعاد.\u2060¦وانتهى.\u00ad¦ وبعد¦
"""
CASES = [line.strip() for line in HARD_CASES.splitlines() if line.startswith("    ")]


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_hard_cases(case):
    assert marked(case.replace("¦", "")) == case


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\v", "\f", "\x85", "\u2028", "\u2029"])
def test_every_kind_of_line_break_ends_a_sentence(newline):
    lines = ["قصف جديد على الميناء", "- مقتل حارس", "١- إغلاق الطريق", "«لن نرحل»", "12:30"]
    assert texts(newline.join(lines)) == lines


WRAPPED = [
    "قال مصدر في الشرطة إن مسلحين هاجموا فجر اليوم نقطة تفتيش تقع",
    "على مدخل البلدة الشمالي وقتلوا ثلاثة من الحراس قبل أن يفروا",
    "نحو الجبل. وأضاف المصدر أن دورية وصلت إلى المكان بعد ساعتين",
    "وأن الجرحى نقلوا إلى المستشفى.",
]
SENTENCES_OF_WRAPPED = 2


@pytest.mark.parametrize("newline", ["\n", "\r\n", " \n  "])
def test_hard_wrapped_prose_is_joined(newline):
    found = texts(newline.join(WRAPPED))
    assert len(found) == SENTENCES_OF_WRAPPED
    assert " ".join(" ".join(found).split()) == " ".join(WRAPPED)


def test_hard_wrapped_prose_keeps_headline_list_and_blank_lines_apart():
    headline, item = "هجوم على نقطة تفتيش", "- ثلاثة قتلى"
    found = texts("\n".join([headline, *WRAPPED, item, item, "", *WRAPPED]))
    assert [found[0], *found[3:5]] == [headline, item, item]
    assert len(found) == 1 + SENTENCES_OF_WRAPPED + 2 + SENTENCES_OF_WRAPPED


def test_headlines_of_one_length_are_not_taken_for_wrapped_prose():
    lines = [line.removesuffix(".") for line in WRAPPED[:2]] * 3
    assert texts("\n".join(lines)) == lines


def test_a_sentence_a_line_stays_so():
    lines = [f"{line.replace('.', '')}." for line in WRAPPED[:3]] * 3
    assert texts("\n".join(lines)) == lines
