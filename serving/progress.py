"""A progress bar on the terminal for runs that take longer than two seconds."""

from threading import Timer
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE = 2.0  # seconds before there is a bar
# Seconds over which the speed is measured: a slow machine needs many for one chunk of sentences.
WINDOW = 300.0


class SentenceProgress:
    """Counts sentences; shows them on stderr after two seconds.

    The bar and the remaining time follow the bytes of the input if their total is known.
    """

    def __init__(self, total_bytes: int | None, *, visible: bool) -> None:
        """Take the input's size in bytes, if known, and whether to show a bar."""
        self.sentences = 0
        self._bytes = 0.0
        self._total = total_bytes
        self._bar: Progress | None = None
        # A timer, because the first update may come long after two seconds.
        self._timer = Timer(PATIENCE, self._show) if visible else None

    def __enter__(self) -> "SentenceProgress":
        """Start the clock."""
        if self._timer:
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove the bar."""
        if self._timer:
            self._timer.cancel()
            self._timer.join()
        if self._bar:
            self._bar.stop()

    def update(self, sentences: int, position: float) -> None:
        """Count `sentences` more; `position` is the number of input bytes done in total."""
        self.sentences += sentences
        self._bytes = position
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=self._bytes, sentences=self.sentences)

    def _show(self) -> None:
        # Imported here because short runs do not need it.
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        bar = Progress(
            TextColumn("{task.fields[sentences]:,} sentences"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            speed_estimate_period=WINDOW,
            refresh_per_second=2,  # drawing takes time from the model
        )
        bar.add_task("", total=self._total, completed=int(self._bytes), sentences=self.sentences)
        bar.start()
        self._bar = bar
