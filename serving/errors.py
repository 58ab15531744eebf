"""How a command fails: one error, or every problem found in a file that a person wrote."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from serving.terminal import shown

SHOWN = 3


class RasdError(Exception):
    """Something failed that is not the caller's doing. Exit code 1.

    `str(error)` is its lines, of which nothing can steer a terminal or begin another line.
    """

    exit_code = 1

    def __init__(self, *lines: str) -> None:
        """Take what failed and, where there is one, the remedy: one line each."""
        super().__init__("\n".join(map(shown, lines)))


class InputError(RasdError):
    """Wrong usage or bad input: nothing was written. Exit code 2.

    `problem` names file, line and value; `remedy` says what would be right. Together they are
    the two lines that a person sees.
    """

    exit_code = 2

    def __init__(self, problem: str, remedy: str, *others: str) -> None:
        """Keep both; `others` are further problems, which are shown before the remedy."""
        super().__init__(problem, *others, remedy)
        self.problem = problem
        self.remedy = remedy
        self._others = others

    def __reduce__(self) -> tuple[type["InputError"], tuple[str, ...]]:
        """Let the error cross to another process with all its lines."""
        return type(self), (self.problem, self.remedy, *self._others)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to fix: where it is, what is wrong and what would be right.

    A `warning` is reported but does not stop the work. A problem of one record also has the
    `line` where the record begins, counted from 1, and its `raw` text. After a problem of the
    `whole_file` nothing more can be read from that file.
    """

    where: str
    what: str
    remedy: str
    warning: bool = False
    line: int | None = None
    raw: str = ""
    whole_file: bool = False

    def __str__(self) -> str:
        """Return the place and the problem, without the remedy."""
        return f"{self.where}: {self.what}"


def refusal(problems: Sequence[Problem]) -> InputError:
    """Return the error for one or more problems: two lines for one, a short list for several."""
    if len(problems) == 1:
        return InputError(str(problems[0]), problems[0].remedy)
    lines = [f"{problem}. {problem.remedy}" for problem in problems[:SHOWN]]
    if len(problems) > SHOWN:
        lines.append(f"and {len(problems) - SHOWN:,} more")
    remedy = f"Fix these {len(problems):,} problems and run again."
    return InputError(lines[0], remedy, *lines[1:])


def missing_extra(what: str, library: str, extra: str) -> InputError:
    """Return the error for a library that is not installed, naming the extra that has it."""
    return InputError(
        f"{what} needs {library}, which is not installed",
        f"Install it with: pip install 'rasd[{extra}]'",
    )


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return " Did you mean …?" with the choice nearest to `word`, or nothing if none is near."""
    lowered = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(word.strip().lower(), lowered, n=1)
    return f" Did you mean {lowered[near[0]]}?" if near else ""
