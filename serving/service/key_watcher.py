"""Reads the keys file again when it changes, or on SIGHUP: a key is revoked without a restart."""

import asyncio
import logging
import signal
from contextlib import suppress
from pathlib import Path

from serving.errors import InputError
from serving.service.disk import Disk
from serving.service.keys import Keyring

# Seconds between two looks at the file.
INTERVAL = 2.0
# Seconds in which the disk must answer.
DEADLINE = 10.0

log = logging.getLogger("rasd.keys")


class KeyWatcher:
    """Keeps a keyring as its file says. While the file cannot be read, the old keys stay valid."""

    def __init__(self, file: Path, keys: Keyring) -> None:
        """Take the file that `keys` was loaded from."""
        self._file = file
        self._keys = keys
        self._disk = Disk("keys")
        self._seen: object = None  # read again at once: it may have changed since it was loaded
        self._asked = asyncio.Event()

    async def run(self) -> None:
        """Watch until cancelled."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._asked.set)
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL):
                    await self._asked.wait()
            if self._disk.stuck:
                await asyncio.sleep(INTERVAL)
                continue
            try:
                await self._follow()
            except InputError as error:
                self._refuse(error.problem)
            except Exception as error:  # above all of a disk that does not answer
                self._seen = None  # read again when it does
                self._refuse(f"{self._file}: {error!r}")

    async def _follow(self) -> None:
        """Look at the file, and read it if it has changed or somebody asked for it."""
        asked = self._asked.is_set()
        self._asked.clear()
        seen = await self._disk.read(self._look, DEADLINE)
        if not asked and seen == self._seen:
            return
        self._seen = seen
        self._keys.replace(await self._disk.read(lambda: Keyring.load(self._file), DEADLINE))
        log.info("keys read", extra={"keys": len(self._keys)})

    def _look(self) -> object:
        """Return what differs whenever the file has changed."""
        try:
            state = self._file.stat()
        except OSError as error:
            return error.errno
        return state.st_mtime_ns, state.st_ino, state.st_size

    def _refuse(self, reason: str) -> None:
        log.error("keys refused, the old ones stay valid", extra={"reason": reason})
