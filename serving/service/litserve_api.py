"""What a worker does with requests: LitServe's hooks around the classifier."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from litserve import LitAPI

from serving.errors import InputError
from serving.records import Document, Prediction, Refusal, Sentence, sentence_record
from serving.service.messages import Answer, Failed, Ready, Refused, Scored, Statistics, Work
from serving.service.worker_process import WorkerLink, WorkerOptions
from serving.text.sentences import split_sentences

# Sentences between two looks at the clock: a fraction of a second's work.
SLICE = 64


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request whose documents are split into sentences."""

    work: Work
    documents: list[tuple[Document, list[Sentence]]]

    @property
    def number(self) -> int:
        """How many sentences they are."""
        return sum(len(sentences) for _, sentences in self.documents)


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

    def decode_request(self, request: list[Work]) -> list[Prepared]:
        """Split the documents of the requests into sentences."""
        return [_prepared(work) for work in request]

    def predict(self, decoded: list[Prepared]) -> list[Answer]:
        """Score the sentences of all requests together; one answer a request, in their order.

        Not of those that have too many, and none after the last request's deadline.
        """
        limit = self._options.max_sentences
        fit = [prepared for prepared in decoded if prepared.number <= limit]
        texts = [s.text for p in fit for _, sentences in p.documents for s in sentences]
        self._batches.clear()
        started = time.monotonic()
        scored = iter(self._scored(texts, max((p.work.deadline for p in fit), default=0.0)))
        seconds = time.monotonic() - started
        answers: list[Answer] = []
        for prepared in decoded:
            if prepared.number > limit:
                detail = f"{prepared.number:,} sentences; a request may have {limit:,}."
                answers.append(Refused("too_many", detail))
            else:
                own = list(islice(scored, prepared.number))
                answers.append(self._answer(prepared, own, seconds))
        return answers

    def encode_response(self, output: list[Answer]) -> list[Answer]:
        """Pass the answers on: `predict` has encoded them, so that the pipe carries bytes."""
        return output

    def _scored(self, texts: Sequence[str], deadline: float) -> list[Prediction | Refusal]:
        """Return the sentences' answers, of as many as were begun before the deadline."""
        answers: list[Prediction | Refusal] = []
        for begin in range(0, len(texts), SLICE):
            if time.monotonic() > deadline:
                break
            answers += self._classifier.classify(texts[begin : begin + SLICE])
        return answers

    def _answer(
        self, prepared: Prepared, answers: Sequence[Prediction | Refusal], seconds: float
    ) -> Answer:
        if len(answers) < prepared.number:
            detail = f"{len(answers):,} of {prepared.number:,} sentences were in time."
            return Refused("late", detail)
        alone = prepared.work.form == "predict" and prepared.number == 1
        if alone and isinstance(answers[0], Refusal):
            return Refused("unreadable", answers[0].reason)
        body = _encoded(self._body(prepared, answers))
        statistics = _statistics(answers, self._batches, seconds)
        self._batches.clear()  # the first request tells of them all
        return Scored(body, self._classifier.model, statistics)

    def _body(self, prepared: Prepared, answers: Sequence[Prediction | Refusal]) -> Any:
        work = prepared.work
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
            for document, sentences in prepared.documents
        ]
        if work.form == "documents":
            return {"model": model, "documents": groups}
        return {"model": model, "sentences": [group["sentences"][0] for group in groups]}


def _prepared(work: Work) -> Prepared:
    documents = [Document(*pair) for pair in zip(work.ids, work.texts, strict=True)]
    if work.form == "documents":
        return Prepared(work, [(item, split_sentences(item.text)) for item in documents])
    return Prepared(work, [(d, [Sentence(d.text, 0, len(d.text))]) for d in documents])


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
