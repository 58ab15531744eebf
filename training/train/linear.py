"""A linear model on TF-IDF: the baseline of every figure, and a teacher that errs differently."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from sklearn.pipeline import FeatureUnion
from sklearn.svm import LinearSVC

from serving.classifier import softmax
from serving.errors import InputError
from training.evaluate.calibration import fit_temperature
from training.labelled.reading import LabelledSentence, Normalize

CS = (0.1, 0.3, 1.0)
_FOLDS = 3


@dataclass(frozen=True, slots=True)
class LinearModel:
    """TF-IDF of characters (2 to 5, within words) and words (1 to 2), one linear SVM a label.

    `macro_f1` has what each C is worth in cross-validation on the training sentences; `svm` has
    the best of them. `temperature` turns distances from its planes into probabilities.
    """

    features: FeatureUnion
    svm: LinearSVC
    normalize: Normalize
    temperature: float
    macro_f1: dict[float, float]

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return probabilities (n, labels) of n sentences."""
        vectors = self.features.transform([self.normalize(text) for text in texts])
        distances = _by_label(self.svm.decision_function(vectors))
        return softmax(distances.astype(np.float32), self.temperature)


def check_learnable(sentences: Sequence[LabelledSentence]) -> None:
    """Raise InputError when a label has too few sentences for cross-validation."""
    for label, count in Counter(sentence.label for sentence in sentences).items():
        if count < _FOLDS:
            raise InputError(
                f"distill.linear: {count} sentences of {label} to learn from",
                f"It takes {_FOLDS} of each label: add some, or set distill.linear to false.",
            )


def fit_linear(
    sentences: Sequence[LabelledSentence], names: Sequence[str], normalize: Normalize
) -> LinearModel:
    """Fit a model of the labels `names` on sentences that `check_learnable` lets pass.

    C and the temperature are found by cross-validation: on what it has learned, an SVM is far
    surer than it has reason to be.
    """
    features = FeatureUnion(
        [
            ("characters", _tfidf(analyzer="char_wb", ngram_range=(2, 5))),
            ("words", _tfidf(analyzer="word", ngram_range=(1, 2), token_pattern=r"\w+")),
        ]
    )
    vectors = features.fit_transform([normalize(sentence.text) for sentence in sentences])
    labels = np.array([names.index(sentence.label) for sentence in sentences])
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    search = GridSearchCV(
        LinearSVC(class_weight="balanced", random_state=0), {"C": CS}, scoring="f1_macro", cv=folds
    )
    search.fit(vectors, labels)
    unseen = cross_val_predict(
        search.best_estimator_, vectors, labels, cv=folds, method="decision_function"
    )
    return LinearModel(
        features,
        search.best_estimator_,
        normalize,
        fit_temperature(_by_label(unseen), labels),
        dict(zip(CS, search.cv_results_["mean_test_score"], strict=True)),
    )


def _by_label(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return distances (n, labels); of two labels scikit-learn gives the second's (n,) alone."""
    return distances if distances.ndim == 2 else np.stack([-distances, distances], axis=1)


def _tfidf(**options: object) -> TfidfVectorizer:
    return TfidfVectorizer(min_df=2, sublinear_tf=True, **options)
