"""Load reports that backends send with their answers (ORCA): field value in, utilizations or named metrics out, or a ``BadReport``.

The field ``endpoint-load-metrics`` begins with its format: ``TEXT cpu_utilization=0.3,mem_utilization=0.8``,
``JSON {"cpu_utilization": 0.3}`` or ``BIN`` with a protobuf message in base64, which ``endpoint-load-metrics-bin`` holds by itself.
Names, numbers and bounds are those of xds.data.orca.v3.OrcaLoadReport; forms and prefixes those that Envoy and gRPC read.
Sans-I/O; what comes is a backend's word and may be anything.
"""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Iterator
from math import inf
from struct import unpack_from
from sys import float_info
from typing import Any, Final

from lb.structs import msgspec

MAX_VALUE_BYTES: Final = 4096
"""A report with dozens of named metrics has a kilobyte."""
_MOST_FIELDS: Final = 256
"""Of a protobuf message: 4 KiB hold 1,500 of two bytes, a millisecond's work for each answer."""
ABSENT: Final = -1.0

_CPU, _MEMORY, _APPLICATION = 0, 1, 2
_FIELDS = {
    "cpu_utilization": _CPU,
    "cpuUtilization": _CPU,
    "mem_utilization": _MEMORY,
    "memUtilization": _MEMORY,
    "application_utilization": _APPLICATION,
    "applicationUtilization": _APPLICATION,
}
"""Protobuf's JSON has either spelling."""
_NUMBERS = {1: _CPU, 2: _MEMORY, 9: _APPLICATION}
_NAMED: Final = 8
_NAMED_PREFIX: Final = b"named_metrics."
_MOST = (1_000.0, 1.0, 1_000.0)
"""Utilization of a processor may be over 1, by cores that are lent; more than a thousand is no measurement."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LARGEST: Final = float_info.max
_is_number = re.compile(rb"[0-9]{1,20}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,3})?").fullmatch
_is_base64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}").fullmatch


class BadReport(Exception):
    """The value is no report; nothing of it is used."""


def parse_report(line: bytes) -> tuple[float, float]:
    """Utilization of processor and memory, 1.0 when full, by a whole field line; ``ABSENT``: the report does not say.

    ``application_utilization`` goes before the processor's where it is there and above 0 (gRPC proposal A58).
    """
    form, rest = _form_of(line)
    found = [ABSENT, ABSENT, ABSENT]
    if form == b"TEXT":
        _read_text(rest, found)
    elif form == b"JSON":
        _read_json(rest, found)
    else:
        _read_message(_from_base64(rest), found)
    return (found[_APPLICATION] if found[_APPLICATION] > 0.0 else found[_CPU]), found[_MEMORY]


def named_metrics(line: bytes) -> dict[str, float]:
    """What a backend says beside the utilizations, under names of its own; what is no number of 0 or more is left out."""
    form, rest = _form_of(line)
    if form == b"TEXT":
        return _named_in_text(rest)
    if form == b"JSON":
        return _named_in_json(rest)
    return _named_in_message(_from_base64(rest))


def number_of(text: bytes) -> float | None:
    """Of 0 or more, and finite; None: it is something else."""
    number = float(text) if _is_number(text) else inf
    return number if number < inf else None


def _form_of(line: bytes) -> tuple[bytes, bytes]:
    """TEXT, JSON or BIN, and what is in it."""
    name, _, value = line.partition(b":")
    value = value.strip(b" \t")
    if len(value) > MAX_VALUE_BYTES:
        raise BadReport("too long")
    form, _, rest = (b"BIN", b"", value) if name.lower().endswith(b"-bin") else value.partition(b" ")
    if form not in (b"TEXT", b"JSON", b"BIN"):
        raise BadReport("format")
    return form, rest.strip(b" \t")


def _take(found: list[float], field: int, number: float) -> None:
    if not 0.0 <= number <= _MOST[field]:  # false for NaN too
        raise BadReport("number")
    found[field] = number


def _read_text(text: bytes, found: list[float]) -> None:
    for pair in text.split(b","):
        name, separator, number = pair.strip(b" \t").partition(b"=")
        if not separator or not name:
            raise BadReport("pair")
        field = _FIELDS.get(name.decode("latin-1"))
        if field is None:
            continue
        if found[field] != ABSENT or not _is_number(number):
            raise BadReport("twice, or no number")
        _take(found, field, float(number))


def _named_in_text(text: bytes) -> dict[str, float]:
    pairs = [pair.strip(b" \t").partition(b"=") for pair in text.split(b",")]
    return {
        name.removeprefix(_NAMED_PREFIX).decode("latin-1"): number
        for name, _, said in pairs
        if name.startswith(_NAMED_PREFIX) and (number := number_of(said)) is not None
    }


def _document(text: bytes) -> dict[str, Any]:
    try:
        document: Any = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadReport("not JSON") from error
    if not isinstance(document, dict):
        raise BadReport("not an object")
    return document


def _named_in_json(text: bytes) -> dict[str, float]:
    document = _document(text)
    named = document.get("named_metrics", document.get("namedMetrics"))
    if not isinstance(named, dict):
        return {}
    return {
        name: float(said)
        for name, said in named.items()
        if isinstance(said, (int, float)) and not isinstance(said, bool) and 0 <= said <= _LARGEST
    }


def _read_json(text: bytes, found: list[float]) -> None:
    for name, number in _document(text).items():
        field = _FIELDS.get(name)
        if field is None:
            continue
        if isinstance(number, bool) or not isinstance(number, (int, float)) or number > _MOST[field]:
            raise BadReport("number")  # a whole number may be too large for a float
        _take(found, field, float(number))


def _from_base64(text: bytes) -> bytes:
    """With its padding or, as gRPC sends it, without."""
    if not _is_base64(text):
        raise BadReport("not base64")
    try:
        return a2b_base64(text + b"=" * (-len(text) % 4))
    except Base64Error as error:
        raise BadReport("not base64") from error


def _read_message(message: bytes, found: list[float]) -> None:
    """Of a protobuf message the three doubles that count; everything else is passed over, within its bounds."""
    for number, wire, start, _ in _fields_of(message):
        if number in _NUMBERS:
            if wire != _FIXED64:
                raise BadReport("field")
            _take(found, _NUMBERS[number], unpack_from("<d", message, start)[0])


def _named_in_message(message: bytes) -> dict[str, float]:
    """Of the entries of the map: a name (1) and a double (2), either of which protobuf leaves out where it is empty or 0."""
    found: dict[str, float] = {}
    for number, wire, start, end in _fields_of(message):
        if number != _NAMED or wire != _BYTES:
            continue
        entry = message[start:end]
        name, said = "", 0.0
        for part, part_wire, at, until in _fields_of(entry):
            if part == 1 and part_wire == _BYTES:
                name = entry[at:until].decode("utf-8", "replace")
            elif part == 2 and part_wire == _FIXED64:
                said = unpack_from("<d", entry, at)[0]
        if 0.0 <= said < inf:
            found[name] = said
    return found


def _fields_of(message: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Number, wire type, and where it begins and ends, of each field."""
    at, size = 0, len(message)
    left = _MOST_FIELDS
    while at < size:
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        left -= 1
        if number == 0 or left < 0:
            raise BadReport("field")
        start = at
        if wire == _VARINT:
            _, at = _varint(message, at)
        elif wire == _BYTES:
            length, start = _varint(message, at)
            at = start + length
        elif wire == _FIXED64:
            at += 8
        elif wire == _FIXED32:
            at += 4
        else:
            raise BadReport("wire type")
        if at > size:
            raise BadReport("cut off")
        yield number, wire, start, at


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number of at most ten bytes, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise BadReport("cut off")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise BadReport("varint")
