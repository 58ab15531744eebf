"""Request bodies: from JSON to a checked model, quickly even if everything in it is wrong."""

import codecs
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from serving.service.http_problems import ProblemError

MAX_KEYS = 100
# Values in a body. A body of 2 MiB may hold a million, which would take a second to parse while
# nothing else is answered; the parser holds Python's lock, so a thread would not help.
MAX_VALUES = 100_000
SHOWN = 20

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)

Model = TypeVar("Model", bound=BaseModel)


def json_body(model: type[Model]) -> Callable[[Request], Awaitable[Model]]:
    """Return a FastAPI dependency that reads the body as `model`.

    FastAPI would use the standard library's JSON, which accepts lone surrogates and NaN. This one
    answers 415, 400, or 422 with the path of every wrong field.
    """

    async def read(request: Request) -> Model:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" and not kind.endswith("+json"):
            found = f"The content type is {kind[:100]!r}" if kind else "There is no content type"
            raise ProblemError(
                415,
                "not-json",
                f"{found}; send JSON with the header Content-Type: application/json.",
            )
        return checked(model, _parsed(await request.body()))

    return read


def request_schema(
    model: type[BaseModel], examples: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return what `openapi_extra` needs to describe a body that `json_body` reads."""
    content: dict[str, Any] = {
        "schema": {"$ref": f"#/components/schemas/{model.__name__}"},
    }
    if examples:
        content["examples"] = {name: {"value": value} for name, value in examples.items()}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def _parsed(body: bytes) -> dict[str, Any]:
    if _commas_and_brackets(body) > MAX_VALUES and _commas_and_brackets(_STRING.sub(b"", body)) > (
        MAX_VALUES
    ):
        raise ProblemError(
            422, "too-many-values", f"The body holds more than {MAX_VALUES:,} JSON values."
        )
    try:
        value = from_json(body.removeprefix(codecs.BOM_UTF8), allow_inf_nan=False)
    except ValueError as error:
        raise ProblemError(400, "broken-json", f"The body is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise ProblemError(422, "invalid", "The body must be a JSON object.")
    if len(value) > MAX_KEYS:
        raise ProblemError(422, "invalid", f"The object has {len(value):,} keys.")
    return value


def _commas_and_brackets(body: bytes) -> int:
    """Return at least the number of JSON values less one: each follows one of these."""
    return body.count(b",") + body.count(b"[") + body.count(b"{")


def checked(model: type[Model], value: dict[str, Any]) -> Model:
    """Return the value as `model`; raise ProblemError (422) with the path of every wrong field."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        unknown = f"unknown field; the fields are {', '.join(model.model_fields)}"
        errors = [
            {
                "field": _path(item["loc"]),
                "message": unknown
                if item["type"] == "extra_forbidden"
                else item["msg"].removeprefix("Value error, "),
            }
            for item in found[:SHOWN]
        ]
        detail = "; ".join(f"{error['field'] or 'body'}: {error['message']}" for error in errors)
        raise ProblemError(422, "invalid", detail, errors=errors) from None


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part)[:100] for part in location)
