"""The connection to the database of corrections: its address, its engine, and what failed."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from serving.errors import InputError, RasdError

# Seconds to wait for another process's write, or for PostgreSQL to answer.
PATIENCE = 5

FORMS = "Give sqlite:///FILE or postgresql://USER@HOST/DATABASE."
# PostgreSQL's code for a full disk.
_DISK_FULL = "53100"


class StoreError(RasdError):
    """The database failed; nothing was stored."""


class StoreFullError(StoreError):
    """The disk of the database is full; nothing was stored."""


def checked(address: str) -> URL:
    """Return the URL of a database that can hold corrections; raise InputError for another."""
    try:
        url = make_url(address)
    except (ArgumentError, ValueError) as error:  # ValueError: the port is not a number
        # What looks like a password is not quoted.
        shown = repr(address) if "@" not in address else "the address of the database"
        raise InputError(f"{shown}: not a database's URL", FORMS) from error
    kind = url.get_backend_name()
    if kind == "sqlite" and url.database and url.database != ":memory:" and not url.host:
        return url.set(drivername="sqlite")
    if kind in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    raise InputError(f"{shown_url(url)}: cannot keep corrections there", FORMS)


def make_engine(url: URL) -> Engine:
    """Return an engine that gives up after PATIENCE seconds; raise ImportError without a driver."""
    if is_postgresql(url):
        from serving.patient_postgresql import PatientConnection

        engine = create_engine(
            url,
            pool_pre_ping=True,  # detects a connection that the server has closed
            pool_timeout=PATIENCE,
            connect_args={"connect_timeout": PATIENCE},
            hide_parameters=True,
        )

        @event.listens_for(engine, "do_connect")
        def connect(_: object, __: object, arguments: Any, options: Any) -> PatientConnection:
            return PatientConnection.connect(*arguments, **options)

        return engine
    engine = create_engine(
        url, pool_timeout=PATIENCE, connect_args={"timeout": PATIENCE}, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        # Readers and the writer do not block each other; committed rows survive a crash.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")

    return engine


def file_identity(url: URL) -> object:
    """Return what tells an SQLite file from another of its name, or from none; else None."""
    if is_postgresql(url):
        return None
    try:
        state = Path(str(url.database)).stat()
    except OSError:
        return "missing"
    return state.st_dev, state.st_ino


def make_private(url: URL) -> None:
    """Create a missing SQLite file so that only its owner reads it; its journal takes its mode."""
    if not is_postgresql(url):
        with suppress(OSError):  # SQLite says better what is wrong
            os.close(os.open(str(url.database), os.O_CREAT | os.O_RDWR, 0o600))


def shown_url(url: URL) -> str:
    """Return the URL without passwords, which may be in its query too."""
    return url.set(query={}).render_as_string(hide_password=True)


def is_postgresql(url: URL) -> bool:
    """Tell a PostgreSQL database from an SQLite file."""
    return url.get_backend_name() == "postgresql"


def store_error(error: SQLAlchemyError) -> StoreError:
    """Return what a failure of the database means to the one who stores or reads."""
    cause = error.orig if isinstance(error, DBAPIError) else None
    if (
        getattr(cause, "sqlite_errorname", None) == "SQLITE_FULL"
        or getattr(cause, "sqlstate", None) == _DISK_FULL
    ):
        return StoreFullError("There is no room left for corrections.")
    return StoreError(f"The database of corrections failed: {reason(error)}.")


def reason(error: Exception) -> str:
    """Return the driver's message in one line; it contains no text and no password."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return " ".join(str(cause).split()) or type(cause).__name__
