"""API keys: stored as hashes, compared in constant time, each with a name and a rate limit."""

import base64
import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from serving.errors import InputError
from serving.regular_file import read_regular

VARIABLE = "RASD_API_KEYS"
SHORTEST = 16
# Far more than a keys file needs.
MAX_BYTES = 2**20

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KEY = re.compile(rf"[!-~]{{{SHORTEST},}}")
_HASH = re.compile(r"sha256:([0-9a-f]{64})")
_FORM = "Write NAME sha256:HASH on each line, as `rasd serve --new-key NAME` prints it."


class Keyring:
    """The names and the hashes of the keys that the service accepts.

    Keys are long and random, so their plain SHA-256 reveals nothing.
    """

    def __init__(self, hashes: Mapping[str, bytes]) -> None:
        """Take the SHA-256 of each key by its name."""
        self._hashes = dict(hashes)

    def replace(self, other: "Keyring") -> None:
        """Accept another keyring's keys from now on, and only those."""
        self._hashes = dict(other._hashes)

    def __len__(self) -> int:
        """Return the number of keys; without keys the service is open to everyone."""
        return len(self._hashes)

    def name_of(self, key: str) -> str | None:
        """Return the name of a key, or None if it is unknown, in constant time."""
        digest = _digest(key)
        found = None
        for name, known in self._hashes.items():
            if hmac.compare_digest(digest, known):
                found = name
        return found

    @classmethod
    def load(cls, file: Path | None, environment: Mapping[str, str] = os.environ) -> "Keyring":
        """Read the keys of a file and of RASD_API_KEYS; raise InputError naming the wrong line."""
        hashes = _read_variable(environment.get(VARIABLE, ""))
        if file is None:
            return cls(hashes)
        before = len(hashes)
        try:
            lines = read_regular(file, MAX_BYTES).decode("utf-8-sig").splitlines()
        except OSError as error:
            raise InputError(f"{file}: cannot be read ({error.strerror})", _FORM) from error
        except UnicodeDecodeError as error:
            raise InputError(f"{file}: is not UTF-8", _FORM) from error
        except ValueError as error:  # a NUL character in the name
            raise InputError(f"{file}: cannot be read ({error})", _FORM) from error
        for number, line in enumerate(lines, 1):
            place = f"{file}: line {number}"
            name, _, rest = line.strip().partition(" ")
            if not name or name.startswith("#"):
                continue
            match = _HASH.fullmatch(rest.strip())
            # The line is not quoted: it may contain a key.
            if not _NAME.fullmatch(name) or not match:
                raise InputError(f"{place}: not a name and a hash", _FORM)
            if name in hashes:
                raise InputError(f"{place}: the name {name} is taken", "Give each key its own.")
            hashes[name] = bytes.fromhex(match[1])
        if len(hashes) == before:
            raise InputError(f"{file}: holds no key", f"{_FORM} Or set security.keys_file to null.")
        return cls(hashes)


class RateLimit:
    """A token bucket per key; a quarter of the requests per minute may come at once."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the requests per minute."""
        self._rate = per_minute / 60
        self._burst = max(1.0, per_minute / 4)
        self._clock = clock
        self._levels: dict[str, tuple[float, float]] = {}

    def wait(self, name: str) -> float:
        """Count a request of a key; return 0, or the seconds to wait before the next one."""
        now = self._clock()
        level, then = self._levels.get(name, (self._burst, now))
        level = min(self._burst, level + (now - then) * self._rate)
        if level < 1:
            self._levels[name] = level, now
            return (1 - level) / self._rate
        self._levels[name] = level - 1, now
        return 0.0


def new_key(name: str) -> tuple[str, str]:
    """Return a new key and its line for the keys file; raise InputError for a bad name."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"--new-key {name!r}: not a valid name", "Use letters, digits, full stops and hyphens."
        )
    key = secrets.token_urlsafe(32)
    return key, f"{name} sha256:{_digest(key).hex()}"


def presented(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the key of a request's headers.

    `X-API-Key: KEY`, `Authorization: Bearer KEY`, or the password of `Authorization: Basic`, which
    is all that Label Studio can send. The first comes first, because `Authorization` may be for a
    proxy in front of the service.
    """
    given = {name: value.decode("latin-1").strip() for name, value in headers}
    if key := given.get(b"x-api-key"):
        return key
    scheme, _, credential = given.get(b"authorization", "").partition(" ")
    match scheme.lower():
        case "bearer":
            return credential.strip()
        case "basic":
            return _password(credential)
    return None


def _password(credential: str) -> str:
    """Return the password of `Authorization: Basic`; the empty string if it has none."""
    try:
        return base64.b64decode(credential).decode().partition(":")[2]
    except ValueError:
        return ""


def _read_variable(text: str) -> dict[str, bytes]:
    hashes: dict[str, bytes] = {}
    for number, entry in enumerate(filter(None, map(str.strip, text.split(","))), 1):
        name, colon, key = entry.partition(":")
        # The entry is not quoted: it contains a key.
        if not colon or not _NAME.fullmatch(name) or not _KEY.fullmatch(key) or name in hashes:
            raise InputError(
                f"{VARIABLE}: entry {number} is not NAME:KEY",
                f"Write NAME:KEY,NAME:KEY with names that differ and keys of {SHORTEST} or more "
                "Latin letters, digits and signs; a header holds no others.",
            )
        hashes[name] = _digest(key)
    return hashes


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
