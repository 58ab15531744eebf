"""The steps of `rasd trim`: read the text, remove tokens or learn new ones, check the result."""

import sys
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch
from transformers.utils import logging

from serving.atomic import atomic_folder, check_place
from serving.errors import InputError, RasdError
from serving.files.documents import DocumentStream
from serving.files.fields import ReadOptions
from serving.files.sources import Source, find_sources
from serving.progress import SentenceProgress
from serving.terminal import tell_notes
from serving.text.normalize import NORMALIZERS
from training.model.classifier import load_encoder, longest_input
from training.trim.card import grown_card, trimmed_card, write_card
from training.trim.encoder_files import EncoderFiles, load_encoder_files
from training.trim.grow import learn_tokens
from training.trim.vocabulary import Vocabulary

_BATCH = 512  # lines tokenised together
_SAMPLE = 64  # lines compared in both encoders
_SAMPLE_TOKENS = 128
# The same products are usually equal to the last bit, but that is not guaranteed.
_NOISE = 1e-5


def trim(
    encoder: str, files: Sequence[str], out: Path, *, normalizer: str, text_field: str | None
) -> None:
    """Write `encoder` (a folder or hub id) to `out` without the tokens that `files` do not use.

    Every line or record is one text, normalised by `normalizer` as in training. Raises RasdError,
    and writes nothing, unless all have the same tokens as before and a sample the same outputs.
    Raises InputError for bad input.
    """
    check_place(out)
    text = _Text(find_sources(files), normalizer, text_field)
    logging.disable_progress_bar()
    original = load_encoder_files(encoder)
    essential = original.essential()
    _say("reading the text")
    usage = text.usage(original.vocabulary)
    tell_notes(usage.notes)
    kept = sorted(essential | usage.pieces)
    with atomic_folder(out) as folder:
        original.save_cut(kept, folder)
        _say("checking every line")
        trimmed = EncoderFiles.read(folder, original.name)
        text.prove(original.vocabulary, trimmed.vocabulary, kept)
        difference = _prove_outputs(original, trimmed, list(usage.sample.values()))
        report = _report(original, trimmed, usage, difference)
        write_card(folder, original, trimmed_card(original, usage.lines, normalizer), report)
    sys.stdout.write(f"{report}\n{out}\n")


def grow(
    encoder: str,
    files: Sequence[str],
    out: Path,
    *,
    size: int,
    normalizer: str,
    text_field: str | None,
) -> None:
    """Write `encoder` (a folder or hub id) to `out` with `size` tokens learned from `files`.

    The report says how many tokens a text has before and after, and how similar the vectors of
    sample texts still are. Raises InputError for bad input, with nothing written.
    """
    check_place(out)
    text = _Text(find_sources(files), normalizer, text_field)
    logging.disable_progress_bar()
    original = load_encoder_files(encoder)
    essential = original.essential()
    _say("learning the tokens")
    tokens = learn_tokens(original.vocabulary, essential, text.lines(), size)
    with atomic_folder(out) as folder:
        original.save_new(tokens, folder)
        _say("counting the tokens of every line")
        grown = EncoderFiles.read(folder, original.name)
        before, after = (text.usage(one.vocabulary) for one in (original, grown))
        tell_notes(before.notes)
        similarity = _similarity(original, grown, list(before.sample.values()))
        report = _growth(original, grown, before, after, similarity)
        write_card(folder, original, grown_card(original, before.lines, normalizer), report)
    sys.stdout.write(f"{report}\n{out}\n")


