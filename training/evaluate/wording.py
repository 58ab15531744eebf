"""Three kinds of wording that trip up a classifier of news, each told by patterns one can read.

They are cues and no grammar: what they are for is to compare how a model does with and without
them. All are looked for in the text without vowel signs, tatweel and presentation forms (the
`light` normaliser's output).
"""

import re

from serving.text.normalize import NORMALIZERS

# لا، لم، لن and the forms of ليس, alone or after و or ف, and بلا. Left out: ما, which mostly
# means "what" in news; ألم, which is also "pain"; غير and دون, which mostly negate no clause.
_NEGATION = re.compile(
    r"\b(?:[وف]?(?:لا|لم|لن|ليس|ليست|ليسا|ليسوا|لسن|لست|لسنا|لستم)|بلا)\b",
)

# What stands between two quotation marks, or after one that is never closed.
_QUOTED = re.compile(r"«([^»]*)|“([^”]*)|\"([^\"]*)\"?")
_QUOTED_WORDS = 3  # fewer is a name: «الجزيرة»

# How those who act speak of themselves: formulas, the enemy, our men and arms, "we announce" and
# the present tense that a body's own statement opens with, where news has the past.
_COMMUNIQUE = re.compile(
    r"""
      \b(?:بسم|باسم|بعون|بحمد|بفضل|بإذن|باذن|بتوفيق|نصر)\ (?:من\ )?الله\b
    | \b(?:بيان|بلاغ)\ (?:عسكري|توضيحي|رقم|صادر)\b
    | \b[وفبكل]?(?:ال|ل)(?:عدو|مجاهدون|مجاهدين|مرتزقة|غزاة|صهاينة)\b
    | \b[وفبكل]{0,2}(?:قوات|قيادت|جيش|مجاهدو|مجاهدي|مقاتلو|مقاتلي|جنود|أبطال|رجال|كتائب|كتيبت
        |سرايا|وحدات|دوريات|طائرات|مسيرات|صواريخ|دفاعات|بنادق|شهدائ|شهداؤ|شهداء|أسرا|صفوف
        |عمليات|أهل|شعب)نا\b
    | \b(?:[وف]?(?:نحن|لسنا|إننا|أننا)|أيها)\b
    | \b[وف]?س?(?:نعلن|نتبنى|نؤكد|نحذر|نعاهد|نتوعد|ننفي|نكذب|نهيب|نزف|ننعى)\b
    | \b[وف]?(?:استهدفنا|قصفنا|دمرنا|نفذنا|أطلقنا|تبنينا|أسقطنا|فجرنا|تمكنا|هاجمنا|قتلنا)\b
    | \A\W*[تين](?:علن|نفي|ؤكد|نعى|عبر|تقدم|دين|ستنكر|هيب|تبنى|حذر|شيد|تابع)\b
    """,
    re.VERBOSE,
)


def has_negation(text: str) -> bool:
    """Tell whether a particle or verb of the text negates a clause."""
    return _NEGATION.search(_plain(text)) is not None


def has_quotation(text: str) -> bool:
    """Tell whether the text quotes at least three words in quotation marks."""
    return any(
        len("".join(spans).split()) >= _QUOTED_WORDS for spans in _QUOTED.findall(_plain(text))
    )


def has_communique_wording(text: str) -> bool:
    """Tell whether the text speaks as the communiqués of armies and armed groups do."""
    return _COMMUNIQUE.search(_plain(text)) is not None


def _plain(text: str) -> str:
    return NORMALIZERS["light"].apply(text)
