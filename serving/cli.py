"""The `rasd` command: finds the verbs of every room, runs one, turns errors into exit codes."""

import argparse
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import entry_points, version
from typing import Any, NoReturn

from serving.errors import RasdError, did_you_mean
from serving.terminal import shown


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are two lines, as all errors of `rasd` are."""

    def error(self, message: str) -> NoReturn:
        """End with exit code 2."""
        self.exit(2, f"{self.prog}: {shown(message)}\n`{self.prog} --help` says what it takes.\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Reject a value that is not among the choices, naming the one that may have been meant."""
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            if hint := did_you_mean(str(value), map(str, action.choices or ())):
                error.message += f".{hint}"
            raise

    def parse_known_args(self, *given: Any, **named: Any) -> Any:
        """Reject unknown arguments here, where the options that may have been meant are known.

        argparse would leave those of a verb to `rasd` itself.
        """
        options, unknown = super().parse_known_args(*given, **named)
        if unknown:
            known = [option for action in self._actions for option in action.option_strings]
            hint = did_you_mean(unknown[0].partition("=")[0], known)
            self.error(f"unknown argument {unknown[0]}.{hint}")
        return options, unknown


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with the verbs of every installed room.

    An entry point of the group `rasd.commands` names a room's module, whose `register(subparsers)`
    adds its verbs. The module must import nothing heavy.
    """
    parser = _Parser(
        prog="rasd",
        description="Label the sentences of Arabic conflict news: attack report, claim, denial, "
        "official response or other.",
    )
    parser.add_argument("--version", action="version", version=f"rasd {version('rasd')}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for room in sorted(entry_points(group="rasd.commands"), key=lambda entry: entry.name):
        room.load().register(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 bad input."""
    options = build_parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except RasdError as error:
        if options.debug:
            traceback.print_exc()
        sys.stderr.write(f"rasd: {error}\n")
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output (head, less) has ended, which is not an error.
        sys.stderr.close()
        return 0
    except OSError as error:
        if options.debug:
            traceback.print_exc()
        place = f"{shown(str(error.filename))}: " if error.filename else ""
        sys.stderr.write(
            f"rasd: {place}{error.strerror or error}\n"
            "Check that it exists, that you may read and write it, and that the disk has room.\n"
        )
        return 1
    except KeyboardInterrupt:
        return 130
