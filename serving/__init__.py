"""Classify the sentences of Arabic news with a trained model (a bundle).

Classify sentences. The first answer for a model name or folder loads it:

>>> from serving import Classifier
>>> classifier = Classifier.load("fast")
>>> [answer] = classifier.classify(["نفت الوزارة وقوع الهجوم."])
>>> answer.label, answer.certain
('denial', True)

Split a text. Offsets count Unicode code points, so that `text[start:end]` is the sentence:

>>> from serving import split_sentences
>>> [(s.start, s.end) for s in split_sentences("نفى الوزير ذلك. وقُتل جنديان.")]
[(0, 15), (16, 29)]

Classify documents. Each sentence becomes a record with the fields that `rasd classify` writes:

>>> from serving import classify_documents
>>> for record in classify_documents(["نفت الوزارة وقوع الهجوم. وأدان الوزير الهجوم."], classifier):
...     print(record.doc_id, record.sentence, record.label)
0 0 denial
0 1 official_response
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving.classifier import Classifier
    from serving.labelling import classify_documents
    from serving.text.sentences import split_sentences

__all__ = ["Classifier", "classify_documents", "split_sentences"]

# ONNX Runtime's official builds report their use to Microsoft unless this is set before the import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: `rasd --help` needs no ONNX Runtime."""
    if name == "Classifier":
        from serving.classifier import Classifier

        return Classifier
    if name == "classify_documents":
        from serving.labelling import classify_documents

        return classify_documents
    if name == "split_sentences":
        from serving.text.sentences import split_sentences

        return split_sentences
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
