"""The normalisers against AraBERT's own code, and what they promise on any text."""

import hashlib
import html
import json
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from serving.errors import InputError
from serving.text.normalize import GOLDEN_INPUTS, NORMALIZERS, close_holes, normalize

AUTHORED = Path(__file__).parents[3] / "data" / "authored.jsonl"
# A change of any golden output must come with a new version, and with a new line here.
DIGESTS = {
    ("arabert", 1): "2cf23536c5c68a04b8c480fab440ac8c253a7657a11713194c269c1cd759e2b8",
    ("light", 1): "1fe6dc8bb8795c45f23f7681125c9d7a66b6d82c9402db7267809384031f2cad",
}
NAMES = pytest.mark.parametrize("name", list(NORMALIZERS))

FRAGMENTS = (
    "http htttp https:// www. www wwww .com .comب x.com abc @ a@b.c @user :// < > <> </ <b> 1 22 "
    "&amp; &lt; &quot; & [ ] [رابط] [بريد] م ا ااا ب ة ی گ ﻻ ـ … .. . !!! ! ؟ ، « » - / _ # % ٪ ٫ "
    "٣ ۴ ٬ ٲ ٴ ٱ 😀 é e ５ ² ß = ~ { ` \\ \u064e \u0651 \u0653 \u0654 \u0670 \ufe0f \u0301 \u200f "
    "\u200c \u0b4d \u1100 \u1161 \u0344 \ufe70"
)
BLANKS = ["<br />", " ", "  ", "\n", "\x00", "\xa0", "\u2028", "\ud800"]
HOSTILE = (
    "a ab ا اب 1 ا1 www. http < <> @ a@ & &# a. a.bbbbbbb [ … \u0651\u064e \u0f75\u0f71 "
    "\u0301\u200f\u0316\u200f \u0301\u0640\u0316\u0640"
)

any_character = st.characters(exclude_categories=())
fragments = st.sampled_from([*FRAGMENTS.split(" "), *BLANKS])
texts = st.lists(fragments | any_character, max_size=24).map("".join)
any_text = settings(max_examples=300, deadline=None)


@pytest.fixture(scope="module")
def oracle() -> Callable[[str], str]:
    """AraBERT's own preprocessing."""
    preprocess = pytest.importorskip("arabert.preprocess")
    return preprocess.ArabertPreprocessor("bert-base-arabertv02").preprocess


def arabert(text: str) -> str:
    return normalize(text, "arabert")


def light(text: str) -> str:
    return normalize(text, "light")


def test_authored_sentences_read_as_araberts_own_code_reads_them(oracle):
    lines = AUTHORED.read_text(encoding="utf-8").splitlines()
    for text in (json.loads(line)["text"] for line in lines):
        assert arabert(text) == oracle(close_holes(text))


@any_text
@given(text=texts)
@example("htttp://x <> b")
@example("x.comabc.comب .comx.comب")
@example("a@b.c@d.e f@ @g h@@i @http://x")
@example("ab12cd 12ابx xاب12 x12اب34[ا5]")
@example("a<b <br />> <<>> < <br /")
@example("&amp;lt;b&amp;gt; &#1576; &nosuch; &#" + "1" * 700 + ";")
def test_any_text_reads_as_araberts_own_code_reads_it_when_it_has_settled(oracle, text):
    closed = close_holes(text)
    unescaped = html.unescape(closed)
    assume(close_holes(unescaped) == unescaped)  # entities that hide holes: tested below
    assume(len(unescaped) < 40 or not re.search("@(https?|ftp)://", unescaped))  # exponential there
    expected = oracle(closed)
    while (again := oracle(expected)) != expected:
        expected = again
    assert arabert(text) == expected


@NAMES
@any_text
@given(text=texts)
@example("e\u0640\u0301 \u1100\u0640\u1161")
def test_normalising_twice_is_normalising_once(name, text):
    once = normalize(text, name)
    assert normalize(once, name) == once
    assert close_holes(once) == once


@any_text
@given(text=texts)
@example("e\u0654\u0301 \u06cc\u0654 \u06d5\u0654 \u0627\u0640\u0653")
def test_closing_holes_twice_is_closing_them_once(text):
    assert close_holes(close_holes(text)) == close_holes(text)


@NAMES
@any_text
@given(text=texts)
def test_the_result_can_be_encoded_and_has_single_spaces_only(name, text):
    result = normalize(text, name)
    assert result == " ".join(result.split())
    result.encode("utf-8")


@NAMES
def test_golden_outputs_change_only_with_the_version(name):
    outputs = "\n".join(normalize(text, name) for text in GOLDEN_INPUTS)
    digest = hashlib.sha256(outputs.encode("utf-8")).hexdigest()
    assert DIGESTS[name, NORMALIZERS[name].version] == digest


def test_golden_inputs_tell_the_normalisers_apart_and_fit_in_json():
    assert len(set(GOLDEN_INPUTS)) == len(GOLDEN_INPUTS) >= 30
    assert json.loads(json.dumps(GOLDEN_INPUTS, ensure_ascii=False).encode()) == [*GOLDEN_INPUTS]
    assert [arabert(text) for text in GOLDEN_INPUTS] != [light(text) for text in GOLDEN_INPUTS]


