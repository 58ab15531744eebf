"""Reads the keys file again when it changes, or on SIGHUP: a key is revoked without a restart."""

import asyncio
import logging
import signal
from pathlib import Path

from serving.errors import InputError
from serving.service.keys import Keyring

# Seconds between two looks at the file.
INTERVAL = 2.0

log = logging.getLogger("rasd.keys")


class KeyWatcher:
    """Keeps a keyring as its file says. While the file is wrong, the old keys stay valid."""

    def __init__(self, file: Path, keys: Keyring) -> None:
        """Take the file that `keys` was loaded from."""
        self._file = file
        self._keys = keys
        self._seen: object = None  # read again at once: it may have changed since it was loaded
        self._asked = asyncio.Event()

    async def run(self) -> None:
        """Watch until cancelled."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._asked.set)
        while True:
            try:
                async with asyncio.timeout(INTERVAL):
                    await self._asked.wait()
            except TimeoutError:
                pass
            seen = self._look()
            if self._asked.is_set() or seen != self._seen:
                self._asked.clear()
                self._seen = seen
                self._read()

    def _look(self) -> object:
        try:
            state = self._file.stat()
        except OSError as error:
            return error.errno
        return state.st_mtime_ns, state.st_ino, state.st_size

    def _read(self) -> None:
        try:
            self._keys.replace(Keyring.load(self._file))
        except InputError as error:
            log.error("keys refused, the old ones stay valid", extra={"reason": error.problem})
        else:
            log.info("keys read", extra={"keys": len(self._keys)})
