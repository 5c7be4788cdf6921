"""Whether a regular expression of a route is safe to run on what a client sends.

Python's ``re`` backtracks: a repeat whose body can match one text in two ways takes exponential
time on hostile input, and repeats in a row that can trade what they match a power of its length. What
we cannot see to be harmless is refused. Pure; ValueError says why.
"""

from __future__ import annotations

import re
import warnings
from typing import Any

from lb.config.pattern_ways import REPEATS, operators, ways_to_match

try:
    from re import _constants as sre  # type: ignore[attr-defined]
    from re import _parser as sre_parser  # type: ignore[attr-defined]
except ImportError:  # Python 3.10
    import sre_constants as sre
    import sre_parse as sre_parser

MAX_LENGTH = 512
MAX_NESTED_COUNT = 100
"""Product of the upper bounds of two repeats, one inside the other, up to which we allow them."""
MAX_WAYS = 256
"""Two unbounded repeats that trade: the square of 8 KiB, 0.2 s at the worst. A third makes that an hour."""

_BACK_REFERENCES = {sre.GROUPREF, sre.GROUPREF_EXISTS}


def safe_pattern(text: str) -> str:
    """``text`` if it compiles and cannot take long, matched as a whole with DOTALL."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"regular expression longer than {MAX_LENGTH} characters")
    tree = _parsed(text)
    found = list(operators(tree))
    if any(op in _BACK_REFERENCES for op, _ in found):
        raise ValueError("regular expression with a back reference: matching one can take exponential time")
    if any(_is_ambiguous(args) for op, args in found if op in REPEATS):
        raise ValueError(
            f"regular expression `{text}` repeats something that itself repeats or has overlapping alternatives: "
            "it can take exponential time on hostile input"
        )
    if ways_to_match(tree) > MAX_WAYS:
        raise ValueError(
            f"regular expression `{text}` can match the same text in too many ways: at most two unbounded repeats "
            "(`*`, `+`), or eight optional parts, may follow each other that the same characters can be in"
        )
    return text


def _parsed(text: str) -> Any:
    """Compiled both as text (query) and as bytes (header fields): some flags and escapes suit one only."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # "possible nested set" and the like: not what was meant
            re.compile(text)
            re.compile(text.encode())
            return sre_parser.parse(text)
    except (re.error, Warning, ValueError) as error:
        raise ValueError(f"regular expression does not compile: {error}") from None
    except (OverflowError, RecursionError):
        raise ValueError("regular expression does not compile: too large") from None


def _is_ambiguous(repeat: Any) -> bool:
    _, most, body = repeat
    if most <= 1:
        return False
    for op, args in operators(body):
        if op in REPEATS and args[0] != args[1] and most * args[1] > MAX_NESTED_COUNT:
            return True
        if op is sre.BRANCH and most > MAX_NESTED_COUNT and _overlaps(args[1]):
            return True
    return False


def _overlaps(alternatives: Any) -> bool:
    """Whether two alternatives may begin with one and the same character, as far as we can see."""
    firsts = [_first(alternative) for alternative in alternatives]
    return None in firsts or len(set(firsts)) < len(firsts)


def _first(alternative: Any) -> int | None:
    """The character an alternative begins with; None: several, or none at all."""
    if not len(alternative) or alternative[0][0] is not sre.LITERAL:
        return None
    code: int = alternative[0][1]
    return code
