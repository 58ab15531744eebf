"""Documents to records: the public interface, its examples, and what is common to every door."""

import doctest

import pytest

import serving
from serving import Classifier, classify_documents
from serving.labelling import label, tasks, whole
from serving.records import Document
from serving.text.sentences import split_sentences

ARTICLE = "نفت الوزارة وقوع الهجوم. وأدان الوزير الهجوم.\n***"


@pytest.fixture(scope="module")
def classifier():
    return Classifier.load("fast", threads=1)


def test_the_examples_of_the_public_interface_run():
    result = doctest.testmod(serving)
    assert (result.failed, result.attempted) == (0, 8)


def test_a_name_that_is_not_public_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Clasifier'"):
        serving.Clasifier  # noqa: B018


def test_documents_have_ids_and_strings_their_position(classifier):
    documents = [ARTICLE, "", Document("a", "نفى."), "نفى."]
    records = list(classify_documents(documents, classifier))
    assert [(r.doc_id, r.sentence) for r in records][-2:] == [("a", 0), ("3", 0)]
    assert {r.doc_id for r in records} == {"0", "a", "3"}
    assert all(ARTICLE[r.start : r.end] == r.text for r in records if r.doc_id == "0")
    (one,) = classify_documents([ARTICLE], classifier, split=whole)
    assert (one.text, one.start, one.end) == (ARTICLE, 0, len(ARTICLE))


def test_one_string_is_refused_instead_of_labelling_its_letters(classifier):
    with pytest.raises(TypeError, match="one string"):
        next(classify_documents(ARTICLE, classifier))


def test_chunks_of_any_size_give_the_same_records_and_read_no_further(classifier):
    taken = []

    def documents():
        for number in range(6):
            taken.append(number)
            yield Document(str(number), "نفى الوزير ذلك.")

    chunks = label(tasks(documents(), split_sentences), classifier, 2)
    first = next(chunks)
    assert taken == [0, 1]
    rest = [record for chunk in chunks for record in chunk]
    together = next(label(tasks(documents(), split_sentences), classifier, 100))
    assert first + rest == together


def test_a_document_without_full_stops_has_records_that_read_every_word(classifier):
    document = " ".join(["قصف الجيش أطراف البلدة فجرا وقال شهود إن ثلاثة قتلوا"] * 40)
    records = list(classify_documents([document], classifier))
    assert " ".join(record.text for record in records).split() == document.split()
    assert all(record.text == document[record.start : record.end] for record in records)
    assert not any(record.truncated for record in records)
    (one,) = classify_documents([document], classifier, split=whole)
    assert one.truncated
    assert not one.certain
