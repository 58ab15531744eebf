"""Telegram Desktop's export (`result.json`) to rows: one for every message with a text."""

import re
from typing import Any

from serving.files.row import Row

# How an export begins: one chat, or a whole account.
_CHAT = re.compile(r'"type"\s*:\s*"\w*(?:chat|channel|group|bot|messages)"[^{}\[\]]*"messages"\s*:')
_HEAD = 4096  # characters before the first message: a name, a type and a number
_ACCOUNT = re.compile(r'\{\s*"about"\s*:\s*"Here is the data you requested')


def is_export(head: str) -> bool:
    """Tell whether JSON that begins with `head` is an export."""
    return head.startswith("{") and bool(_CHAT.search(head, 0, _HEAD) or _ACCOUNT.match(head))


def message_row(message: dict[str, Any], chat: dict[str, Any], name: str, line: int) -> Row | None:
    """Return a message as a row, or None for one without text (a service message, a picture).

    Its fields are those of the message, and `message_id`, `chat` and `chat_id`. `text`, which the
    export may hold as a list of fragments, is one string; `id` is unique in the export.
    """
    text = _text(message.get("text"))
    if message.get("type") != "message" or text == "":
        return None
    number = message.get("id")
    place = {"message_id": number, "chat": chat.get("name"), "chat_id": chat.get("id")}
    fields = message | place | {"text": text, "id": f"{chat.get('id', 0)}/{number}"}
    return Row(f"{name}: line {line}", line, line, fields)


def _text(value: Any) -> Any:
    """Return the text of fragments: strings, or objects with the text of a link or a mention."""
    if not isinstance(value, list):
        return value
    parts = [part.get("text") if isinstance(part, dict) else part for part in value]
    return "".join(part for part in parts if isinstance(part, str))
