"""A linear model on TF-IDF: a baseline, and a teacher that makes other mistakes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from sklearn.pipeline import FeatureUnion
from sklearn.svm import LinearSVC

from serving.classifier import softmax
from serving.errors import InputError
from serving.terminal import counted
from training.arrays import Float32Array, FloatArray
from training.evaluate.calibration import fit_temperature
from training.labelled.reading import Normalize
from training.labelled.sentence import LabelledSentence

CS = (0.1, 0.3, 1.0)
_FOLDS = 3


@dataclass(frozen=True, slots=True)
class LinearModel:
    """A linear SVM per label on TF-IDF of characters (2 to 5, within words) and words (1 to 2).

    `macro_f1` is the cross-validated macro-F1 of each C; `svm` has the best one. `temperature`
    turns distances from the decision boundaries into probabilities. `unseen` has the probabilities
    of the sentences it was fitted on, by text, each from a fold that did not have the sentence.
    """

    features: FeatureUnion
    svm: LinearSVC
    normalize: Normalize
    temperature: float
    macro_f1: dict[float, float]
    unseen: dict[str, Float32Array]

    def probabilities(self, texts: Sequence[str]) -> Float32Array:
        """Return probabilities (n, labels) of n sentences.

        Of those it was fitted on, the answers from cross-validation: for its training data an SVM
        only repeats the labels.
        """
        vectors = self.features.transform([self.normalize(text) for text in texts])
        distances = _by_label(self.svm.decision_function(vectors))
        answers = softmax(distances.astype(np.float32), self.temperature)
        for row, text in enumerate(texts):
            if text in self.unseen:
                answers[row] = self.unseen[text]
        return answers


def check_learnable(sentences: Sequence[LabelledSentence]) -> None:
    """Raise InputError if a label has too few sentences for cross-validation."""
    for label, count in Counter(sentence.label for sentence in sentences).items():
        if count < _FOLDS:
            raise InputError(
                f"distill.linear: {counted(count, 'sentence')} of {label} to learn from",
                f"It needs {_FOLDS} of each label: add some, or set distill.linear to false.",
            )


def fit_linear(
    sentences: Sequence[LabelledSentence], names: Sequence[str], normalize: Normalize
) -> LinearModel:
    """Fit a model of the labels `names` on sentences that passed `check_learnable`.

    C and the temperature come from cross-validation: on its training data an SVM is overconfident.
    """
    features = tf_idf()
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
    distances = _by_label(unseen)
    temperature = fit_temperature(distances, labels)
    answers = softmax(distances.astype(np.float32), temperature)
    return LinearModel(
        features,
        search.best_estimator_,
        normalize,
        temperature,
        dict(zip(CS, search.cv_results_["mean_test_score"], strict=True)),
        {sentence.text: answer for sentence, answer in zip(sentences, answers, strict=True)},
    )


def tf_idf() -> FeatureUnion:
    """Return the features of the linear model, not fitted yet."""
    return FeatureUnion(
        [
            ("characters", _tfidf(analyzer="char_wb", ngram_range=(2, 5))),
            ("words", _tfidf(analyzer="word", ngram_range=(1, 2), token_pattern=r"\w+")),
        ]
    )


def _by_label(distances: FloatArray) -> FloatArray:
    """Return distances (n, labels); for two labels scikit-learn gives only the second's (n,)."""
    return distances if distances.ndim == 2 else np.stack([-distances, distances], axis=1)


def _tfidf(**options: object) -> TfidfVectorizer:
    return TfidfVectorizer(min_df=2, sublinear_tf=True, **options)
