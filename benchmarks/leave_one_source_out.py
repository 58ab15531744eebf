"""What an outlet costs that the model has never seen: leave one source out.

    python benchmarks/leave_one_source_out.py --train data/authored.jsonl FILE --source NAME NAME

Of the sentences of a source a third is for testing. Two models are tested on them: one learned
from all other sentences, the rest of that source among them, the other from the other sources
alone. Their difference is the cheapest honest estimate of how a model does elsewhere.

The linear model is that of `distill.linear` with C 0.3. With --encoder also three layers of the
included encoder, fine-tuned on every PART-th sentence.
"""

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path

from recipes import COMMON, CONFIG, Recipe, fit
from sklearn.metrics import f1_score
from sklearn.svm import LinearSVC
from transformers import set_seed
from transformers.utils import logging

from serving.labels import LabelScheme
from serving.text.normalize import NORMALIZERS
from training.config import FIXED_SEED, encoder_to_load, load_config
from training.labelled.reading import read_labelled
from training.labelled.sentence import LabelledSentence
from training.model.classifier import SentenceClassifier, load_encoder
from training.train.linear import tf_idf
from training.train.teachers import keep_layers

NORMALIZE = NORMALIZERS["light"].apply
# The encoder learns from one in this many sentences.
PART = 4
C = 0.3


def main() -> None:
    """Train, measure and print a row per source and model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--source", nargs="+", required=True, metavar="NAME")
    parser.add_argument("--encoder", action="store_true", help="also three layers of the encoder")
    options = parser.parse_args()
    scheme = LabelScheme.read(Path(CONFIG).parent / "labels.yaml")
    sentences = read_labelled(options.train, scheme, NORMALIZE, conflicts="first").sentences
    logging.disable_progress_bar()

    models = {"linear": by_linear} | ({"3 layers": by_encoder} if options.encoder else {})
    print("| source | sentences | model | source seen | source left out | difference |")
    print("| --- | ---: | --- | ---: | ---: | ---: |")
    for source in options.source:
        test = [s for s in sentences if s.source == source and number(s) % 3 == 0]
        if not test:
            parser.error(f"no sentence of the source {source}")
        tested = {id(s) for s in test}
        seen = [s for s in sentences if id(s) not in tested]
        unseen = [s for s in sentences if s.source != source]
        truth = [s.label for s in test]
        for name, answer in models.items():
            with_source, without = (
                f1_score(truth, answer(side, test, scheme.names), average="macro")
                for side in (seen, unseen)
            )
            cells = f"{with_source:.3f} | {without:.3f} | {without - with_source:+.3f}"
            print(f"| {source} | {len(test):,} | {name} | {cells} |", flush=True)


def number(sentence: LabelledSentence) -> int:
    """Return a number that depends on the text alone."""
    return int(hashlib.sha256(sentence.text.encode()).hexdigest(), 16)


def by_linear(
    train: Sequence[LabelledSentence], test: Sequence[LabelledSentence], names: Sequence[str]
) -> Sequence[str]:
    """Return the labels of `test` by a linear model of `train`."""
    features = tf_idf()
    vectors = features.fit_transform([NORMALIZE(s.text) for s in train])
    svm = LinearSVC(C=C, class_weight="balanced", random_state=0)
    svm.fit(vectors, [names.index(s.label) for s in train])
    found = svm.predict(features.transform([NORMALIZE(s.text) for s in test]))
    return [names[label] for label in found]


def by_encoder(
    train: Sequence[LabelledSentence], test: Sequence[LabelledSentence], names: Sequence[str]
) -> Sequence[str]:
    """Return the labels of `test` by three layers of the included encoder, trained on `train`."""
    config = load_config(CONFIG, COMMON)
    encoder = load_encoder(encoder_to_load(config.encoder), dropout=config.model.encoder_dropout)
    keep_layers(encoder, config.distill.layers)
    set_seed(FIXED_SEED)
    model = SentenceClassifier(encoder, labels=len(names), dropout=config.model.dropout)
    drawn = [s for s in train if number(s) // 3 % PART == 0]
    trainer, _ = fit(model, drawn, test, config, recipe=Recipe())
    logits = trainer.predict(trainer.eval_dataset).predictions
    return [names[label] for label in logits.argmax(axis=1)]


if __name__ == "__main__":
    main()
