"""`rasd models`: the registry on the command line."""

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from serving.arguments import positive
from serving.terminal import counted, shown, tell

if TYPE_CHECKING:
    from serving.registry.store import Registry

DESCRIPTION = """\
Keep the versions of a model, and choose which one is served.

A registry is a folder: versions/NAME/ holds a bundle, `current` names one of them, and log.jsonl
says who changed what, when and why. `rasd serve --registry DIR` follows `current`."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `models` and its actions."""
    actions = subparsers.add_parser(
        "models",
        help="the versions of a model: add, promote, roll back, verify",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(
        names: str,
        run: "Callable[[argparse.Namespace, Registry], int]",
        *,
        help: str,  # noqa: A002 - argparse's own word
        description: str,
    ) -> argparse.ArgumentParser:
        name, *aliases = names.split()
        parser = actions.add_parser(name, aliases=aliases, help=help, description=description)
        parser.add_argument(
            "--registry",
            type=Path,
            default=Path("registry"),
            metavar="DIR",
            help="the registry's folder (default: registry)",
        )
        parser.set_defaults(run=lambda options: run(options, _registry(options.registry)))
        return parser

    action("list", _list, help="every version", description="List the versions, oldest first.")
    show = action("show", _show, help="one version", description="Show a version and its history.")
    show.add_argument("name", nargs="?", metavar="NAME", help="default: the current version")
    add = action(
        "add import",
        _add,
        help="copy a bundle in (also: a Hugging Face repository's folder)",
        description="Verify a bundle, try it, and copy it in as a new version, which is not yet "
        "current. A clone or a download of a Hugging Face repository that holds a bundle is one.",
    )
    add.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle's folder")
    add.add_argument("--name", metavar="NAME", help="the version's name (default: MODEL-VERSION)")
    add.add_argument(
        "--record", type=Path, metavar="DIR", help="a folder that says how it was trained"
    )
    export = action(
        "export",
        _export,
        help="copy a version out, as a Hugging Face repository's folder",
        description="Copy a version's bundle to a folder, with its card as README.md.",
    )
    export.add_argument("name", metavar="NAME")
    export.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    promote = action(
        "promote",
        _promote,
        help="make a version current",
        description="Try a version, then make it current. Running services follow.",
    )
    promote.add_argument("name", metavar="NAME")
    rollback = action(
        "rollback",
        _rollback,
        help="make the version current that was before",
        description="Make the version current that was before the current one.",
    )
    action(
        "verify",
        _verify,
        help="check every file of every version",
        description="Check every file of every version, `current` and the log. Exit code 2 when "
        "anything is wrong.",
    )
    prune = action(
        "prune",
        _prune,
        help="remove old versions",
        description="Remove all but the newest versions. The current one and the one that a "
        "rollback returns to stay.",
    )
    prune.add_argument(
        "--keep", type=positive, default=5, metavar="N", help="how many to keep (default: 5)"
    )
    for parser in (add, promote, rollback, prune):
        parser.add_argument("--reason", type=_line, metavar="TEXT", help="why, for the log")


def _registry(folder: Path) -> "Registry":
    from serving.registry.store import Registry
    from serving.trial import try_bundle

    return Registry(folder, check=try_bundle)


def _list(_: argparse.Namespace, registry: "Registry") -> int:
    rows = [("", "version", "model", "macro-F1", "added")]
    for version in registry.versions():
        manifest = version.manifest
        figure = manifest.metrics.get("macro_f1") if manifest else None
        rows.append(
            (
                "*" if version.current else "",
                version.name,
                manifest.model if manifest else "unreadable",
                f"{figure:.3f}" if isinstance(figure, float) else "",
                (version.added or "")[:16].replace("T", " "),
            )
        )
    _print_table(rows)
    return 0


def _show(options: argparse.Namespace, registry: "Registry") -> int:
    from serving.errors import InputError
    from serving.registry.pointer import current_folder

    name = options.name or current_folder(registry.folder).name
    registry.version_folder(name)
    version = next(version for version in registry.versions() if version.name == name)
    if version.manifest is None:
        raise InputError(version.problem or "", "Remove the version, or copy its files again.")
    figures = {
        key: f"{value:.3f}"
        for key in ("macro_f1", "accuracy", "ece")
        if isinstance(value := version.manifest.metrics.get(key), float)
    }
    facts = {
        "version": name,
        "current": "yes" if version.current else "no",
        "model": version.manifest.model,
        "folder": str(version.folder),
        "labels": ", ".join(version.manifest.scheme.names),
        **figures,
    }
    _print_table([(f"{key}:", value) for key, value in facts.items()])
    for entry in registry.entries():
        if name in (entry.version, entry.previous):
            about = f"{entry.previous} -> {entry.version}" if entry.previous else entry.version
            by = f" by {entry.by}" if entry.by else ""
            why = f": {entry.reason}" if entry.reason else ""
            _print(f"{entry.time[:19]} {entry.action} {about}{by}{why}")
    return 0


def _add(options: argparse.Namespace, registry: "Registry") -> int:
    name = registry.add(
        options.bundle, name=options.name, record=options.record, reason=options.reason
    )
    _print(f"{name} is added; `rasd models promote {name}` makes it current.")
    return 0


def _export(options: argparse.Namespace, registry: "Registry") -> int:
    registry.export(options.name, options.out)
    _print(f"{options.name} is in {options.out}.")
    return 0


def _promote(options: argparse.Namespace, registry: "Registry") -> int:
    previous = registry.promote(options.name, reason=options.reason)
    if previous == options.name:
        _print(f"{options.name} is current already.")
    else:
        _print(f"{options.name} is current" + (f"; before: {previous}." if previous else "."))
    return 0


def _rollback(options: argparse.Namespace, registry: "Registry") -> int:
    name, replaced = registry.rollback(reason=options.reason)
    _print(f"{name} is current again; before: {replaced}.")
    return 0


def _verify(_: argparse.Namespace, registry: "Registry") -> int:
    from serving.errors import refusal

    problems = registry.verify()
    for problem in problems:
        if problem.warning:
            tell(f"warning: {problem}. {problem.remedy}")
    errors = [problem for problem in problems if not problem.warning]
    if errors:
        raise refusal(errors)
    versions = registry.versions()
    current = next((version.name for version in versions if version.current), "none")
    whole = f"{counted(len(versions), 'version')} {'is' if len(versions) == 1 else 'are'} whole"
    _print(f"{whole}; current: {current}.")
    return 0


def _prune(options: argparse.Namespace, registry: "Registry") -> int:
    removed = registry.prune(keep=options.keep, reason=options.reason)
    _print(f"removed: {', '.join(removed)}" if removed else "nothing to remove")
    return 0


def _print_table(rows: Iterable[tuple[str, ...]]) -> None:
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        _print("  ".join(cells).rstrip())


def _print(line: str) -> None:
    sys.stdout.write(f"{shown(line)}\n")


def _line(text: str) -> str:
    if not text.isprintable() or len(text) > 1000:
        raise argparse.ArgumentTypeError("must be one line of up to 1,000 characters")
    return text
