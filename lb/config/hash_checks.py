"""Checks of the single values of hash policies: keys, primes, bounds and polynomials.

The same kind as ``lb.config.checks``: a value in, what ``lb.model`` holds out, ValueError with the
sentence the user reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lb.config.checks import amount, count, described, did_you_mean, text_of
from lb.config.names import NAMED_KEYS, PLAIN_KEYS, REQUEST_HASHES, SERVER_HASHES
from lb.config.route_checks import field_name
from lb.model import HashKey

MAX_SLOTS = 5_000_011
"""The largest prime taken: its table takes a worker some 100 MiB and many seconds already."""

_count = count(-1_000_000_000, 1_000_000_000)
_size = count(2, MAX_SLOTS)


def hash_key(value: Any) -> HashKey:
    """``url``, or ``{header: X-User}``."""
    if isinstance(value, dict) and len(value) == 1:
        [(kind, name)] = value.items()
        return _named_key(kind, name)
    if not isinstance(value, str):
        raise ValueError(f"expected {', '.join(PLAIN_KEYS)} or {{header: NAME}}, got {described(value)}")
    if value in NAMED_KEYS:
        raise ValueError(f"`{value}` needs a name: write {{{value}: NAME}}")
    if value not in PLAIN_KEYS:
        near = did_you_mean(value, (*PLAIN_KEYS, *NAMED_KEYS))
        raise ValueError(f"unknown key {described(value)}{near or _expected()}")
    return HashKey(value)  # type: ignore[arg-type]


def _named_key(kind: Any, name: Any) -> HashKey:
    if kind not in NAMED_KEYS:
        raise ValueError(f"unknown key {described(kind)}{did_you_mean(str(kind), NAMED_KEYS) or _expected()}")
    if kind == "header":
        return HashKey(kind, field_name(name).lower())
    if not text_of(name) or (kind == "cookie" and any(mark in name for mark in "=; ")):
        raise ValueError(f"expected the name of a {kind}, got {described(name)}")
    return HashKey(kind, name)


def _expected() -> str:
    return f": expected one of {', '.join(PLAIN_KEYS)}, or {', '.join(f'{{{key}: NAME}}' for key in NAMED_KEYS)}"


def prime(value: Any) -> int:
    number = _size(value)
    if not _is_prime(number):
        next_one = next((n for n in range(number, MAX_SLOTS + 1) if _is_prime(n)), MAX_SLOTS)
        raise ValueError(f"{number} is not a prime: did you mean {next_one}?")
    return number


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))


def bounded_load(value: Any) -> float | None:
    """A factor above 1, as 1 + epsilon is written in the paper."""
    if value in (None, "none"):
        return None
    factor = amount(value)
    if not 1 < factor <= 100:
        hint = f", did you mean {1 + factor:g}?" if 0 < factor < 1 else ", such as 1.25"
        raise ValueError(f"expected more than 1 and at most 100{hint}")
    return factor


def _coefficients(named: Mapping[str, tuple[int, ...]]) -> Callable[[Any], tuple[int, ...]]:
    """A function of the contract's table: by name, or by its coefficients."""
    wanted = len(named["contract"])

    def check(value: Any) -> tuple[int, ...]:
        if isinstance(value, str) and value in named:
            return named[value]
        if isinstance(value, list) and len(value) == wanted:
            return tuple(_count(one) for one in value)
        near = did_you_mean(value, named) if isinstance(value, str) else ""
        raise ValueError(f"expected one of {', '.join(named)} or {wanted} whole numbers, got {described(value)}{near}")

    return check


request_hash = _coefficients(REQUEST_HASHES)
server_hash = _coefficients(SERVER_HASHES)
