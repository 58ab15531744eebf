"""`GET /v1/retraining`: corrections so far, the last retraining, and the command for the next."""

import logging
import shlex
from pathlib import Path

from fastapi import APIRouter, Request
from pydantic import BaseModel
from sqlalchemy import URL, make_url

from serving.errors import InputError
from serving.feedback import FeedbackStore
from serving.feedback_engine import StoreError
from serving.registry.retraining import Retraining, last_retraining
from serving.service.config import ServeConfig
from serving.service.follower import Follower
from serving.service.http_problems import ProblemError, problems
from serving.service.pool import Pool

# Annotators that are named; the total counts all.
NAMED = 50
log = logging.getLogger("rasd.retraining")


class Annotator(BaseModel):
    """How many corrections came from one person, or with one API key."""

    name: str
    corrections: int


class Corrections(BaseModel):
    """How many corrections are stored.

    `annotators` are at most 50, the most active first. It is null for anonymous callers. A caller
    with a key sees the names that were given with this key, and of other keys the sums.
    """

    total: int
    labels: dict[str, int]
    annotators: list[Annotator] | None


class RetrainingAnswer(BaseModel):
    """What to know before a retraining.

    `version` is that of the registry, or null without one. `last` is null before the first
    retraining, `command` for anonymous callers and for a bundle that is in no registry.
    """

    model: str
    version: str | None
    corrections: Corrections
    last: Retraining | None
    command: str | None


def router(
    config: ServeConfig,
    pool: Pool,
    store: FeedbackStore,
    follower: Follower | None,
    *,
    anonymous: bool,
) -> APIRouter:
    """Return the route; `anonymous`: callers may be anyone, so names and paths are left out."""
    routes = APIRouter(tags=["service"])
    command = None if anonymous else retraining_command(config)

    @routes.get(
        "/v1/retraining",
        summary="Corrections so far, and the last retraining",
        responses=problems(401, 503),
    )
    def retraining(request: Request) -> RetrainingAnswer:
        """Return what the desk needs to decide on a retraining, and the command that starts it."""
        return RetrainingAnswer(
            model=pool.model,
            version=pool.current.bundle.folder.name if config.registry else None,
            corrections=_corrections(store, pool, request, anonymous=anonymous),
            last=_last(config.registry, follower) if config.registry else None,
            command=command,
        )

    return routes


def _corrections(
    store: FeedbackStore, pool: Pool, request: Request, *, anonymous: bool
) -> Corrections:
    try:
        counts = store.counts(request.state.caller or "", annotators=NAMED)
    except StoreError as error:
        # The reason may name the database's host and user: it is for the log only.
        log.error("corrections not counted", extra={"reason": str(error)})
        raise _unavailable("The database of corrections does not answer") from error
    scheme = dict.fromkeys(pool.manifest.scheme.names, 0)
    named = [Annotator(name=name, corrections=n) for name, n in counts.annotators.items()]
    return Corrections(
        total=sum(counts.labels.values()),
        labels=scheme | counts.labels,
        annotators=None if anonymous else named,
    )


def _last(registry: Path, follower: Follower | None) -> Retraining | None:
    if follower and not follower.alive:
        raise _unavailable("The registry does not answer")  # nor would this thread come back
    try:
        return last_retraining(registry)
    except InputError as error:
        log.error("last retraining not read", extra={"reason": error.problem})
        raise _unavailable("The record of the last retraining cannot be read") from error


def _unavailable(what: str) -> ProblemError:
    detail = f"{what}; the service's log has the reason."
    return ProblemError(503, "retraining-unavailable", detail, headers={"Retry-After": "10"})


def retraining_command(config: ServeConfig) -> str | None:
    """Return the command that retrains what is served, or None if none does."""
    if config.model:  # without a registry, `rasd retrain` starts from the included model
        return None
    arguments = ["--from-feedback", _address(str(config.feedback.database))]
    if config.registry:
        arguments += ["--registry", str(config.registry.resolve())]
    return shlex.join(["rasd", "retrain", *arguments, "--quick"])


def _address(database: str) -> str:
    """Return the database's URL for a command in any folder, without a password."""
    url = make_url(database)
    if url.get_backend_name() == "sqlite":
        return f"sqlite:///{Path(str(url.database)).resolve()}"
    query = {name: url.query[name] for name in url.query if "password" not in name}
    return URL.create(
        "postgresql", url.username, None, url.host, url.port, url.database, query
    ).render_as_string()
