"""Keeps the running service at the registry's current version."""

import asyncio
import logging
from pathlib import Path

from serving.bundle import MANIFEST, Bundle
from serving.errors import InputError
from serving.registry.pointer import current_folder
from serving.service.metrics import Metrics
from serving.service.pool import Pool

# Seconds between two looks at the pointer.
INTERVAL = 1.0

log = logging.getLogger("rasd.registry")


class Follower:
    """Keeps a pool at a registry's current version.

    A version that does not load is refused once, with a log line and a count; it is tried again
    when the pointer names another one in between, or when its manifest is written anew.
    """

    def __init__(self, registry: Path, pool: Pool, metrics: Metrics) -> None:
        """Take the pool, which serves what `current_folder` returned at the start."""
        self._registry = registry
        self._pool = pool
        self._metrics = metrics
        self._seen = self._look()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            seen = self._look()
            if seen != self._seen:
                self._seen = seen
                await self._take()

    def _look(self) -> object:
        """Return what differs whenever there is something new to load."""
        try:
            folder = current_folder(self._registry)
            state = (folder / MANIFEST).stat()
        except InputError as error:
            return str(error)
        except OSError:
            return folder, None
        return folder, state.st_mtime_ns, state.st_ino

    async def _take(self) -> None:
        old = self._pool.model
        try:
            folder = current_folder(self._registry)
            bundle = await asyncio.to_thread(Bundle.load, folder)
            if bundle.manifest.model == old:
                return
            await self._pool.swap(bundle)
        except InputError as error:
            self._metrics.swaps.labels("refused").inc()
            log.error(
                "new version refused, the old one goes on serving",
                extra={"reason": error.problem, "model": old},
            )
        else:
            self._metrics.swaps.labels("done").inc()
            log.info("new version serves", extra={"model": self._pool.model, "replaced": old})
