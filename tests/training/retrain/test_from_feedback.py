"""The corrections of a service's database, read as labels."""

import pytest
from labelled_files import read

from serving.errors import InputError
from serving.feedback import NewCorrection, open_store
from training.retrain.feedback import write_feedback

TEXT = "نفت كتائب السدرة صلتها بتفجير الجسر."


def test_corrections_become_labels_and_annotators_who_disagree_are_seen(tmp_path):
    database = f"sqlite:///{tmp_path / 'feedback.db'}"
    store = open_store(database)
    for annotator, label in (("salma", "denial"), ("karim", "denial"), ("huda", "claim")):
        store.add(NewCorrection(TEXT, label, "other", "default@0", annotator=annotator))
    store.close()
    data = read(write_feedback(database, tmp_path / "labels.jsonl"), conflicts="majority")
    assert [(s.text, s.label, s.source) for s in data.sentences] == [(TEXT, "denial", "feedback")]
    assert any("3 annotators labelled 1 sentences in common" in w for w in data.warnings)


def test_a_database_that_is_not_there_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(InputError, match="holds no corrections"):
        write_feedback(f"sqlite:///{tmp_path / 'none.db'}", tmp_path / "labels.jsonl")
    assert not list(tmp_path.iterdir())
