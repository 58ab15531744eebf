"""The registry as the service sees it: `DIR/versions/NAME/`, and `DIR/current` naming one."""

import asyncio
import logging
from pathlib import Path

from serving.bundle import MANIFEST, Bundle
from serving.errors import InputError
from serving.service.metrics import Metrics
from serving.service.pool import Pool

CURRENT = "current"
VERSIONS = "versions"
# Seconds between two looks at the pointer.
INTERVAL = 1.0

log = logging.getLogger("rasd.registry")


def current_folder(registry: Path) -> Path:
    """Return the folder of the current version; raise InputError when there is none.

    `current` is a file that holds the version's name, or a link to its folder.
    """
    pointer = registry / CURRENT
    remedy = f"A registry has {VERSIONS}/NAME/ and a file {CURRENT} that holds a NAME."
    try:
        if pointer.is_symlink() or pointer.is_dir():
            name = pointer.resolve(strict=True).name
        else:
            name = pointer.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InputError(f"{pointer}: cannot be read ({error.strerror})", remedy) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{pointer}: is no text", remedy) from error
    folder = registry / VERSIONS / name
    if not name or Path(name).name != name or name in (".", "..") or not folder.is_dir():
        raise InputError(f"{pointer}: names no version: {name[:100]!r}", remedy)
    return folder


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
