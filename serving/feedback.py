"""The database of corrections: SQLite or PostgreSQL, one row per text and annotator."""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Dialect,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    case,
    func,
    inspect,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from serving.errors import InputError
from serving.feedback_engine import (
    FORMS,
    StoreError,
    checked,
    file_identity,
    is_postgresql,
    make_engine,
    make_private,
    reason,
    shown_url,
    store_error,
)

log = logging.getLogger("rasd.feedback")


class _Moment(TypeDecorator[datetime]):
    """A time in UTC; SQLite does not store the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002
    ) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_metadata = MetaData()
_corrections = Table(
    "rasd_corrections",
    _metadata,
    Column("id", Integer, primary_key=True),
    # Indexed in place of the text, which may be too long for an index.
    Column("text_sha256", String(64), nullable=False),
    # The name of the API key and of the person; "" if there is none, because nulls never equal
    # each other.
    Column("caller", String, nullable=False),
    Column("annotator", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("label", String, nullable=False),
    Column("predicted", String, nullable=False),
    Column("probabilities", JSON(none_as_null=True)),
    Column("model", String, nullable=False),
    Column("note", Text),
    # The number of decisions that this annotator made on this text.
    Column("revision", Integer, nullable=False),
    Column("created", _Moment, nullable=False),
    Column("updated", _Moment, nullable=False),
    UniqueConstraint("text_sha256", "caller", "annotator", name="rasd_corrections_once"),
)


@dataclass(frozen=True, slots=True)
class NewCorrection:
    """An annotator's label for a text, and the label that the model gave.

    `caller` is the name of the API key. A label that equals `predicted` confirms it.
    """

    text: str
    label: str
    predicted: str
    model: str
    probabilities: dict[str, float] | None = None
    annotator: str = ""
    caller: str = ""
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCorrection(NewCorrection):
    """A correction as the database holds it; `created` and `updated` are in UTC."""

    id: int
    revision: int
    created: datetime
    updated: datetime


@dataclass(frozen=True, slots=True)
class Counts:
    """How many corrections there are: by label, and by annotator, the most active ones first.

    An annotator without a name has the name of the API key, or "".
    """

    labels: dict[str, int]
    annotators: dict[str, int]


class FeedbackStore:
    """Corrections in a database. Its methods may be called from any thread."""

    def __init__(self, engine: Engine) -> None:
        """Take an engine whose tables are there: see `open_store`."""
        self._engine = engine
        self._opened = file_identity(engine.url)
        self._opening = Lock()
        self._insert = postgresql.insert if is_postgresql(engine.url) else sqlite.insert

    def add(self, correction: NewCorrection) -> tuple[int, int]:
        """Store a correction and return its id and revision.

        It replaces the same annotator's earlier correction of the same text and keeps its id.
        Raises StoreFullError or StoreError; nothing is changed then.
        """
        now = datetime.now(UTC)
        values = asdict(correction)
        digest = hashlib.sha256(correction.text.encode()).hexdigest()
        decided = {
            name: values[name] for name in ("label", "predicted", "probabilities", "model", "note")
        }
        statement = (
            self._insert(_corrections)
            .values(**values, text_sha256=digest, revision=1, created=now, updated=now)
            .on_conflict_do_update(
                index_elements=["text_sha256", "caller", "annotator"],
                set_={**decided, "updated": now, "revision": _corrections.c.revision + 1},
            )
            .returning(_corrections.c.id, _corrections.c.revision)
        )
        try:
            self._find_again()
            with self._engine.begin() as connection:
                row = connection.execute(statement).one()
        except SQLAlchemyError as error:
            raise store_error(error) from error
        return int(row.id), int(row.revision)

    def corrections(self) -> Iterator[StoredCorrection]:
        """Yield all corrections, oldest first; raise StoreError."""
        columns = [column for column in _corrections.c if column.name != "text_sha256"]
        query = select(*columns).order_by(_corrections.c.id)
        try:
            with self._engine.connect().execution_options(yield_per=500) as connection:
                for row in connection.execute(query):
                    yield StoredCorrection(**row._mapping)
        except SQLAlchemyError as error:
            raise store_error(error) from error
        except (TypeError, ValueError) as error:  # SQLite stores whatever another program writes
            raise StoreError(
                f"A correction cannot be read: {reason(error)}.",
                "Mend its row in the table rasd_corrections.",
            ) from error

    def counts(self, caller: str, *, annotators: int) -> Counts:
        """Count the corrections, for at most so many annotators; raise StoreError.

        People are told apart among the corrections of `caller`. What came with another API key
        is counted under that key's name.
        """
        column = _corrections.c
        person = func.coalesce(func.nullif(column.annotator, ""), column.caller)
        name = case((column.caller == caller, person), else_=column.caller).label("name")
        named = select(name).subquery().c
        number = func.count()
        by_label = select(column.label, number).group_by(column.label)
        by_name = select(named.name, number).group_by(named.name)
        most = by_name.order_by(number.desc(), named.name).limit(annotators)
        try:
            self._find_again()
            with self._engine.connect() as connection:
                labels = {row[0]: row[1] for row in connection.execute(by_label)}
                names = {row[0]: row[1] for row in connection.execute(most)}
        except SQLAlchemyError as error:
            raise store_error(error) from error
        return Counts(labels, names)

    def _find_again(self) -> None:
        """Make an SQLite file again that was deleted: its connections would write to nowhere."""
        if file_identity(self._engine.url) == self._opened:
            return
        with self._opening:
            if file_identity(self._engine.url) == self._opened:
                return
            log.error("the database of corrections was deleted or replaced; it is opened again")
            self._engine.dispose()
            make_private(self._engine.url)
            _create_table(self._engine)
            self._opened = file_identity(self._engine.url)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


def open_store(address: str, *, create: bool = True) -> FeedbackStore:
    """Open the database of an SQLAlchemy URL; raise InputError if it cannot be opened.

    A missing SQLite file and missing tables are created, unless `create` is false: then a database
    without them is rejected.
    """
    url = checked(address)
    shown = shown_url(url)
    try:
        engine = make_engine(url)
    except ImportError as error:
        raise InputError(
            f"{shown}: the driver {error.name} is not installed",
            "Install it with: pip install 'rasd[postgres]'",
        ) from error
    except (SQLAlchemyError, ValueError) as error:
        # The reason may quote an option's value.
        raise InputError(f"{shown}: a wrong option after the question mark", FORMS) from error
    missing = InputError(
        f"{shown}: holds no corrections",
        "Name the service's database: feedback.database in its configuration, else feedback.db in "
        "the folder where it was started.",
    )
    if not create and not is_postgresql(url) and not Path(str(url.database)).is_file():
        raise missing
    try:
        if create:
            make_private(url)
            _create_table(engine)
        columns = inspect(engine).has_table(_corrections.name)
    except (SQLAlchemyError, ValueError) as error:  # ValueError: a NUL character
        engine.dispose()
        raise InputError(
            f"{shown}: cannot be opened ({reason(error)})",
            "Check the host name and that the database server is running."
            if is_postgresql(url)
            else "Name a file that may be written to, or set feedback.database to null.",
        ) from error
    if not columns:
        engine.dispose()
        raise missing
    return FeedbackStore(engine)


def _create_table(engine: Engine) -> None:
    """Create the table if it is missing; another service may do so at the same moment."""
    try:
        _metadata.create_all(engine)
    except SQLAlchemyError:
        if not inspect(engine).has_table(_corrections.name):
            raise
