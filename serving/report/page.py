"""The report as one HTML file: its style, its script and its data are inside.

The charts are bars, drawn as SVG and HTML by `report.js`. A chart library would add 50 kB (uPlot)
to 1 MB and more (Vega-Lite, Plotly) to every page, and the small one paints on a canvas, which
prints as a bitmap, does not follow light and dark, and cannot be read by a screen reader.
"""

import base64
import hashlib
import html
import json
import re
from pathlib import Path
from typing import Any

from serving.atomic import atomic_file
from serving.errors import RasdError
from serving.report.summary import Report

_FOLDER = Path(__file__).parent


def write_page(report: Report, target: Path) -> None:
    """Write the page, completely or not at all. Raises RasdError where that cannot be done.

    Nothing of the results is markup: they are JSON, which the script shows as text. The browser
    runs only the script whose digest the page's policy names, and asks no server for anything.
    """
    style, script = (
        (_FOLDER / name).read_text(encoding="utf-8") for name in ("report.css", "report.js")
    )
    policy = f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}"
    data = _json({**report.figures, "table": report.table}).replace("<", "\\u003c")
    parts = {"policy": html.escape(policy), "style": style, "script": script, "data": data}
    page = (_FOLDER / "report.html").read_text(encoding="utf-8")
    _write(re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], page), target)


def write_json(report: Report, target: Path) -> None:
    """Write the figures and the sentences of the lists; the table is in the results."""
    _write(_json(report.figures, indent=1) + "\n", target)


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _write(text: str, target: Path) -> None:
    try:
        with atomic_file(target.resolve()) as temporary:
            # Half a surrogate pair becomes an escape, which JSON reads back.
            temporary.write_bytes(text.encode("utf-8", errors="backslashreplace"))
    except OSError as error:
        raise RasdError(f"{target}: cannot be written: {error.strerror}") from error


def _digest(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
