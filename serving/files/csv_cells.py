"""What a spreadsheet would run as a formula to a cell that it shows as text, and back.

A cell that begins with one of LIVE is a formula to a spreadsheet. It gets an apostrophe in front,
as OWASP recommends. So does a cell that begins with apostrophes and then one of LIVE, and therefore
taking one apostrophe off such a cell always gives the text that was written. serving/page/input.js
and serving/page/download.js have the same rule.
"""

import re
from collections.abc import Collection

LIVE = "=+-@\t\r\n＝＋－＠"
_LIVE = re.compile(f"'*[{re.escape(LIVE)}]")
_NEUTRAL = re.compile(f"'+[{re.escape(LIVE)}]")

# The columns by which our own tables are recognised, whatever else they have and in any order:
# records of `rasd classify` and of the page, corrections, what `rasd validate --deep` doubts, and
# what `rasd suggest` picks.
_OURS = (
    frozenset({"doc_id", "sentence", "start", "end", "text", "label"}),
    frozenset({"text", "label", "annotator", "predicted", "model", "note"}),
    frozenset({"id", "text", "label", "suggested", "probability", "model"}),
    frozenset({"rank", "kind", "file", "line", "text", "label", "suggested"}),
)


def neutral(text: str) -> str:
    """Return the cell of `text` that no spreadsheet takes for a formula."""
    return f"'{text}" if _LIVE.match(text) else text


def original(cell: str) -> str:
    """Return the text whose `neutral` cell this is."""
    return cell[1:] if _NEUTRAL.match(cell) else cell


def written_by_rasd(header: Collection[str]) -> bool:
    """Tell whether a table with these columns is one of ours, whose cells are neutral."""
    return any(ours.issubset(header) for ours in _OURS)