@dataclass(slots=True)
class _Usage:
    """The tokens that a text uses; `sample` has one line for every number of tokens.

    `notes` counts what reading did to the text.
    """

    pieces: set[int] = field(default_factory=set)
    lines: int = 0
    tokens: int = 0
    sample: dict[int, str] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Text:
    """Files that can be read several times, in batches of normalised lines."""

    sources: Sequence[Source]
    normalizer: str
    text_field: str | None

    def __post_init__(self) -> None:
        if any(source.path is None for source in self.sources):
            raise InputError(
                "standard input: can be read only once, but the text is read twice",
                "Write it to a file, which may be .txt.gz or .txt.xz.",
            )

    def usage(self, vocabulary: Vocabulary) -> _Usage:
        """Read all text; raise InputError if there is none."""
        usage = _Usage()
        for _, texts in self._batches(usage.notes):
            pieces, counts = vocabulary.used_by(texts)
            usage.pieces |= pieces
            usage.lines += len(texts)
            usage.tokens += sum(counts)
            for text, count in zip(texts, counts, strict=True):
                usage.sample.setdefault(min(count, _SAMPLE_TOKENS), text)
        if not usage.lines:
            raise InputError(
                f"{', '.join(map(str, self.sources))}: no text",
                "Name files with text of the kind that you will classify.",
            )
        return usage

    def lines(self) -> Iterator[str]:
        """Yield all normalised lines."""
        for _, texts in self._batches(Counter()):
            yield from texts

    def prove(self, before: Vocabulary, after: Vocabulary, kept: Sequence[int]) -> None:
        """Read all text again; raise RasdError at the first line with other tokens than before."""
        if [before.pieces[old] for old in kept] != [after.pieces[new] for new in range(len(kept))]:
            raise RasdError("the order of the remaining tokens changed; nothing was written")
        with closing(self._batches(Counter())) as batches:  # removes the bar before an error
            for names, texts in batches:
                old = before.tokenizer.encode_batch_fast(texts)
                new = after.tokenizer.encode_batch_fast(texts)
                for name, one, other in zip(names, old, new, strict=True):
                    if one.ids != [kept[number] for number in other.ids]:
                        raise RasdError(
                            f"{name}: the trimmed tokenizer splits this line differently "
                            f"({' '.join(one.tokens)} became {' '.join(other.tokens)}); "
                            "nothing was written"
                        )

    def _batches(self, notes: Counter[str]) -> Generator[tuple[list[str], list[str]]]:
        """Yield the names and the normalised texts of lines that are not empty.

        At the end `notes` counts what reading did to them.
        """
        normalize = NORMALIZERS[self.normalizer].apply
        documents = DocumentStream(self.sources, ReadOptions("sentence", self.text_field))
        with SentenceProgress(documents.size, visible=sys.stderr.isatty()) as progress:
            stream = iter(documents)
            while chunk := list(islice(stream, _BATCH)):
                lines = [(line.id, text) for line in chunk if (text := normalize(line.text))]
                if lines:
                    yield [name for name, _ in lines], [text for _, text in lines]
                progress.update(len(chunk), documents.position)
        notes.update(documents.notes)


def _prove_outputs(before: EncoderFiles, after: EncoderFiles, texts: Sequence[str]) -> str:
    """Compare the outputs of both encoders on lines of many lengths; return the result in words."""
    texts = _drawn(texts)
    pairs = zip(_outputs(before, texts), _outputs(after, texts), strict=True)
    differences = [(one - other).abs().max() for one, other in pairs]
    difference = float(torch.stack(differences).max())
    if not difference <= _NOISE:
        raise RasdError(
            f"the trimmed encoder's outputs differ by {difference:.2g}; nothing was written"
        )
    equal = f"equal up to rounding ({difference:.1g})" if difference else "exactly equal"
    return f"{len(texts)}, with {equal} outputs"


def _similarity(before: EncoderFiles, after: EncoderFiles, texts: Sequence[str]) -> float:
    """Return the mean cosine similarity of the texts' mean vectors in both encoders."""
    texts = _drawn(texts)
    pairs = zip(_outputs(before, texts), _outputs(after, texts), strict=True)
    cosines = [
        torch.cosine_similarity(one.mean(1), other.mean(1)).float().mean() for one, other in pairs
    ]
    return float(torch.stack(cosines).mean())


def _drawn(texts: Sequence[str]) -> list[str]:
    """Return some texts of many lengths."""
    texts = sorted(texts, key=len)
    step = max(1.0, len(texts) / _SAMPLE)
    return [texts[int(number * step)] for number in range(min(_SAMPLE, len(texts)))]


def _outputs(encoder: EncoderFiles, texts: Sequence[str]) -> list[torch.Tensor]:
    """Return the last hidden states of texts, one at a time, so without padding."""
    model = load_encoder(encoder.folder).eval()
    longest = longest_input(model, _SAMPLE_TOKENS)
    sentences = encoder.tokenizer(texts, truncation=True, max_length=longest)["input_ids"]
    with torch.inference_mode():
        return [model(torch.tensor([ids])).last_hidden_state for ids in sentences]


def _report(before: EncoderFiles, after: EncoderFiles, usage: _Usage, difference: str) -> str:
    lines = _sizes(before, after)
    per_line = usage.tokens / usage.lines
    lines.append(
        f"lines read twice: {usage.lines:,}, with the same tokens ({per_line:.1f} per line)"
    )
    return "\n".join([*lines, f"lines compared in both encoders: {difference}"])


def _growth(
    before: EncoderFiles, after: EncoderFiles, old: _Usage, new: _Usage, similarity: float
) -> str:
    was, now = old.tokens / old.lines, new.tokens / new.lines
    return "\n".join(
        [
            *_sizes(before, after),
            f"{'per line':12}{was:>14.1f}{now:>14.1f}  ({now / was - 1:+.0%})",
            f"mean cosine similarity of the lines' vectors: {similarity:.2f}",
        ]
    )


def _sizes(before: EncoderFiles, after: EncoderFiles) -> list[str]:
    rows = (
        ("tokens", len(before.vocabulary.pieces), len(after.vocabulary.pieces), ",d"),
        ("parameters", before.weights.parameters(), after.weights.parameters(), ",d"),
        ("megabytes", before.megabytes(), after.megabytes(), ",.1f"),
    )
    lines = [f"{'':12}{'before':>14}{'after':>14}"]
    return lines + [f"{name:12}{old:>14{form}}{new:>14{form}}" for name, old, new, form in rows]


def _say(what: str) -> None:
    sys.stderr.write(f"{what}\n")
