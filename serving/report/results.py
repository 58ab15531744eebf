"""Records that `rasd classify` wrote, read back from any of its formats."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from serving.errors import InputError, Problem, refusal
from serving.files.row import Wanted
from serving.files.rows import read_rows
from serving.files.sources import Source, find_sources

# Characters of a sentence that the page shows; memory must not depend on one endless sentence.
SHOWN = 600
_REMEDY = "Give a file or folder that `rasd classify -o` wrote."
# Of dates that are believed.
_FIRST_YEAR, _LAST_YEAR = 1900, 2100
# What Hive calls the folder of records without a value.
_NULL = "__HIVE_DEFAULT_PARTITION__"
_DAY = re.compile(r"\s*(\d{4})[-/]?(\d{2})[-/]?(\d{2})(?!\d)")


def _filled(value: Any) -> Any:
    """An empty cell of a table is what null is in JSON."""
    return None if value == "" else value


def _shortened(value: Any) -> Any:
    return value[:SHOWN] + "…" if isinstance(value, str) and len(value) > SHOWN else value


def _identifier(value: Any) -> Any:
    """Return an id as a string; other programs write numbers."""
    return _shortened(str(value) if isinstance(value, int) else value)


def _words(value: Any) -> str | None:
    """Carried fields may hold anything; only what can be read as a name is of use."""
    return " ".join(str(value).split())[:200] or None if isinstance(value, str | int) else None


def _day(value: Any) -> date | None:
    """Return the day of an ISO date or date-time, as written there; None for anything else."""
    if (found := _DAY.match(str(value))) is None:
        return None
    with suppress(ValueError):
        day = date(*map(int, found.groups()))
        # Programs write the year 1 or 1601 for no date, and the years of other calendars.
        return day if _FIRST_YEAR <= day.year <= _LAST_YEAR else None
    return None


def _link(value: Any) -> str | None:
    """Return a web address; nothing that a browser would run."""
    return value if isinstance(value, str) and re.match(r"https?://", value) else None


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="ignore"))
class Result:
    """One labelled sentence. `day`, `outlet` and `url` come from fields that the run carried."""

    text: Annotated[str, BeforeValidator(_shortened)]
    certain: bool
    model: str
    doc_id: Annotated[str, BeforeValidator(_identifier)]
    label: Annotated[str | None, BeforeValidator(_filled)]
    probability: Annotated[float | None, BeforeValidator(_filled)] = Field(ge=0, le=1)
    truncated: bool = False
    day: Annotated[date | None, BeforeValidator(_day), Field(validation_alias="date")] = None
    outlet: Annotated[
        str | None,
        BeforeValidator(_words),
    ] = None
    url: Annotated[str | None, BeforeValidator(_link)] = None


_RESULT = TypeAdapter(Result)
_COLUMNS = [
    Wanted((name,), _REMEDY)
    for name in ("text", "label", "probability", "certain", "doc_id", "model")
]


def find_results(names: Sequence[str]) -> list[Source]:
    """Return the files of records that `names` mean; raise InputError where there are none.

    Of a run's folder these are its finished parts; what was set aside is never among them.
    """
    return [source for name in names for source in _results_of(name)]


def _results_of(name: str) -> list[Source]:
    if name == "-":
        raise InputError("-: results are read from files", _REMEDY)
    sources = [
        source
        for source in find_sources([name])
        if source.path
        and source.kind not in ("text", "html", "warc", "zip", "tar")
        and not (Path(name).is_dir() and _beside(source.path))
    ]
    if not sources:
        raise InputError(f"{name}: holds no records", _REMEDY)
    return sources


def _beside(path: Path) -> bool:
    """Tell what a run writes beside its records: its state, and what was set aside."""
    return path.name == "run.json" or bool(
        re.fullmatch(r"part-[\d-]+\.json|.*\.rejected\.jsonl", path.name)
    )


def read_results(sources: Sequence[Source]) -> Iterator[tuple[Result, float]]:
    """Yield the records in order, and the bytes read so far; raise InputError for another file."""
    before = 0
    for source in sources:
        carried = _in_folders(source)
        try:
            with source.open() as file:
                for row in read_rows(source, file, _COLUMNS):
                    if isinstance(row, Problem):
                        raise refusal([row])
                    yield _result(carried | row.fields, row.where), before + file.tell()
        except OSError as error:
            raise InputError(f"{source}: cannot be read: {error.strerror}", _REMEDY) from error
        before += source.size


def _in_folders(source: Source) -> dict[str, str]:
    """Return the fields that are in the names of a file's folders, such as `date=2024-05-01`."""
    folders = source.path.parent.parts if source.path else ()
    pairs = (folder.partition("=") for folder in folders if "=" in folder)
    return {unquote(name): unquote(value) for name, _, value in pairs if value != _NULL}


def _result(fields: dict[str, Any], where: str) -> Result:
    if isinstance(packed := fields.get("carried"), str):  # what tables hold of `--carry all`
        with suppress(ValueError):
            inner = json.loads(packed)
            fields = inner | fields if isinstance(inner, dict) else fields
    if not fields.get("outlet"):
        fields = fields | {"outlet": fields.get("source")}
    try:
        return _RESULT.validate_python(fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        if first["type"] in ("missing", "missing_argument"):
            what = f"no field {field!r}"
        else:
            what = f"{field}: {first['msg'].lower()}, not {str(first['input'])[:60]!r}"
        raise InputError(f"{where}: {what}", _REMEDY) from error
