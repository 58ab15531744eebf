"""The service's configuration: `configs/serve.yaml`, checked completely before anything starts."""

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from serving.bundle import included_models, shipped_model
from serving.config_file import Key, Section, check_kind, checked, read_yaml, resolve_paths

EXAMPLE = "configs/serve.yaml"
_PATHS: tuple[Key, ...] = (("model",), ("registry",), ("security", "keys_file"))

# As a browser sends it: without a path, not even a slash.
Origin = Annotated[str, Field(pattern=r"^(\*|null|[a-z][a-z0-9+.-]*://[^/\s]+)$")]


class LimitsConfig(Section):
    """Limits of one request and of all requests together."""

    sentences: int = Field(
        default=2000, ge=1, le=100_000, description="a number of sentences, 1 to 100000"
    )
    body_bytes: int = Field(
        default=2 * 2**20, ge=1024, le=2**28, description="a number of bytes, 1024 to 268435456"
    )
    in_flight: int = Field(
        default=64, ge=1, le=10_000, description="a number of requests, 1 to 10000"
    )
    deadline_seconds: float = Field(
        default=30.0, gt=0, le=3600, description="a number of seconds, above 0 and up to 3600"
    )
    body_seconds: float = Field(
        default=10.0, gt=0, le=3600, description="a number of seconds, above 0 and up to 3600"
    )
    drain_seconds: float = Field(
        default=30.0, ge=0, le=3600, description="a number of seconds, 0 to 3600"
    )
    load_seconds: float = Field(
        default=120.0, gt=0, le=3600, description="a number of seconds, above 0 and up to 3600"
    )


class SecurityConfig(Section):
    """Who may use the service."""

    keys_file: Path | None = Field(default=None, description="a file of API keys, or null")
    insecure: bool = Field(default=False, description="true or false")
    requests_per_minute: int | None = Field(
        default=None, ge=1, description="a number of requests, 1 or more; or null"
    )
    cors_origins: tuple[Origin, ...] = Field(
        default=(), description="a list of origins such as https://desk.example.org, or []"
    )


class FeedbackConfig(Section):
    """Where corrections are stored."""

    database: str | None = Field(
        default="sqlite:///feedback.db",
        min_length=1,
        description="an SQLAlchemy URL such as sqlite:///feedback.db, or null",
    )


class ServeConfig(Section):
    """How `rasd serve` runs. configs/serve.yaml explains each key."""

    host: str = Field(default="127.0.0.1", min_length=1, description="an address")
    port: int = Field(
        default=8000, ge=0, le=65535, description="a port, 1 to 65535; or 0 for any free one"
    )
    model: Path | None = Field(default=None, description="a bundle's folder, or null")
    registry: Path | None = Field(default=None, description="a registry's folder, or null")
    workers: int | None = Field(
        default=None, ge=1, le=256, description="a number of processes, 1 to 256; or null"
    )
    threads: int | None = Field(
        default=None, ge=1, le=256, description="a number of threads, 1 to 256; or null"
    )
    limits: LimitsConfig = Field(default=LimitsConfig(), description="a group of keys")
    security: SecurityConfig = Field(default=SecurityConfig(), description="a group of keys")
    feedback: FeedbackConfig = Field(default=FeedbackConfig(), description="a group of keys")

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine: localhost, or a loopback address and not a name."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def load_config(path: Path | None, options: Mapping[str, Any]) -> ServeConfig:
    """Read a configuration (None: the defaults); command-line `options` override its keys.

    A relative path in the file is relative to the file's folder. Raises InputError with every
    problem, each with its line or its option.
    """
    values: dict[str, Any] = {}
    lines: dict[Key, int] = {}
    if path is not None:
        values, lines = read_yaml(path, example=EXAMPLE)
        check_kind("rasd serve", values, path=path, example=EXAMPLE)
        named = values.get("model")
        resolve_paths(values, _PATHS, path.parent)
        if named in included_models() and not values["model"].exists():
            values["model"] = shipped_model(named)
    given: dict[Key, str] = {}
    for name, value in options.items():
        if value is None or value is False:
            continue
        if name == "insecure":
            group = values.setdefault("security", {})
            if isinstance(group, dict):  # else it is reported as wrong
                group[name] = value
                given["security", name] = "--insecure"
        else:
            values[name] = value
            given[name,] = f"--{name} {value}"
    # The option replaces the other of the two, which the file may name.
    if options.get("model") and not options.get("registry"):
        values["registry"] = None
    if options.get("registry") and not options.get("model"):
        values["model"] = None
    return checked(ServeConfig, values, path=path or Path("rasd serve"), lines=lines, given=given)
