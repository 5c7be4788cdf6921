"""Field lines of HTTP/1.1 heads: one regular expression that accepts a whole block, and the names
that mean something to an intermediary (RFC 9110 section 5 and 7.6, RFC 9112 section 5).

Works on bytes only: ``str`` methods know spaces, digits and line ends that HTTP does not.
Shared by requests and responses; knows nothing of either's rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
VALUE = rb"[\t\x20-\x7e\x80-\xff]*"

match_line = re.compile(rb"(" + TOKEN + rb"):[\t ]*(" + VALUE + rb")").fullmatch
"""One line without its CRLF; the value may still have white space behind it."""

is_block = re.compile(rb"(?:" + TOKEN + rb":" + VALUE + rb"\r\n)*").fullmatch
"""Accepts lines of ``name:value`` each ended by CRLF: no fold, no bare CR or LF, no space before the
colon, no control characters but HTAB (RFC 9112 section 5.1, 5.2)."""

find_broken_line_end = re.compile(rb"(?<!\r)\n|\r(?=[^\n])|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]").search
"""Finds a byte that no head may contain, in a head that is not complete yet (a lone CR at the very end is not known yet)."""

is_content_length = re.compile(rb"[0-9]{1,400}").fullmatch
MAX_CONTENT_LENGTH = 2**63 - 1

MAX_LINE_BYTES: Final = 8190
MAX_HEAD_BYTES: Final = 64 * 1024
MAX_FIELDS: Final = 100
MAX_RESPONSE_FIELDS = 200

HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade", b"http2-settings")
)
"""RFC 9110 section 7.6.1; ``http2-settings`` belongs to an h2c upgrade (RFC 7540 section 3.2.1)."""

END_TO_END_ALWAYS = frozenset((b"host", b"content-length", b"content-type", b"content-encoding", b"date"))
"""Names that a sender cannot remove by listing them in ``Connection``: every recipient needs them."""


def list_items(value: bytes) -> list[bytes]:
    """Members of a comma separated list in lower case, without empty ones (RFC 9110 section 5.6.1)."""
    return [item for part in value.lower().split(b",") if (item := part.strip(b" \t"))]


def parse_content_length(value: bytes) -> int:
    """The length, or -1 if ``value`` is no plain digits, or -2 if it is over 2^63-1."""
    if not is_content_length(value):
        return -1
    digits = value.lstrip(b"0") or b"0"
    if len(digits) > 19:
        return -2
    length = int(digits)
    return length if length <= MAX_CONTENT_LENGTH else -2


_MOST_LINES = 4096
_LONGEST_LINE = 256
_NEVER_KEPT = (
    b"cookie:", b"set-cookie:", b"authorization:", b"content-length:", b"referer:", b"etag:",
    b"if-none-match:", b"endpoint-load-metrics", b"x-request-id:", b"traceparent:", b"x-forwarded-for:", b"forwarded:",
)  # fmt: skip


class KnownLines(dict[bytes, Any]):
    """What single field lines mean, remembered: nearly all lines of nearly all heads have been seen before.

    ``judge(line)`` gives the meaning, or raises for a line that is none. Bounded; long lines, and fields
    that hold secrets or differ each time, are judged anew.
    """

    def __init__(self, judge: Callable[[bytes], Any]) -> None:
        super().__init__()
        self._judge = judge

    def __missing__(self, line: bytes) -> Any:
        meaning = self._judge(line)
        if len(line) <= _LONGEST_LINE and not line.lower().startswith(_NEVER_KEPT):
            if len(self) >= _MOST_LINES:
                self.clear()
            self[line] = meaning
        return meaning
