"""What the model that ships must get right: plain cases, and edits that must not matter.

The kinds of test are Ribeiro et al.'s (2020, "Beyond Accuracy: Behavioral Testing of NLP Models
with CheckList"): minimum functionality, direction, invariance. The sentences were written for this
file and stand in no training data.
"""

import pytest

from serving.classifier import Classifier
from serving.records import Prediction

PLAIN = {
    "attack_report": [
        "قُتل أحد عشر شخصا وأصيب العشرات في تفجير سيارة مفخخة وسط السوق الكبير صباح الخميس.",
        "سقطت ثلاث قذائف هاون على حي سكني في أطراف المدينة، ما أدى إلى إصابة طفلين.",
        "وقالت الشرطة إن مسلحين أطلقوا النار على حافلة ركاب قرب الجسر وفروا إلى جهة مجهولة.",
    ],
    "claim": [
        "أعلنت الجماعة في بيان مسؤوليتها عن الهجوم الذي استهدف نقطة التفتيش.",
        "وقال المتحدث العسكري باسم الكتائب إن مقاتليها استهدفوا القاعدة بطائرتين مسيرتين.",
        "واتهمت الوزارة الجماعة المسلحة بالوقوف وراء تفجير خط الأنابيب.",
    ],
    "denial": [
        "نفت الحركة في بيان أي علاقة لها بالهجوم على السفارة.",
        "وأكد الناطق باسم الجيش أنه لا صحة للأنباء عن إسقاط طائرة مقاتلة فوق الجبل.",
        "ونفى المتحدث مسؤولية قواته عن قصف المستشفى.",
    ],
    "official_response": [
        "دان مجلس الأمن الدولي الهجوم بأشد العبارات وقدم تعازيه لأسر الضحايا.",
        "وفتحت النيابة العامة تحقيقا في ملابسات التفجير وأمرت بتوقيف خمسة مشتبه بهم.",
        "وفرضت السلطات حظرا للتجول في المدينة عقب الهجوم ونشرت تعزيزات أمنية.",
    ],
    "other": [
        "ارتفعت أسعار القمح في الأسواق العالمية للأسبوع الثالث على التوالي.",
        "وفاز المنتخب على ضيفه بهدفين في المباراة التي أقيمت مساء الجمعة.",
        "ومن المقرر أن يفتتح الرئيس معرض الكتاب الدولي الأسبوع المقبل.",
    ],
}
CASES = [(label, text) for label, texts in PLAIN.items() for text in texts]


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load()


def label_of(classifier: Classifier, text: str) -> str:
    (answer,) = classifier.classify([text])
    assert isinstance(answer, Prediction)
    return answer.label


@pytest.mark.parametrize(("label", "text"), CASES)
def test_plain_cases(classifier, label, text):
    assert label_of(classifier, text) == label


@pytest.mark.parametrize(("label", "text"), CASES)
def test_writing_that_means_the_same_scores_the_same(classifier, label, text):
    """Tashkeel, tatweel, bidi marks, presentation forms and spaces change nothing at all."""
    variants = [
        text.replace("ل", "لَ"),
        text.replace("ت", "تـ"),
        f"\u202b{text}\u202c",
        text.replace("لا", "ﻻ"),
        text.replace("ي", "ی"),
        "  " + text.replace(" ", "   ") + "\u00a0",
    ]
    expected, *answers = classifier.classify([text, *variants])
    assert all(answer == expected for answer in answers)


def test_taking_the_denial_out_takes_the_label_away(classifier):
    denial = "نفت الجماعة مسؤوليتها عن الهجوم على الثكنة."
    claim = "تبنت الجماعة مسؤوليتها عن الهجوم على الثكنة."
    assert label_of(classifier, denial) == "denial"
    assert label_of(classifier, claim) == "claim"


@pytest.mark.parametrize("actor", ["الجماعة", "الحركة", "الكتائب", "القوات الحكومية", "الفصائل"])
def test_the_same_yardstick_for_every_actor(classifier, actor):
    assert label_of(classifier, f"نفت {actor} استهداف المدنيين في البلدة.") == "denial"
    assert label_of(classifier, f"أعلنت {actor} أنها قصفت مواقع عسكرية بالصواريخ.") == "claim"


def test_a_count_of_no_casualties_is_no_denial(classifier):
    assert label_of(classifier, "ولم يسفر الهجوم الصاروخي عن وقوع إصابات.") == "attack_report"
