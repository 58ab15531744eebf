"""The service put together: LitServe's app with our routes and middleware, and the pool's life."""

import asyncio
import logging
import math
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, Response
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.cors import CORSMiddleware

from serving.errors import RasdError
from serving.service import label_studio_routes
from serving.service.config import ServeConfig
from serving.service.connection import Connections
from serving.service.docs import add_docs
from serving.service.follower import Follower
from serving.service.http_problems import ProblemError, problem_response
from serving.service.intake import Admission, Intake
from serving.service.key_watcher import KeyWatcher
from serving.service.keys import Keyring, RateLimit
from serving.service.litserve_api import LabelServer
from serving.service.logs import LineWriter
from serving.service.metrics import Metrics
from serving.service.middleware import Gate, Observe
from serving.service.pool import Pool
from serving.service.routes import SCORING, scoring_router, status_router
from serving.service.scoring import Scorer

if TYPE_CHECKING:
    from serving.feedback import FeedbackStore

PAGE = Path(__file__).parents[1] / "page"
# Connections that may be open at once; beyond that, those that wait longest for their client are
# closed. If none waits, uvicorn answers 503 beyond the second number.
CONNECTIONS, MOST_CONNECTIONS = 900, 1000
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

log = logging.getLogger("rasd.service")


class Service:
    """The HTTP process: its app, the pool of workers, and what both need."""

    def __init__(
        self,
        config: ServeConfig,
        keys: Keyring,
        pool: Pool,
        store: "FeedbackStore | None",
        *,
        when_ready: Callable[[], None],
        logs: LineWriter,
    ) -> None:
        """Assemble everything; `when_ready` is called when the first workers are."""
        self.config = config
        self.keys = keys
        self.pool = pool
        self.store = store
        self.admission = Admission(config.limits)
        self.metrics = Metrics()
        self.metrics.watch(pool)
        self.metrics.dropped_lines.set_function(lambda: logs.dropped)
        self.follower = None
        if config.registry:
            self.follower = Follower(
                config.registry, pool, self.metrics, load_seconds=config.limits.load_seconds
            )
        # Who may use the service without a key: programs on this machine, or anyone.
        self._local_only = not keys and config.on_loopback and not config.security.insecure
        self._when_ready = when_ready
        self._failure: RasdError | None = None
        self.app: FastAPI = LabelServer(pool.current.options, self._life).app
        self.app.title = "rasd"
        self.app.version = version("rasd")
        self.app.description = "Labels the sentences of Arabic conflict news."
        self._add_middleware(self._add_routes())

    def _add_routes(self) -> dict[str, set[str]]:
        """Return the paths that are counted and logged by name, each with its methods."""
        app = self.app
        methods = {"/": {"GET"}, "/docs": {"GET"}, "/openapi.json": {"GET"}}
        scorer = Scorer(self.pool, self.metrics, self.config.limits)
        routers = [
            scoring_router(scorer),
            label_studio_routes.router(self.pool, scorer),
            status_router(self.pool, self.metrics, self.admission, follower=self.follower),
        ]
        if self.store:
            from serving.service import feedback_routes, label_studio_webhook, retraining_routes

            anonymous = not self.keys and not self._local_only
            routers.append(
                feedback_routes.router(self.store, lambda: self.pool.manifest.scheme.names)
            )
            routers.append(label_studio_webhook.router(self.pool, scorer, self.store))
            routers.append(
                retraining_routes.router(
                    self.config, self.pool, self.store, self.follower, anonymous=anonymous
                )
            )
        for router in routers:
            app.include_router(router)
            for route in router.routes:
                if isinstance(route, APIRoute):
                    methods.setdefault(route.path, set()).update(route.methods or ())
        _add_page(app)
        add_docs(app, locked=bool(self.keys))
        _add_errors(app, methods)
        return methods

    def _add_middleware(self, methods: dict[str, set[str]]) -> None:
        """Add the innermost first."""
        config, app = self.config, self.app
        bodies = {path for path, names in methods.items() if "POST" in names}
        app.add_middleware(Intake, admission=self.admission, bodies=bodies, scoring=SCORING)
        per_minute = config.security.requests_per_minute
        app.add_middleware(
            Gate,
            keys=self.keys,
            rate=RateLimit(per_minute) if per_minute else None,
            local_only=self._local_only,
        )
        app.add_middleware(
            Observe, metrics=self.metrics, paths=methods, model=lambda: self.pool.model
        )
        # Outermost, so that a page can read errors too. It answers preflight requests itself.
        if config.security.cors_origins:
            app.add_middleware(
                CORSMiddleware,
                allow_origins=config.security.cors_origins,
                allow_methods=["GET", "POST"],
                allow_headers=[
                    "Authorization",
                    "X-API-Key",
                    "Content-Type",
                    "Content-Encoding",
                    "X-Request-Id",
                ],
                expose_headers=["X-Request-Id", "X-Model", "Retry-After"],
            )

    def run(self, listener: socket.socket) -> None:
        """Serve on a bound socket until SIGTERM or SIGINT, then finish the requests in flight.

        Raises InputError if the first workers cannot load their model.
        """
        limits = self.config.limits
        connections = Connections(
            most=CONNECTIONS,
            request_seconds=limits.body_seconds,
            answer_seconds=limits.deadline_seconds,
        )
        self._server = uvicorn.Server(
            uvicorn.Config(
                self.app,
                http=connections.protocol,  # type: ignore[arg-type]  # makes one per call
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=MOST_CONNECTIONS,
                timeout_graceful_shutdown=math.ceil(limits.drain_seconds),
            )
        )
        self._server.run(sockets=[listener])
        if self._failure:
            raise self._failure

    @asynccontextmanager
    async def _life(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._start())]
        if self.config.security.keys_file:
            watcher = KeyWatcher(self.config.security.keys_file, self.keys)
            tasks.append(asyncio.create_task(watcher.run()))
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.pool.stop()
        if self.store:
            self.store.close()

    async def _start(self) -> None:
        """Start the pool, then follow the registry."""
        try:
            await self.pool.start()
        except RasdError as error:
            self._failure = error
            self._server.should_exit = True
            return
        try:
            self._when_ready()
        except Exception:  # its reader is gone or its disk full, which must not stop the rest
            log.exception("readiness not announced")
        if self.follower:
            await self.follower.run()


