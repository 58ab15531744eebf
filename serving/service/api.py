"""What a worker does with a request: LitServe's hooks around the classifier."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from litserve import LitAPI

from serving.errors import InputError
from serving.records import Document, Prediction, Refusal, Sentence, sentence_record
from serving.sentences import split_sentences
from serving.service.messages import Answer, Failed, Ready, Refused, Scored, Statistics, Work
from serving.service.worker import WorkerLink, WorkerOptions

# Sentences between two looks at the clock: a fraction of a second's work.
SLICE = 64

Prepared = tuple[Document, list[Sentence]]


class LabelAPI(LitAPI):  # type: ignore[misc]
    """The classifier of one bundle behind LitServe's hooks."""

    def __init__(self, options: WorkerOptions, link: WorkerLink | None = None) -> None:
        """Take what to serve and, in a worker, the way to tell how loading went."""
        super().__init__(api_path="/v1/classify")
        self._options = options
        self._link = link

    def setup(self, device: str) -> None:  # noqa: ARG002
        """Load the bundle and score its golden sentences, which warms it; raise what went wrong."""
        # Not at the top: the HTTP process knows this class too, and needs no ONNX Runtime.
        from serving.classifier import Classifier

        self._batches: list[int] = []
        try:
            self._classifier = Classifier.load(self._options.folder, threads=self._options.threads)
        except Exception as error:
            if self._link:
                reason = str(error) if isinstance(error, InputError) else repr(error)
                self._link.report(Failed(reason))
            raise SystemExit(0) from None
        self._classifier.onnx.on_batch = self._batches.append
        if self._link:
            self._link.report(Ready(self._classifier.model))

    def decode_request(self, request: Work) -> tuple[Work, list[Prepared]]:
        """Split the documents of a request into sentences."""
        documents = [Document(*pair) for pair in zip(request.ids, request.texts, strict=True)]
        if request.form == "documents":
            return request, [(item, split_sentences(item.text)) for item in documents]
        return request, [(d, [Sentence(d.text, 0, len(d.text))]) for d in documents]

    def predict(self, decoded: tuple[Work, list[Prepared]]) -> Answer:
        """Score the sentences, unless there are too many or the request's time is up."""
        work, prepared = decoded
        texts = [sentence.text for _, sentences in prepared for sentence in sentences]
        if len(texts) > self._options.max_sentences:
            limit = self._options.max_sentences
            return Refused("too_many", f"{len(texts):,} sentences; a request may have {limit:,}.")
        self._batches.clear()
        started = time.monotonic()
        answers: list[Prediction | Refusal] = []
        for begin in range(0, len(texts), SLICE):
            if time.monotonic() > work.deadline:
                return Refused("late", f"{begin:,} of {len(texts):,} sentences were in time.")
            answers += self._classifier.classify(texts[begin : begin + SLICE])
        if work.form == "predict" and len(answers) == 1 and isinstance(answers[0], Refusal):
            return Refused("unreadable", answers[0].reason)
        return Scored(
            _encoded(self._body(work, prepared, answers)),
            self._classifier.model,
            _statistics(answers, self._batches, time.monotonic() - started),
        )

    def encode_response(self, output: Answer) -> Answer:
        """Pass the answer on: `predict` has encoded it, so that the pipe carries bytes."""
        return output

    def _body(
        self, work: Work, prepared: list[Prepared], answers: Sequence[Prediction | Refusal]
    ) -> Any:
        if work.form == "predict":
            return [_ranked(answer, work.top_k) for answer in answers]
        model = self._classifier.model
        remaining = iter(answers)
        groups = [
            {
                "id": document.id,
                "sentences": [
                    sentence_record(document, number, sentence, next(remaining), model=model)
                    for number, sentence in enumerate(sentences)
                ],
            }
            for document, sentences in prepared
        ]
        if work.form == "documents":
            return {"model": model, "documents": groups}
        return {"model": model, "sentences": [group["sentences"][0] for group in groups]}


def _ranked(answer: Prediction | Refusal, top_k: int | None) -> Any:
    """Return Hugging Face's form of one answer: labels and scores, the best first."""
    if isinstance(answer, Refusal):
        return {"error": answer.reason}
    pairs = sorted(answer.probabilities.items(), key=lambda pair: -pair[1])
    return [{"label": label, "score": score} for label, score in pairs[:top_k]]


def _encoded(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _statistics(
    answers: Sequence[Prediction | Refusal], batches: Sequence[int], seconds: float
) -> Statistics:
    scored = [answer for answer in answers if isinstance(answer, Prediction)]
    return Statistics(
        sentences=len(answers),
        refused=len(answers) - len(scored),
        uncertain=sum(not answer.certain for answer in scored),
        confidence=sum(answer.probability for answer in scored),
        labels=dict(Counter(answer.label for answer in scored)),
        batch_tokens=tuple(batches),
        seconds=seconds,
    )
