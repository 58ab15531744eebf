"""The service put together: LitServe's server and its FastAPI app, our routes, pool and life."""

import asyncio
import math
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, Response
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles
from litserve import LitServer
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.cors import CORSMiddleware

from serving.errors import RasdError
from serving.service.config import ServeConfig
from serving.service.docs import add_docs
from serving.service.follower import Follower
from serving.service.header_timeout import guarded_protocol
from serving.service.http_problems import ProblemError, problem_response
from serving.service.keys import Keyring, RateLimit
from serving.service.litserve_api import LabelAPI
from serving.service.metrics import Metrics, State
from serving.service.middleware import Gate, Intake, Observe
from serving.service.pool import Pool
from serving.service.routes import SCORING, scoring_router, status_router
from serving.service.worker_process import WorkerOptions

if TYPE_CHECKING:
    from serving.feedback import FeedbackStore

PAGE = Path(__file__).parents[1] / "page"
# Connections open at once; more are answered 503 by uvicorn itself.
CONNECTIONS = 1000
# Seconds that a client may keep a connection open between two requests.
KEEP_ALIVE = 30
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


class Service(LitServer):  # type: ignore[misc]
    """LitServe's server with its own road to the workers.

    Of LitServe there are the app, the hooks (LabelAPI) and the loop in every worker. Its queues,
    its process for HTTP and its routes `/`, `/health` and `/info` are replaced: `pool` says why.
    """

    def __init__(
        self,
        config: ServeConfig,
        keys: Keyring,
        pool: Pool,
        store: "FeedbackStore | None",
        when_ready: Callable[[], None],
    ) -> None:
        """Assemble everything; `when_ready` is called when the first workers are."""
        self.config = config
        self.keys = keys
        self.pool = pool
        self.store = store
        self.metrics = Metrics()
        self.follower = None
        if config.registry:
            self.follower = Follower(
                config.registry, pool, self.metrics, load_seconds=config.limits.load_seconds
            )
        self._when_ready = when_ready
        # The paths that are counted and logged by name.
        self._paths = {"/", "/docs", "/openapi.json"}
        self._failure: RasdError | None = None
        options = WorkerOptions(pool.current.bundle.folder, 1, config.limits.sentences)
        super().__init__(LabelAPI(options), accelerator="cpu", devices=1, timeout=False)

    def register_endpoints(self) -> None:
        """Add our routes in the place of LitServe's."""
        app: FastAPI = self.app
        app.title = "rasd"
        app.version = version("rasd")
        app.description = "Labels the sentences of Arabic conflict news."
        app.router.routes.clear()  # FastAPI's own documentation needs a network
        app.state.metrics = self.metrics
        app.state.pool = self.pool
        routers = [
            scoring_router(self.pool, self.metrics, self.config.limits),
            status_router(self.pool, self.metrics, self.config.limits, follower=self.follower),
        ]
        if self.store:
            from serving.service.feedback_routes import router as feedback_router

            routers.append(feedback_router(self.store, lambda: self.pool.manifest.scheme.names))
        for router in routers:
            app.include_router(router)
            self._paths |= {route.path for route in router.routes if isinstance(route, APIRoute)}
        _add_page(app)
        add_docs(app, locked=bool(self.keys))
        _add_errors(app)
        self.metrics.watch(self._state)

    def _register_middleware(self) -> None:
        """Add ours, the innermost first; LitServe's would compress every answer."""
        config, app = self.config, self.app
        app.add_middleware(Intake, limits=config.limits, scoring=SCORING)
        per_minute = config.security.requests_per_minute
        app.add_middleware(
            Gate,
            keys=self.keys,
            rate=RateLimit(per_minute) if per_minute else None,
            local_only=not self.keys and config.on_loopback and not config.security.insecure,
        )
        if config.security.cors_origins:
            app.add_middleware(
                CORSMiddleware,
                allow_origins=config.security.cors_origins,
                allow_methods=["GET", "POST"],
                allow_headers=["Authorization", "X-API-Key", "Content-Type", "X-Request-Id"],
                expose_headers=["X-Request-Id", "X-Model", "Retry-After"],
            )
        app.add_middleware(
            Observe, metrics=self.metrics, paths=self._paths, model=lambda: self.pool.model
        )

    def run(self, listener: socket.socket) -> None:
        """Serve on a bound socket until SIGTERM or SIGINT, then finish what is in flight.

        Raises what kept the first workers from loading their model.
        """
        drain = math.ceil(self.config.limits.drain_seconds)
        self._server = uvicorn.Server(
            uvicorn.Config(
                self.app,
                http=guarded_protocol(self.config.limits.body_seconds),
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=CONNECTIONS,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=drain,
            )
        )
        self._server.run(sockets=[listener])
        if self._failure:
            raise self._failure

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:  # noqa: ARG002
        """Start the pool beside the server, follow the registry, and end both."""
        task = asyncio.create_task(self._live())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await self.pool.stop()
        if self.store:
            self.store.close()

    async def _live(self) -> None:
        try:
            await self.pool.start()
        except RasdError as error:
            self._failure = error
            self._server.should_exit = True
            return
        self._when_ready()
        if self.follower:
            await self.follower.run()

    def _state(self) -> State:
        pool = self.pool
        return State(
            model=pool.model,
            ready=pool.ready,
            waiting=pool.waiting,
            restarts=pool.restarts,
            workers=pool.processes,
        )


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
    """The page's files, which a browser may keep as long as it asks whether they have changed."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        response = super().file_response(*arguments, **options)
        response.headers["Cache-Control"] = "no-cache"
        return response


def _add_errors(app: FastAPI) -> None:
    def answer(request: Request, problem: ProblemError) -> Response:
        return problem_response(problem, request.state.request_id)

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, ProblemError)
        return answer(request, error)

    async def routing(request: Request, error: Exception) -> Response:
        assert isinstance(error, StarletteHTTPException)
        slug = {404: "no-such-route", 405: "wrong-method"}.get(error.status_code, "http")
        return answer(
            request,
            ProblemError(error.status_code, slug, str(error.detail), headers=error.headers),
        )

    app.add_exception_handler(ProblemError, ours)
    app.add_exception_handler(StarletteHTTPException, routing)
