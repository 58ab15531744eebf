"""Keeps the running service at the registry's current version."""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from serving.bundle import MANIFEST, Bundle
from serving.errors import InputError
from serving.registry.pointer import current_folder
from serving.service.disk import Disk
from serving.service.metrics import Metrics
from serving.service.pool import Pool

# Seconds between two looks at the pointer.
INTERVAL = 1.0
# Seconds after which a version that was refused is tried again, twice as long each time.
FIRST_RETRY, LAST_RETRY = 5.0, 300.0
# Seconds beyond those that are planned, after which following counts as stuck.
GRACE = 10.0

T = TypeVar("T")

log = logging.getLogger("rasd.registry")


class Follower:
    """Keeps a pool at a registry's current version.

    A version that does not load is refused, counted, and logged once for each reason. It is tried
    again after a while, and at once when the pointer names another one or its manifest changes.
    Whatever goes wrong, following continues.
    """

    def __init__(
        self, registry: Path, pool: Pool, metrics: Metrics, *, load_seconds: float
    ) -> None:
        """Take the pool, and the seconds in which a version must be read."""
        self._registry = registry
        self._pool = pool
        self._metrics = metrics
        self._load_seconds = load_seconds
        self._due = float("inf")  # until it runs, nothing is due
        self._seen: object = None
        self._retry_at = 0.0
        self._retry_after = FIRST_RETRY
        self._logged = ""
        self._disk = Disk("registry")
        metrics.following.set_function(lambda: float(self.alive))

    @property
    def alive(self) -> bool:
        """Whether it has looked at the registry of late, or is loading a version in time."""
        return time.monotonic() < self._due

    async def run(self) -> None:
        """Follow until cancelled."""
        self._due = time.monotonic() + INTERVAL + GRACE
        while True:
            await asyncio.sleep(INTERVAL)
            if self._disk.stuck:
                continue  # `alive` will say so
            self._due = time.monotonic() + INTERVAL + GRACE
            try:
                await self._follow()
            except Exception as error:
                self._refuse(error)

    async def _follow(self) -> None:
        """Look at the registry, and take what is new there, or what may be mended by now."""
        seen = await self._read(self._look)
        if seen == self._seen and time.monotonic() < self._retry_at:
            return
        if seen != self._seen:
            self._seen, self._retry_after = seen, FIRST_RETRY
        # Reading a version and then loading it may each take their time.
        self._due += 2 * self._load_seconds
        await self._take()
        self._logged = ""
        self._retry_at = float("inf")

    def _look(self) -> object:
        """Return what differs whenever there is something new to load."""
        try:
            folder = current_folder(self._registry)
            state = (folder / MANIFEST).stat()
        except (InputError, OSError) as error:
            return str(error)
        return folder, state.st_mtime_ns, state.st_ino

    async def _take(self) -> None:
        """Load the current version and put it in the place of the one that serves."""
        serving = self._pool.current.bundle
        bundle = await self._read(lambda: Bundle.load(current_folder(self._registry)))
        if (bundle.folder, bundle.manifest) == (serving.folder, serving.manifest):
            return
        old = self._pool.model
        await self._pool.swap(bundle)
        self._metrics.swaps.labels("done").inc()
        log.info("new version serves", extra={"model": self._pool.model, "replaced": old})

    async def _read(self, read: Callable[[], T]) -> T:
        """Return what `read` does; raise InputError where the disk does not answer in time."""
        try:
            return await self._disk.read(read, self._load_seconds)
        except TimeoutError as error:
            remedy = "Mend its disk, or raise limits.load_seconds."
            raise InputError(f"{self._registry}: {error}", remedy) from None

    def _refuse(self, error: Exception) -> None:
        """Count a failure, log it if it is not the one of the last time, and try again later."""
        self._metrics.swaps.labels("refused").inc()
        reason = error.problem if isinstance(error, InputError) else repr(error)
        if reason != self._logged:
            self._logged = reason
            log.error(
                "new version refused, the old one still serves",
                extra={"reason": reason, "model": self._pool.model},
            )
        self._retry_at = time.monotonic() + self._retry_after
        self._retry_after = min(LAST_RETRY, 2 * self._retry_after)
