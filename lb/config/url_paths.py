"""How the path of a URL is read: its one normal form, and whether somebody may read it otherwise.

Pure, on bytes as they were sent. The router and the checks of routes share it, so that a route is
written in the form in which it is matched. Needs no pydantic: workers import it.
"""

from __future__ import annotations

import re
from functools import lru_cache

_needs_normalising = re.compile(rb"%|//|/\.").search
_percent = re.compile(rb"%([0-9A-Fa-f]{2})?")
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@")
"""What may stand in a segment as it is (``pchar``, RFC 3986 section 3.3), but ``;``: with an escape it begins no parameter."""

find_ambiguity = re.compile(
    rb"""
      [;"<>\[\]^`{|}]                   # parameters; what RFC 3986 allows in no path
    | //                                # empty segments
    | /(?:\.|%2[eE]|%20)+(?:/|\Z)       # segments of dots, plain or escaped, and spaces that Windows drops behind them
    | /\([A-Za-z]\(                     # a session in the path, which ASP.NET cuts off
    | (?::|%3[aA])(?:[$]|%24|:|%3[aA])  # NTFS streams
    | %(?: [01] | 7[fF]                 # NUL and other controls
         | 2[35fF] | 3[bBfF] | 5[cC]    # \x23 % / ; ? and backslash
         | [cC][01] | [eE]0%[89] | [fF]0%8 | [fF][89a-fA-F]     # ASCII as overlong UTF-8 (RFC 3629 section 3)
         | (?![0-9A-Fa-f]{2}) )         # no escape at all
    """,
    re.VERBOSE,
).search
"""The first thing in a path of visible ASCII that backends are known to read in several ways, or None.

Without one, decoding once or twice, merging slashes, resolving dots, cutting parameters off and taking
``\\`` for ``/`` change nothing about which route a path takes.
"""


def normal_path(path: bytes) -> bytes:
    """The form an origin would understand: escapes of what may stand plainly decoded, others in upper case,
    dot segments resolved (RFC 3986 section 6.2.2), repeated slashes merged, as most origins do. ``%2F`` stays
    an escape, and a percent sign that begins none becomes one, so that it cannot begin another with what is
    decoded behind it."""
    return _normalised(path) if _needs_normalising(path) else path


@lru_cache(maxsize=16)
def _normalised(path: bytes) -> bytes:
    """Remembered, because every route that is asked wants it: 8 KiB of escapes are milliseconds each time."""
    path = _percent.sub(_decode_plain, path)
    kept: list[bytes] = []
    segments = path.split(b"/")
    for segment in segments[1:]:
        if segment == b"..":
            if kept:
                kept.pop()
        elif segment not in (b"", b"."):
            kept.append(segment)
    ends_open = segments[-1] in (b"", b".", b"..")
    return b"/" + b"/".join(kept) + (b"/" if ends_open and kept else b"")


def _decode_plain(escape: re.Match[bytes]) -> bytes:
    if escape[1] is None:
        return b"%25"
    code = int(escape[1], 16)
    return bytes((code,)) if code in _PLAIN else escape[0].upper()
