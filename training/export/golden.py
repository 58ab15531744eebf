"""Golden predictions: a new bundle's answers to fixed sentences, compared when it is loaded."""

from serving.bundle import GoldenPrediction
from serving.classifier import Classifier
from serving.records import Prediction

# One sentence per label, written for this file.
GOLDEN_SENTENCES = (
    "قُتل سبعة جنود في انفجار عبوة ناسفة استهدفت دوريتهم قرب المعبر الشرقي فجر اليوم.",
    "تبنت الجماعة في بيان مصور الهجوم الصاروخي على القاعدة البحرية.",
    "نفت وزارة الدفاع صحة الأنباء عن سقوط طائرة تابعة لها في الصحراء.",
    "دان الأمين العام للمنظمة التفجير ودعا إلى محاسبة المسؤولين عنه.",
    "افتتح الوزير معرض الكتاب السنوي بحضور ناشرين من عشرين بلدا.",
)


def golden_predictions(classifier: Classifier) -> tuple[GoldenPrediction, ...]:
    """Return the predictions of a bundle that has none yet."""
    return tuple(
        GoldenPrediction(text=text, probabilities=tuple(answer.probabilities.values()))
        for text, answer in zip(
            GOLDEN_SENTENCES, classifier.classify(GOLDEN_SENTENCES), strict=True
        )
        if isinstance(answer, Prediction)
    )
