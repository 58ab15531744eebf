"""`rasd serve`: checks everything that can be wrong before anything listens, then serves."""

import argparse
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from serving.arguments import add_model, positive
from serving.errors import InputError
from serving.terminal import counted, tell

if TYPE_CHECKING:
    from serving.service.config import ServeConfig
    from serving.service.keys import Keyring

# Threads of one worker by default: more hardly speed up one sentence.
THREADS = 4

_DESCRIPTION = """\
Serve a model over HTTP, with a web page, until Ctrl+C or SIGTERM.

GET / is the web page, POST /v1/classify and POST /predict label text, /docs documents the API, and
/livez, /readyz and /metrics are for monitoring. Command-line options override the configuration
file."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the command line."""
    parser = subparsers.add_parser(
        "serve",
        help="serve a model over HTTP, with a web page",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="a configuration like configs/serve.yaml"
    )
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=_port, help="port (default: 8000; 0: any free port)")
    source = parser.add_mutually_exclusive_group()
    add_model(source)
    source.add_argument(
        "--registry",
        type=Path,
        metavar="DIR",
        help="serve the current version of a registry, and switch when it changes",
    )
    parser.add_argument(
        "--workers", type=positive, metavar="N", help="worker processes (default: to fit the cores)"
    )
    parser.add_argument(
        "--threads",
        type=positive,
        metavar="N",
        help="threads per worker (default: to fit the cores)",
    )
    parser.add_argument(
        "--insecure", action="store_true", help="listen beyond this machine without API keys"
    )
    parser.add_argument(
        "--new-key",
        metavar="NAME",
        help="print a new API key and its entry for the keys file, and exit",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; raise InputError before anything listens."""
    from serving.bundle import Bundle
    from serving.machine import available_cores
    from serving.service.config import load_config
    from serving.service.keys import Keyring, new_key
    from serving.service.logs import configure_logs
    from serving.service.pool import Pool

    if options.new_key is not None:
        key, line = new_key(options.new_key)
        sys.stdout.write(f"{line}\n")
        sys.stderr.write(f"Add the line above to the keys file. The key, shown once: {key}\n")
        return 0
    names = ("host", "port", "model", "registry", "workers", "threads", "insecure")
    config = load_config(options.config, {name: getattr(options, name) for name in names})
    keys = Keyring.load(config.security.keys_file)
    _check(config, keys)
    workers, threads = crew(config.workers, config.threads, available_cores())
    bundle = Bundle.load(_folder(config))
    listener = listen(config.host, config.port)
    store = None
    if config.feedback.database:
        from serving.feedback import open_store

        store = open_store(config.feedback.database)
    logs = configure_logs()
    # uvicorn handles these while it serves and sends itself the signal again when it has drained:
    # an orderly end, as it is before anything is served.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    # «Read your keys again» ends nothing, with a keys file or without. A closed terminal does.
    if not os.isatty(0):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    pool = Pool(
        bundle,
        workers=workers,
        threads=threads,
        max_sentences=config.limits.sentences,
        load_seconds=config.limits.load_seconds,
    )

    def announce() -> None:
        tell(
            f"{pool.model} is served on {_address(listener)} by {counted(workers, 'worker')} of "
            f"{counted(threads, 'thread')}; Ctrl+C stops it"
        )

    try:
        # Half a second of imports, while the workers load.
        from serving.service.app import Service

        service = Service(config, keys, pool, store, when_ready=announce, logs=logs)
        service.run(listener)
    finally:
        pool.kill()  # an orderly end has left none
    return 0


def crew(workers: int | None, threads: int | None, cores: int) -> tuple[int, int]:
    """Return the number of workers and of threads per worker; None is chosen to fit the cores."""
    if threads is None:
        threads = min(THREADS, cores) if workers is None else max(1, cores // workers)
    if workers is None:
        workers = max(1, cores // threads)
    return workers, threads


def _end(*_: object) -> None:
    raise SystemExit(0)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 65535")
    return int(text)


def _check(config: "ServeConfig", keys: "Keyring") -> None:
    if config.model and config.registry:
        raise InputError(
            "model and registry are both given", "Serve a bundle or a registry, not both."
        )
    if not keys and "*" in config.security.cors_origins:
        raise InputError(
            "security.cors_origins: '*' without API keys lets every web page use the service",
            "List the origins, or make keys with `rasd serve --new-key NAME`.",
        )
    if not keys and not config.on_loopback and not config.security.insecure:
        raise InputError(
            f"host {config.host}: other machines could use the service without a key",
            "Make keys with `rasd serve --new-key NAME` and name their file in security.keys_file, "
            "or set RASD_API_KEYS; or allow it with --insecure.",
        )


def _folder(config: "ServeConfig") -> Path:
    from serving.bundle import shipped_model
    from serving.registry.pointer import current_folder

    if config.registry:
        return current_folder(config.registry)
    return config.model or shipped_model()


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address of the host; raise InputError if there is none."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except (OSError, UnicodeError) as error:  # UnicodeError: not a host name
        raise InputError(
            f"{host}:{port}: cannot listen there ({getattr(error, 'strerror', None) or error})",
            "Choose another --host or --port, or stop the program that listens there.",
        ) from error
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
