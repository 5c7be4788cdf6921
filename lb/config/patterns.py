"""Whether a regular expression of a route is safe to run on what a client sends.

Python's ``re`` backtracks: a repeat whose body can match one text in two ways takes exponential
time on hostile input. What we cannot see to be harmless is refused. Pure; ValueError says why.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import Any

try:
    from re import _constants as sre  # type: ignore[attr-defined]
    from re import _parser as sre_parser  # type: ignore[attr-defined]
except ImportError:  # Python 3.10
    import sre_constants as sre
    import sre_parse as sre_parser

MAX_LENGTH = 512
MAX_NESTED_COUNT = 100
"""Product of the upper bounds of two repeats, one inside the other, up to which we allow them."""
MAX_UNBOUNDED = 3
"""More unbounded repeats than this in a row are polynomial of a degree that hurts at 8 KiB."""

_REPEATS = {sre.MAX_REPEAT, sre.MIN_REPEAT, *([sre.POSSESSIVE_REPEAT] if hasattr(sre, "POSSESSIVE_REPEAT") else [])}
_BACK_REFERENCES = {sre.GROUPREF, sre.GROUPREF_EXISTS}


def safe_pattern(text: str) -> str:
    """``text`` if it compiles and cannot take exponential time."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"regular expression longer than {MAX_LENGTH} characters")
    tree = _parsed(text)
    operators = list(_operators(tree))
    if any(op in _BACK_REFERENCES for op, _ in operators):
        raise ValueError("regular expression with a back reference: matching one can take exponential time")
    repeats = [args for op, args in operators if op in _REPEATS]
    if any(_is_ambiguous(args) for args in repeats):
        raise ValueError(
            f"regular expression `{text}` repeats something that itself repeats or has overlapping alternatives: "
            "it can take exponential time on hostile input"
        )
    if sum(args[1] == sre.MAXREPEAT for args in repeats) > MAX_UNBOUNDED:
        raise ValueError(f"regular expression with more than {MAX_UNBOUNDED} unbounded repeats (`*`, `+`)")
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


def _operators(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every (operator, arguments) of a parsed expression, at any depth."""
    if isinstance(tree, (list, tuple)) and len(tree) == 2 and isinstance(tree[0], type(sre.LITERAL)):
        yield tree[0], tree[1]
        tree = tree[1]
    if isinstance(tree, (list, tuple, sre_parser.SubPattern)):
        for part in tree:
            yield from _operators(part)


def _is_ambiguous(repeat: Any) -> bool:
    _, most, body = repeat
    if most <= 1:
        return False
    for op, args in _operators(body):
        if op in _REPEATS and args[0] != args[1] and most * args[1] > MAX_NESTED_COUNT:
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
