"""Checks of single values, one by one: what came from YAML in, what ``lb.model`` holds out.

Each returns seconds, bytes, the one spelling of a thing, and raises ValueError with the sentence
the user reads. Nothing here looks at a second value, and nothing here knows pydantic.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Any

from lb.config import addresses, store_url, units
from lb.config.absent import absence
from lb.config.expand import Expanded
from lb.config.names import INNER_POLICIES, POLICIES, SYNONYMS

_VISIBLE = re.compile(r"[!-~]*", re.ASCII)
_WORDS = {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}


def text_of(value: Any) -> str:
    """``value`` if it is text without control characters."""
    if not isinstance(value, str):
        raise ValueError(f"expected text, got {described(value)}")
    return addresses.refuse_controls(value)


def described(value: Any) -> str:
    """What a value is, for a sentence that says what it should have been."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    shown = str(value)
    return f"`{shown}`" if len(shown) <= 60 else f"`{shown[:57]}...`"


def matching(pattern: re.Pattern[str], expected: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if not pattern.fullmatch(text_of(value)):
            raise ValueError(f"expected {expected}, got {described(value)}")
        return str(value)

    return check


def count(low: int, high: int) -> Callable[[Any], int]:
    """A whole number between two bounds. From a variable it may be text, in quotes it may not."""

    def check(value: Any) -> int:
        from_variable = isinstance(value, Expanded) and re.fullmatch(r"-?[0-9]{1,15}", value, re.ASCII)
        number = int(value) if from_variable else value
        if not isinstance(number, int) or isinstance(number, bool):
            raise ValueError(f"expected a whole number, got {described(value)}")
        if not low <= number <= high:
            raise ValueError(f"expected a number from {low} to {high}, got {number}")
        return number

    return check


def amount(value: Any) -> float:
    """A number of 0 or more, with or without a fraction."""
    from_variable = isinstance(value, Expanded) and re.fullmatch(r"[0-9]{1,12}(?:\.[0-9]{1,9})?", value, re.ASCII)
    number = float(value) if from_variable else value
    if not isinstance(number, (int, float)) or isinstance(number, bool) or not 0 <= number <= 1e12:
        raise ValueError(f"expected a number of 0 or more, got {described(value)}")
    return float(number)


def positive_amount(value: Any) -> float:
    """A maximum that something is divided by."""
    number = amount(value)
    if not number:
        raise ValueError("expected more than 0")
    return number


def workers(value: Any) -> int | None:
    """None: as many as there are cores."""
    return None if value == "auto" else count(1, 512)(value)


def limit_or_none(value: Any) -> int | None:
    return None if value in (None, "none") else count(1, 1_000_000)(value)


def flag(value: Any) -> bool:
    """true and false, and the words people write for them."""
    found = _WORDS.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise ValueError(f"expected true or false, got {described(value)}")
    return found


def token(value: Any) -> str:
    """Never shows what it got: an admin token must not reach a log."""
    if not isinstance(value, str) or not _VISIBLE.fullmatch(value):
        raise ValueError("expected a token of visible ASCII characters; in quotes if it looks like a number")
    return value


def redis_url(value: Any) -> str:
    """Empty, as a variable that is not set gives it, or a URL. Never shows what it got: it may hold a password."""
    if value == "":
        return ""
    if not isinstance(value, str) or not _VISIBLE.fullmatch(value):
        raise ValueError("expected a URL such as redis://10.0.0.5:6379/0")
    store_url.parse(value)
    return value


def key_prefix(value: Any) -> str:
    """It is the hash tag of every key, so it cannot hold braces."""
    text = text_of(value)
    if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", text, re.ASCII):
        raise ValueError(f"expected 1 to 64 letters, digits or `_.:-`, got {described(value)}")
    return text


def machine_name(value: Any) -> str:
    text = text_of(value)
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", text, re.ASCII):
        raise ValueError(f"expected 1 to 64 letters, digits or `_.-`, got {described(value)}")
    return text


def positive_duration(value: Any) -> float:
    seconds = units.duration_s(value)
    if seconds <= 0:
        raise ValueError("expected more than 0")
    return seconds


def class_spec(value: Any) -> str:
    module, colon, name = text_of(value).partition(":")
    if not colon or not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise ValueError(f"expected module:Class such as policies:Fastest, got {described(value)}")
    return str(value)


def remembered(value: Any) -> float:
    """Times are counted modulo 18 hours (``lb.state.clients``)."""
    seconds = units.duration_s(value)
    if not 2 <= seconds <= 12 * 3600:
        raise ValueError("expected 2s to 12h")
    return seconds


def probe_path(value: Any) -> str:
    path = text_of(value)
    if not path.startswith("/") or not _VISIBLE.fullmatch(path) or "#" in path:
        raise ValueError(f"expected a path such as /health, got {described(path)}")
    return path


def network(value: Any) -> str:
    text = text_of(value)
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        pass
    try:
        loose = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"expected an address range such as 10.0.0.0/8, got {described(value)}") from None
    raise ValueError(f"`{text}` has bits set beyond its prefix: did you mean `{loose}`?")


