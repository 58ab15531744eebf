"""HTML inside a field to plain text: the ends of blocks become line breaks."""

import html
import re
from html.parser import HTMLParser

_BLOCK_NAMES = (
    "address article aside blockquote br caption center dd div dl dt fieldset figcaption figure "
    "footer form h1 h2 h3 h4 h5 h6 header hr li main nav ol p pre section table tbody td tfoot th "
    "thead title tr ul"
)
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_INLINE = (
    "a abbr audio b bdi bdo big cite code del em embed font i iframe img ins mark object q s small "
    "span strike strong sub sup time u video"
)
_HIDDEN = frozenset(["script", "style", "noscript", "template"])
# «5 < 6» and <رويترز> are no tags.
_NAMES = "|".join([*_BLOCKS, *_INLINE.split(), *_HIDDEN])
_TAG = re.compile(rf"</?(?:{_NAMES})(?:\s[^<>]*)?/?>", re.IGNORECASE)
# Of a field whose tags are escaped once more, as many feeds have them. A lone <script> is what an
# article writes about, and what follows it would be lost.
_SURE = re.compile(rf"</(?:{_NAMES})\s*>|<br\s*/?>", re.IGNORECASE)
_BLOCK = re.compile(rf"</?(?:{'|'.join(_BLOCKS)})(?:\s[^<>]*)?/?>", re.IGNORECASE)
# Where a line break of the source ends a paragraph. WordPress keeps paragraphs as blank lines, and
# text without any block, only with links or bold words, has the lines that its author wrote.
_BLANK_LINE = re.compile(r"\n(?:[^\S\n]*+\n)++")
_LINE_END = re.compile(r"\n")
# Feeds wrap a field in such marks; a parser of HTML loses what is inside.
_CDATA = ("<![CDATA[", "]]>")
_ENTITY = re.compile(r"&(?:[a-zA-Z][a-zA-Z0-9]{1,30}|#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6});")
_SPACES = re.compile(r"[^\S\n]+")
_BREAKS = re.compile(r" ?\n[ \n]*")


def html_to_text(text: str) -> tuple[str, bool]:
    """Return `text` without tags and entities, and True; or as it is, and False."""
    whole = text.strip()
    if whole.startswith(_CDATA[0]) and whole.endswith(_CDATA[1]):
        return html_to_text(whole.removeprefix(_CDATA[0]).removesuffix(_CDATA[1]))[0], True
    if "<" in text and _TAG.search(text):
        parser = _Text(paragraphs=_BLANK_LINE if _BLOCK.search(text) else _LINE_END)
        parser.feed(_finished(text))
        parser.close()
        joined = _BREAKS.sub("\n", _SPACES.sub(" ", "".join(parser.parts))).strip()
        return joined, True
    if "&" in text and _ENTITY.search(text):
        plain = html.unescape(text)
        return html_to_text(plain) if _SURE.search(plain) else (plain, plain != text)
    return text, False


def _finished(text: str) -> str:
    """Return `text` with the comments and tags that do not end escaped: nothing is lost with them.

    Versions of the library differ in what they make of those, and some search the rest of the text
    for the end of each, which takes quadratic time.
    """
    comments = text.rfind("-->") + 1
    text = text[:comments] + text[comments:].replace("<!--", "&lt;!--")
    head, end, tail = text.rpartition(">")
    return head + end + tail.replace("<", "&lt;")


class _Text(HTMLParser):
    """Collects what a browser would show, in `parts`."""

    def __init__(self, paragraphs: re.Pattern[str]) -> None:
        super().__init__(convert_charrefs=True)
        self._paragraphs = paragraphs
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        self._hidden += tag in _HIDDEN
        self._break(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        self._break(tag)

    def handle_endtag(self, tag: str) -> None:
        self._hidden = max(0, self._hidden - (tag in _HIDDEN))
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            # Any other line break of the source is a blank, as in a browser.
            lines = self._paragraphs.split(data.replace("\r\n", "\n").replace("\r", "\n"))
            self.parts.append("\n".join(line.replace("\n", " ") for line in lines))

    def parse_marked_section(self, i: int, report: bool = True) -> int:
        """Read «<![if …]>» as browsers do, as a comment; the library fails at unknown words."""
        return self.parse_bogus_comment(i, report)

    def _break(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.parts.append("\n")
