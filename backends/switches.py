"""What a caller may ask of any endpoint by query: wait, answer with a status, fail now and then.

``?delay=250ms`` waits first, ``?status=503`` replaces the answer, ``?fail=0.2`` answers 500 to that
share of requests. A value that makes no sense is answered 400, never ignored.
"""

from __future__ import annotations

import random
import re
from typing import TypeVar

import gevent

from backends.exchange import Reply, Request, json_reply

DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|)", re.ASCII)
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "": 1.0}

Number = TypeVar("Number", int, float)


class BadSwitch(Exception):
    """A query value we cannot use; the text goes to the caller."""


def duration_s(text: str) -> float:
    """``250ms``, ``2s``, ``1m`` or plain seconds."""
    match = DURATION.fullmatch(text)
    if match is None:
        raise BadSwitch(f"not a duration: {text!r} (try 250ms, 2s or 1m)")
    return float(match[1]) * SECONDS[match[2]]


def bounded(text: str, low: Number, high: Number) -> Number:
    """The number in ``text`` when it is within ``low``..``high``; of ``low``'s type."""
    try:
        value = type(low)(text)
    except ValueError:
        raise BadSwitch(f"not a number: {text!r}") from None
    if not low <= value <= high:
        raise BadSwitch(f"{text} is not within {low} to {high}")
    return value


def apply(request: Request, dice: random.Random) -> Reply | None:
    """Waits if asked to; the reply that replaces the endpoint's, or None to go on."""
    query = request.query
    if "delay" in query:
        gevent.sleep(duration_s(query["delay"]))
    if "fail" in query and dice.random() < bounded(query["fail"], 0.0, 1.0):
        return json_reply({"error": "failed on request"}, 500)
    if "status" in query:
        return status_reply(bounded(query["status"], 200, 599))
    return None


def status_reply(status: int) -> Reply:
    """204 and 304 carry no body (RFC 9110 section 6.4.1)."""
    return Reply(status=status) if status in (204, 304) else json_reply({"status": status}, status)
