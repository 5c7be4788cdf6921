"""Which characters one item of a regular expression may match. Pure.

A set is a number with a bit for each character of Latin-1, and for each class of all others: it matches text (query)
and bytes (header fields), so it holds what either may be.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

try:
    from re import _constants as sre  # type: ignore[attr-defined]
except ImportError:  # Python 3.10
    import sre_constants as sre

_CLASSES = {r"\d": "\u0661", r"\s": "\u2003", r"\w": "\u0101", "": "\u2026"}
"""Of characters beyond Latin-1: what tells them, in this order, and an example."""
_LATIN_1 = (1 << 256) - 1
_ALL = (1 << 256 + len(_CLASSES)) - 1
_CATEGORIES = {
    sre.CATEGORY_DIGIT: r"\d", sre.CATEGORY_NOT_DIGIT: r"\D", sre.CATEGORY_SPACE: r"\s",
    sre.CATEGORY_NOT_SPACE: r"\S", sre.CATEGORY_WORD: r"\w", sre.CATEGORY_NOT_WORD: r"\W",
}  # fmt: skip


def chars_of(op: Any, args: Any, flags: int) -> int:
    """``op``: LITERAL, NOT_LITERAL, ANY or IN."""
    if op is sre.ANY:
        return _ALL
    if op is not sre.IN:
        op, args = sre.IN, [(sre.NEGATE, None)] * (op is sre.NOT_LITERAL) + [(sre.LITERAL, args)]
    found = certain = 0
    for kind, value in args:
        if kind is sre.CATEGORY:
            may, must = _category(_CATEGORIES[value], flags & re.ASCII)
        elif kind is not sre.NEGATE:
            may, must = _range(*(value if kind is sre.RANGE else (value, value)))
        else:
            continue
        found |= may
        certain |= must
    if flags & re.IGNORECASE:
        found = _with_other_case(found)
    return _ALL & ~certain if args[0][0] is sre.NEGATE else found


def _range(first: int, last: int) -> tuple[int, int]:
    """What is in it, and what is wholly in it."""
    latin = (1 << min(last, 255) + 1) - 1 & ~((1 << first) - 1) if first < 256 else 0
    if last < 256:
        return latin, latin
    return latin | (_bit(last) if first == last else _ALL & ~_LATIN_1), latin


@lru_cache(maxsize=16)
def _category(escape: str, ascii_flag: int) -> tuple[int, int]:
    matches = re.compile(escape, ascii_flag).match
    as_text = sum(1 << code for code in range(256) if matches(chr(code)))
    others = sum(1 << 256 + at for at, char in enumerate(_CLASSES.values()) if matches(char))
    as_bytes = sum(1 << code for code in range(256) if re.match(escape.encode(), bytes((code,))))
    return as_text | as_bytes | others, as_text & as_bytes | others


def _bit(code: int) -> int:
    if code < 256:
        return 1 << code
    return 1 << 256 + next(at for at, escape in enumerate(_CLASSES) if re.match(escape, chr(code)))


@lru_cache(maxsize=256)
def _with_other_case(chars: int) -> int:
    """K and S have one beyond Latin-1 too: the Kelvin sign, and the long s."""
    for code in range(256):
        if chars >> code & 1:
            for char in (chr(code).upper(), chr(code).lower()):
                if len(char) == 1:
                    chars |= _bit(ord(char))
    if chars >> ord("k") & 1 or chars >> ord("s") & 1:
        chars |= _bit(0x212A)
    return chars
