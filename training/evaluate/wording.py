"""Three kinds of wording that are hard for a news classifier, found with regular expressions.

They are cues, not a grammar: they serve to compare a model's metrics with and without them. They
are applied to the text after the `light` normaliser.
"""

import re

from serving.text.normalize import NORMALIZERS

# لا، لم، لن and the forms of ليس, alone or after و or ف, and بلا. Left out: ما, which mostly
# means "what" in news; ألم, which is also "pain"; غير and دون, which mostly negate no clause.
_NEGATION = re.compile(
    r"\b(?:[وف]?(?:لا|لم|لن|ليس|ليست|ليسا|ليسوا|لسن|لست|لسنا|لستم)|بلا)\b",
)

# The text between two quotation marks, or after one that is never closed.
_QUOTED = re.compile(r"«([^»]*)|“([^”]*)|\"([^\"]*)\"?")
_QUOTED_WORDS = 3  # fewer is a name: «الجزيرة»

# How armed groups and armies speak of themselves: formulas, the enemy, our men and arms, "we
# announce", and the present tense that opens a statement where news has the past.
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
    """Tell whether a particle or verb negates a clause."""
    return _NEGATION.search(_plain(text)) is not None


def has_quotation(text: str) -> bool:
    """Tell whether the text quotes at least three words in quotation marks."""
    return any(
        len("".join(spans).split()) >= _QUOTED_WORDS for spans in _QUOTED.findall(_plain(text))
    )


def has_communique_wording(text: str) -> bool:
    """Tell whether the text is worded like a communiqué of an army or armed group."""
    return _COMMUNIQUE.search(_plain(text)) is not None


def _plain(text: str) -> str:
    return NORMALIZERS["light"].apply(text)