def _add_page(app: FastAPI) -> None:
    if not PAGE.is_dir():
        return

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(
            PAGE / "index.html",
            headers={"Content-Security-Policy": _PAGE_POLICY, "Cache-Control": "no-cache"},
        )

    app.mount("/page", _PageFiles(directory=PAGE))


class _PageFiles(StaticFiles):
    """The page's files; a browser may cache them but must revalidate."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        response = super().file_response(*arguments, **options)
        response.headers["Cache-Control"] = "no-cache"
        return response


def _add_errors(app: FastAPI, methods: Mapping[str, set[str]]) -> None:
    def answer(request: Request, problem: ProblemError) -> Response:
        return problem_response(problem, request.state.request_id)

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, ProblemError)
        return answer(request, error)

    async def routing(request: Request, error: Exception) -> Response:
        assert isinstance(error, StarletteHTTPException)
        slug = {404: "no-such-route", 405: "wrong-method"}.get(error.status_code, "http")
        headers = dict(error.headers or {})
        if error.status_code == 405:  # a path may have several routes; Starlette names one's
            allowed = methods.get(request.url.path, {"GET"})
            headers["Allow"] = ", ".join(
                sorted(allowed | {"HEAD"} if "GET" in allowed else allowed)
            )
        return answer(
            request, ProblemError(error.status_code, slug, str(error.detail), headers=headers)
        )

    app.add_exception_handler(ProblemError, ours)
    app.add_exception_handler(StarletteHTTPException, routing)