@NAMES
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\ufefb صحة لهذه الأنباء", "لا صحة لهذه الأنباء"),
        ("\ufee7\ufed4\ufee2 الناطق", "نفم الناطق"),
        ("ﷲ", "الله"),
        ("فی کرمان وگرگان", "في كرمان وكركان"),
        ("ڤيينا وپاريس وچاد وژاله", "فيينا وباريس وجاد وزاله"),
        ("قتل ۱۲ مدنيا", "قتل 12 مدنيا"),
        ("هٰذا وذٰلك", "هذا وذلك"),
        ("ٱلجيش", "الجيش"),
        ("شي\u0654 وشی\u0654 وا\u0653خر وا\u064e\u0654مر", "شئ وشئ وآخر وأمر"),
        ("ل\u0654ن", "لن"),
        ("له\u06e5 قال\u06d6 بعد\u06dd1", "له قال بعد 1"),
        ("قال النبيﷺ", "قال النبي صلى الله عليه وسلم"),
        ("مح\ufe77مد مح\ufe76مد مح\ufc60مد", "محمد محمد محمد"),
        ("\u202bالجيش\u202c \u200fيقصف\u200e الـ\u2067ميناء\u2069\ufeff", "الجيش يقصف الميناء"),
        ("لا\u200cشيء و\u00adلا أ\u061cحد", "لاشيء ولا أحد"),
        ("نفى\x00الجيش\x1aذلك\x85", "نفى الجيش ذلك"),
        ("قبل \ud83d بعد \udc00", "قبل بعد"),
        ("ＡＢ５", "AB5"),
        ("نَفَتِ الجَمَـــاعَةُ تمامًا", "نفت الجماعة تماما"),
        ("سطر\r\n\tآخر\u00a0 \u2003هنا\u2028 ", "سطر آخر هنا"),
        ("…", "…"),
        ("", ""),
        (" \n\t\u200f\u0670", ""),
    ],
)
def test_what_a_reader_sees_is_what_is_left(name, text, expected):
    assert normalize(text, name) == expected


@NAMES
@settings(max_examples=100, deadline=None)
@given(
    first=st.sampled_from("بوکیگ"),
    rest=st.text(
        "ابتلمنهويیکگڤپچژٱھەۆ\ufefb\ufefc\ufe91\ufeea\ufe7c\ufc61\u0670\u0640\u064e\u0651\u0653\u0654"
        "\u0655\u06d6\u06e5\u0610\u0615\u08f0\u200b\u200c\u200d\u200e\u2066\u061c\u00ad\ufeff"
    ),
)
def test_no_variant_of_a_letter_and_no_mark_splits_a_word(name, first, rest):
    assert len(normalize(first + rest, name).split()) == 1


@NAMES
def test_no_presentation_form_of_an_arabic_letter_is_lost(name):
    for code in range(0xFE80, 0xFEFD):
        assert re.fullmatch("[ء-ي]{1,2}", normalize(chr(code), name)), hex(code)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("&#65275; صحة", "لا صحة"),
        ("مح&rlm;مد مح&zwnj;مد مح&#x670;مد", "محمد محمد محمد"),
        ("\uff06amp; &lrm;&quot;نفي&quot;", '" نفي "'),
        ("&#1740;&#1705;", "يك"),
    ],
)
def test_entities_hide_no_hole(text, expected):
    assert arabert(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("انظر https://example.org/a?b=1، ثم www.example.net", "انظر [رابط] ، ثم [رابط]"),
        ("راسلوا مكتب@بريد أو desk@example.org", "راسلوا [بريد] أو [رابط]"),
        ("كتب @user_1 اليوم", "كتب [مستخدم] اليوم"),
        ("<p>بيان<br />رسمي</p> 3 < 5", "بيان رسمي 3 < 5"),
        ("عاااجل!!!! 1000 و٢٢٢٢", "عااجل ! ! 1000 و 2222"),
        ("2023/10/07 و35جريحا", "2023 - 10 - 07 و 35 جريحا"),
        ("«غراد»(1) [رابط]", "« غراد » ( 1 ) [رابط]"),
        ("🔴 عاجل ★ café", "عاجل caf"),
        ("★ ✦ 👇 \u200f", ""),
    ],
)
def test_arabert_rules(text, expected):
    assert arabert(text) == expected


def test_light_leaves_signs_addresses_and_entities_alone():
    text = "🔴 عاااجل!!!" + "…" * 99 + " &amp; <b> @user https://example.org/a ٢٢/٣ «قال»: é"
    assert light(text) == text


@NAMES
@pytest.mark.timeout(30)  # a linear step takes a second on these, a quadratic one minutes
@pytest.mark.parametrize("prefix", ["", "1ا ا1 x.comب a@b.c &#65275; <> "])
@pytest.mark.parametrize("unit", HOSTILE.split(" "))
def test_hostile_text_takes_linear_time(name, prefix, unit):
    normalize(prefix + unit * (200_000 // len(unit)), name)


@NAMES
def test_an_endless_number_in_an_entity_is_no_error(name):
    normalize("&#" + "9" * 1_000_000 + ";", name)


@settings(max_examples=100, deadline=None)
@given(st.text("\u0301\u0316\u0323\u0344\u0f71\u0f73\u0f75\u3099\u093c!", min_size=64))
def test_a_pile_of_marks_comes_out_as_unicode_says(marks):
    assert close_holes("e" + marks) == unicodedata.normalize("NFKC", "e" + marks)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="arabert, light"):
        normalize("نص", "farasa")