def statuses(value: Any) -> tuple[int, ...]:
    """``200``, ``2xx``, ``200-299`` or a list of these, as single statuses."""
    parts = value if isinstance(value, list) else [value]
    found: dict[int, None] = {}
    for part in parts:
        found.update(dict.fromkeys(_status_range(part)))
    return tuple(found)


def _status_range(part: Any) -> range:
    match = re.fullmatch(r"([1-5])xx|([1-5][0-9]{2})(?:\s*-\s*([1-5][0-9]{2}))?", str(part), re.ASCII)
    if not match or isinstance(part, bool):
        raise ValueError(f"expected a status such as 200, 2xx or 200-299, got {described(part)}")
    if match[1]:
        return range(int(match[1]) * 100, int(match[1]) * 100 + 100)
    low, high = int(match[2]), int(match[3] or match[2])
    if low > high:
        raise ValueError(f"status range `{part}` is upside down: did you mean `{high}-{low}`?")
    return range(low, high + 1)


def size_or_none(value: Any) -> int | None:
    return None if value in ("none", None) else units.size_bytes(value)


def one_of(*choices: str) -> Callable[[Any], str]:
    """One of a few words; a number is taken for its digits (``502`` in a list of causes)."""

    def check(value: Any) -> str:
        word = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
        if word not in choices:
            expected = f"expected one of {', '.join(choices)}"
            if reason := absence(word):
                raise ValueError(f"`{word}` {reason}; {expected}")
            raise ValueError(f"{expected}, got {described(value)}{did_you_mean(word, choices)}")
        return word

    return check


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """The end of a sentence about an unknown name; empty if nothing is near."""
    by_lower = {choice.lower(): choice for choice in choices}
    for ours in SYNONYMS.get(word.lower(), ()):
        if ours in by_lower:
            return f", did you mean `{ours}`?"
    close = difflib.get_close_matches(word[:100].lower(), list(by_lower), n=1, cutoff=0.6)
    return f", did you mean `{by_lower[close[0]]}`?" if close else ""


def policy_name(value: Any) -> str:
    name = text_of(value)
    if name not in POLICIES:
        near = did_you_mean(name, POLICIES) or f": expected one of {', '.join(POLICIES)}"
        raise ValueError(f"unknown policy {described(name)}{near}")
    return name


def inner_policy(value: Any) -> str:
    name = policy_name(value)
    if name not in INNER_POLICIES:
        raise ValueError(f"`{name}` cannot be within itself: expected one of {', '.join(INNER_POLICIES)}")
    return name


def backend_url(value: Any) -> addresses.Address:
    return addresses.backend_url(text_of(value))


def bind(value: Any) -> addresses.Address:
    return addresses.bind_address(str(value) if type(value) is int else text_of(value))


def port_or_none(value: Any) -> int | None:
    return None if value in (None, "none") else count(1, 65535)(value)


def host_or_empty(value: Any) -> str:
    return addresses.host_name(text_of(value)) if value != "" else ""


identifier = matching(
    re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9_])?", re.ASCII),
    "a name of letters, digits, `_`, `.` and `-`, at most 64 of them",
)
label = matching(re.compile(r"[!#-\[\]-~]{1,200}", re.ASCII), "visible ASCII characters without quotes, at most 200")
