"""A real Label Studio, and a recorder of what it says to a backend."""

import json
import os
import subprocess
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any

from running_service import wait_for

# Only what a backend reads: the rest is about the machine and its moment.
_HEADERS = ("Authorization", "Content-Type", "User-Agent", "X-API-Key")
_SECRETS = ("access_token", "token")


class LabelStudio:
    """A server of its own in a folder of its own, on SQLite; killed at the end of the block."""

    _TOKEN = "0123456789abcdef0123456789abcdef01234567"

    def __init__(self, program: str, folder: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        command = [program, "start", "--no-browser", "--internal-host", "127.0.0.1"]
        command += ["--port", str(port), "--username", "desk@example.org"]
        command += ["--password", "a-password-of-this-test"]
        command += ["--user-token", self._TOKEN, "--enable-legacy-api-token"]
        environment = {
            "LABEL_STUDIO_BASE_DATA_DIR": str(folder / "data"),
            "COLLECT_ANALYTICS": "false",
            "LATEST_VERSION_CHECK": "false",
            # Or it calls no address of a private network.
            "ML_BLOCK_LOCAL_IP": "false",
            "SSRF_PROTECTION_ENABLED": "false",
        }
        # Its own packages, not ours.
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        with (folder / "label-studio.log").open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, env=inherited | environment, stdout=log, stderr=log
            )

    def __enter__(self) -> "LabelStudio":
        wait_for(self._answers, seconds=1800)  # it builds its database first
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def version(self) -> str:
        status, answer = self.call("GET", "/api/version")
        assert status == 200
        return str(answer["release"])

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return status and answer of its REST API."""
        request = urllib.request.Request(
            self.url + path,
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Token {self._TOKEN}", "Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=600) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def _answers(self) -> bool:
        assert self.process.poll() is None
        try:
            return self.call("GET", "/api/projects/")[0] == 200
        except OSError:
            return False


class Recorder:
    """Passes requests on to a backend, and keeps both sides of every exchange."""

    def __init__(self, target: str) -> None:
        self.exchanges: list[dict[str, Any]] = []
        exchanges = self.exchanges

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                sent = self.rfile.read(length)
                kept = {name: self.headers[name] for name in _HEADERS if self.headers[name]}
                request = urllib.request.Request(
                    target + self.path, sent or None, kept, method=self.command
                )
                try:
                    answer = urllib.request.urlopen(request, timeout=600)
                except urllib.error.HTTPError as error:
                    answer = error
                with answer:
                    status, body = answer.status, answer.read()
                exchanges.append(
                    {
                        "request": {
                            "method": self.command,
                            "path": self.path,
                            "headers": kept,
                            "body": _without_secrets(json.loads(sent)) if sent else None,
                        },
                        "answer": {"status": status, "body": json.loads(body)},
                    }
                )
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Recorder":
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _without_secrets(body: dict[str, Any]) -> dict[str, Any]:
    return {
        name: "secret"
        if name in _SECRETS
        else _without_secrets(value)
        if isinstance(value, dict)
        else value
        for name, value in body.items()
    }
