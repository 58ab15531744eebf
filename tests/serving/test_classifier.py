"""The classifier on the model that ships: order, batches, refusals, long and odd input."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving import classifier as module
from serving.classifier import Classifier
from serving.onnx_model import micro_batches
from serving.records import Prediction, Refusal
from serving.text.sentences import split_sentences


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load(threads=2)


def test_answers_stand_in_the_order_of_the_sentences(classifier, authored):
    texts = [row["text"] for row in authored[:60]]
    expected = dict(zip(texts, classifier.classify(texts), strict=True))
    random.Random(1).shuffle(texts)
    assert classifier.classify(texts) == [expected[text] for text in texts]


def test_a_sentence_has_one_score_alone_in_any_company_and_on_any_threads(classifier, authored):
    texts = [row["text"] for row in authored[60:160]]
    together = classifier.classify(texts)
    single = Classifier.load(threads=1)
    assert [single.classify([text])[0] for text in texts] == together


def test_probabilities_sum_to_one_and_the_label_is_the_best(classifier, authored):
    names = classifier.bundle.scheme.names
    for answer in classifier.classify([row["text"] for row in authored[:50]]):
        assert isinstance(answer, Prediction)
        assert tuple(answer.probabilities) == names
        assert sum(answer.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert answer.probability == max(answer.probabilities.values())
        assert answer.probabilities[answer.label] == answer.probability
        assert answer.certain == (answer.probability >= classifier.bundle.manifest.threshold)


@pytest.mark.parametrize(
    "text", ["", "   ", "\u200f\u200e", "ـــ", "*** !!!", "🚨🚨", "\n\t", "«»"]
)
def test_a_text_without_letters_is_refused_and_its_neighbours_are_answered(classifier, text):
    sentence = "تبنت الجماعة الهجوم على الثكنة."
    first, refused, last = classifier.classify([sentence, text, sentence])
    assert isinstance(refused, Refusal)
    assert first == last == classifier.classify([sentence])[0]


def test_no_sentences_give_no_answers(classifier):
    assert classifier.classify([]) == []


def test_one_string_is_not_taken_for_its_letters(classifier):
    with pytest.raises(TypeError, match="list of sentences"):
        classifier.classify("نفت الجماعة مسؤوليتها.")


def test_a_model_that_ships_is_loaded_by_its_name():
    assert Classifier.load("fast", threads=1).model.startswith("fast@")


def test_a_sentence_that_is_too_long_is_cut_and_says_so(classifier):
    sentence = "وقصفت الطائرات مواقع عدة في المحافظة "
    short, long, longer = classifier.classify([sentence, sentence * 60, sentence * 3000])
    assert isinstance(short, Prediction)
    assert isinstance(long, Prediction)
    assert isinstance(longer, Prediction)
    assert not short.truncated
    assert long.truncated
    assert longer.truncated
    assert long.probabilities == longer.probabilities


def test_what_was_not_read_whole_is_never_certain(classifier):
    sentence = "وقصفت الطائرات مواقع عدة في المحافظة وقتل خمسة مدنيين. "
    whole, cut = classifier.classify([sentence, sentence * 60])
    assert isinstance(whole, Prediction)
    assert isinstance(cut, Prediction)
    assert whole.certain
    assert cut.probability >= classifier.bundle.manifest.threshold
    assert not cut.certain


def test_a_document_without_full_stops_is_split_so_that_every_word_is_read(classifier, authored):
    words = " ".join(row["text"] for row in authored[:80]).split()
    document = " ".join(word.strip('.؟!،؛:«»"()') for word in words)
    sentences = list(classifier.split(document))
    answers = classifier.classify([sentence.text for sentence in sentences])
    assert not any(isinstance(answer, Prediction) and answer.truncated for answer in answers)
    assert " ".join(sentence.text for sentence in sentences).split() == document.split()


@pytest.mark.parametrize("kept", [0, 3, 4096])
def test_counting_before_scoring_changes_no_score(authored, monkeypatch, kept):
    texts = [*(row["text"] for row in authored[:12]), "…", "نفت " * 300, "ا" * 5000, "", "نعم"]
    plain = Classifier.load("fast").classify(texts)
    monkeypatch.setattr(module, "KEPT", kept)
    counted = Classifier.load("fast")
    sizes = counted.count_tokens(texts)
    assert counted.classify(texts) == plain
    assert counted.count_tokens(texts) == sizes
    fits = [size <= counted.room for size in sizes]
    assert fits == [isinstance(a, Refusal) or not a.truncated for a in plain]


def test_sentences_that_fit_are_those_of_the_splitter(classifier, authored):
    document = " ".join(row["text"] for row in authored[:80])
    assert list(classifier.split(document)) == split_sentences(document)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=80), max_size=6))
def test_any_text_is_answered(classifier, texts):
    answers = classifier.classify(texts)
    assert len(answers) == len(texts)
    assert all(isinstance(answer, Prediction | Refusal) for answer in answers)


@given(st.lists(st.integers(1, 600), max_size=200), st.integers(16, 1024))
def test_micro_batches_hold_every_sentence_once_within_the_budget(lengths, budget):
    batches = list(micro_batches(lengths, budget))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget
