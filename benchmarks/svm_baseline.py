"""What a linear model makes of the same sentences: the figure that a fine-tuned one must beat.

    python benchmarks/svm_baseline.py --train data/authored.jsonl --dev FILE

TF-IDF of characters (2 to 5, within words) and of words (1 to 2), one linear support vector
machine a label. Its one setting, C, is chosen by cross-validation on the training sentences.
"""

import argparse
import time
from pathlib import Path

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import accuracy_score, classification_report, f1_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import FeatureUnion
from sklearn.svm import LinearSVC

from serving.labels import LabelScheme
from serving.normalize import NORMALIZERS
from training.labelled import LabelledSentence, read_labelled
from training.splits import drop_leaks

SCHEME = LabelScheme.read(Path(__file__).parents[1] / "configs" / "labels.yaml")
NORMALIZE = NORMALIZERS["light"].apply
CS = (0.1, 0.3, 1.0)


def read(paths: list[Path]) -> list[LabelledSentence]:
    """Read labelled files; of a text that stands there twice the first is kept."""
    return read_labelled(paths, SCHEME, NORMALIZE, conflicts="first").sentences


def main() -> None:
    """Train, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--dev", type=Path, required=True, metavar="FILE")
    options = parser.parse_args()

    dev = read([options.dev])
    train, leaks = drop_leaks(read(options.train), dev, NORMALIZE)
    print(f"{len(train):,} training sentences ({leaks} near the {len(dev):,} of dev left out)")

    start = time.perf_counter()
    features = FeatureUnion(
        [
            ("characters", _tfidf(analyzer="char_wb", ngram_range=(2, 5))),
            ("words", _tfidf(analyzer="word", ngram_range=(1, 2), token_pattern=r"\w+")),
        ]
    )
    vectors = features.fit_transform([NORMALIZE(sentence.text) for sentence in train])
    search = GridSearchCV(
        LinearSVC(class_weight="balanced", random_state=0),
        {"C": CS},
        scoring="f1_macro",
        cv=StratifiedKFold(3, shuffle=True, random_state=0),
    )
    search.fit(vectors, [sentence.label for sentence in train])
    took = time.perf_counter() - start
    print(f"{vectors.shape[1]:,} features, {took:.0f} s of training")
    for c, score in zip(CS, search.cv_results_["mean_test_score"], strict=True):
        print(f"C {c}: macro-F1 {score:.3f} in cross-validation")

    truth = [sentence.label for sentence in dev]
    found = search.predict(features.transform([NORMALIZE(sentence.text) for sentence in dev]))
    print(classification_report(truth, found, labels=SCHEME.names, digits=3, zero_division=0))
    macro = f1_score(truth, found, labels=SCHEME.names, average="macro", zero_division=0)
    print(f"macro-F1 {macro:.3f}, accuracy {accuracy_score(truth, found):.3f}")


def _tfidf(**options: object) -> TfidfVectorizer:
    return TfidfVectorizer(min_df=2, sublinear_tf=True, **options)


if __name__ == "__main__":
    main()
