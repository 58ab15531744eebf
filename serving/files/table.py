"""The writer of the table that people read on a terminal: one row per sentence, Arabic in place."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import BinaryIO

from rich.console import Console, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

from serving.labels import LabelScheme
from serving.records import Record
from serving.terminal import UNSAFE, counted

PIPED_WIDTH = 100
ID_WIDTH = 20
COLUMN_GAP = 2

# Text inside an isolate cannot reorder the text around it.
LEFT_TO_RIGHT, RIGHT_TO_LEFT, FIRST_STRONG, END_OF_ISOLATE = "\u2066\u2067\u2068\u2069"
_ARABIC = re.compile("[\u0600-\u08ff\ufb50-\ufefc]")


class TableWriter:
    """A table in UTF-8, written as the records come, and a line of counts when it is closed.

    With `by_document` every document begins with its id and its sentences are numbered from 1;
    otherwise each record is a document of its own and its row shows its id. On a `terminal` labels
    are coloured (unless NO_COLOR is set) and lines are as wide as it is; otherwise they are
    PIPED_WIDTH cells wide.
    """

    def __init__(
        self, stream: BinaryIO, scheme: LabelScheme, *, by_document: bool, terminal: bool
    ) -> None:
        """Take the stream to write to and the labels with their colours."""
        self._stream = stream
        self._by_document = by_document
        self._layout = _Layout(scheme, by_document=by_document, terminal=terminal)
        self._labels: Counter[str | None] = Counter()
        self._uncertain = 0

    def write(self, records: Iterable[Record]) -> None:
        """Write the rows of records, and a heading where a document begins."""
        for record in records:
            first = not self._labels
            if first or (self._by_document and record.sentence == 0):
                self._stream.write(self._layout.heading(record.doc_id, first=first))
            self._stream.write(self._layout.row(record))
            self._labels[record.label] += 1
            self._uncertain += record.label is not None and not record.certain

    def close(self) -> None:
        """Write how many sentences there were of each label; nothing if there were none."""
        if self._labels:
            self._stream.write(self._layout.summary(self._labels, self._uncertain))


def plain(text: str) -> str:
    """Return `text` on one line, without control characters, escape sequences and bidi marks."""
    return UNSAFE.sub("", re.sub(r"\s+", " ", text)).strip()


class _Layout:
    """Columns of fixed width, so that rows can be printed as they come."""

    def __init__(self, scheme: LabelScheme, *, by_document: bool, terminal: bool) -> None:
        width = None if terminal else PIPED_WIDTH
        self._console = Console(force_terminal=terminal, width=width, highlight=False)
        self._by_document = by_document
        self._scheme = scheme
        self._styles = {label.name: Style(color=label.colour, bold=True) for label in scheme.labels}
        self._widths = (4 if by_document else ID_WIDTH, max(map(len, scheme.names)), 5)
        taken = sum(self._widths) + COLUMN_GAP * len(self._widths)
        self._text_width = max(20, self._console.width - taken)

    def heading(self, document: str, *, first: bool) -> bytes:
        """Return the document's id and the names of the columns."""
        parts: list[RenderableType] = [] if first else [""]
        if self._by_document:
            parts.append(Text(_isolated(plain(document), FIRST_STRONG), style="bold"))
        names = ("№" if self._by_document else "id", "label", "prob.", "text")
        parts.append(self._grid([Text(name, style="dim") for name in names]))
        return self._render(*parts)

    def row(self, record: Record) -> bytes:
        """Return the lines of one sentence; a question mark says that the model is not certain."""
        if self._by_document:
            first = Text(str(record.sentence + 1), style="dim")
        else:
            first = Text(_isolated(_end_of(plain(record.doc_id), ID_WIDTH), FIRST_STRONG))
        text = self._wrapped(record.text)
        if record.label is None or record.probability is None:
            return self._render(self._grid([first, Text("refused", style="dim"), Text(), text]))
        name = Text(record.label, style=self._styles[record.label])
        share = Text(_percent(record.probability) + ("" if record.certain else "?"))
        return self._render(self._grid([first, name, share, text]))

    def summary(self, counts: Counter[str | None], uncertain: int) -> bytes:
        """Return how many sentences there were of each label; None counts the refused ones."""
        total = counts.total()
        labels = [
            Text(f"{counts[name]:,} {name}", style=self._styles[name])
            for name in self._scheme.names
            if counts[name]
        ]
        line = Text(f"\n{counted(total, 'sentence')}: ")
        line.append_text(Text(", ").join(labels))
        for count, what in ((uncertain, "uncertain (?)"), (counts[None], "refused")):
            if count:
                line.append(f"; {count:,} {what}")
        return self._render(line)

    def _wrapped(self, text: str) -> Text:
        """Break a text into lines, each in an isolate: terminals order every line separately."""
        arabic = _ARABIC.search(text) is not None
        direction = RIGHT_TO_LEFT if arabic else LEFT_TO_RIGHT
        lines = Text(plain(text)).wrap(self._console, self._text_width)
        return Text(
            "\n".join(_isolated(line.plain.strip(), direction) for line in lines),
            justify="right" if arabic else "left",
        )

    def _grid(self, cells: Sequence[Text]) -> Table:
        grid = Table.grid(padding=(0, COLUMN_GAP, 0, 0))
        number, label, share = self._widths
        grid.add_column(width=number, justify="right")
        grid.add_column(width=label)
        grid.add_column(width=share)
        grid.add_column(width=self._text_width, no_wrap=True)
        grid.add_row(*cells)
        return grid

    def _render(self, *parts: RenderableType) -> bytes:
        with self._console.capture() as captured:
            for part in parts:
                self._console.print(part)
        # rich fills every line up to its width.
        lines = [line.rstrip(" ") for line in captured.get().splitlines()]
        return ("\n".join(lines) + "\n").encode()


def _isolated(text: str, direction: str) -> str:
    return f"{direction}{text}{END_OF_ISOLATE}"


def _end_of(name: str, width: int) -> str:
    """Cut the beginning off a long id: ids of one file differ at their end."""
    return name if len(name) <= width else "…" + name[1 - width :]


def _percent(probability: float) -> str:
    """Return a whole percentage; only a probability of 1 is shown as 100 %."""
    return f"{min(round(probability * 100), 99 if probability < 1 else 100):3}%"
