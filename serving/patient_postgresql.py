"""A PostgreSQL connection that gives up on a server that no longer answers."""

import os
import socket
from threading import Timer
from typing import Any

from psycopg import Connection

# Seconds for one exchange with the server.
ANSWER_SECONDS = 5.0


class PatientConnection(Connection[Any]):
    """psycopg's connection with a deadline for each exchange.

    PostgreSQL's own time-outs are kept by the server, and a stopped server keeps none. So the
    socket is shut from another thread, and the exchange fails as if the server had closed it.
    """

    def wait(self, *arguments: Any, **options: Any) -> Any:
        """Wait as psycopg does, but not for ever."""
        timer = Timer(ANSWER_SECONDS, self._cut)
        timer.daemon = True
        timer.start()
        try:
            return super().wait(*arguments, **options)
        finally:
            timer.cancel()

    def _cut(self) -> None:
        try:
            with socket.socket(fileno=os.dup(self.pgconn.socket)) as wire:
                wire.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is closed already
