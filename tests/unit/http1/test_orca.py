"""Load reports in every form that is public, and that junk is junk."""

from __future__ import annotations

import base64
import struct
from contextlib import suppress
from math import inf
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lb.http1.orca import ABSENT, MAX_VALUE_BYTES, BadReport, named_metrics, parse_report
from lb.http1.response import parse_response


def double(number: int, value: float) -> bytes:
    return bytes([number << 3 | 1]) + struct.pack("<d", value)


def entry(number: int, name: bytes, value: float) -> bytes:
    """Of a map: name to a double."""
    pair = b"\x0a" + bytes([len(name)]) + name + double(2, value)
    return bytes([number << 3 | 2, len(pair)]) + pair


WHOLE = (
    double(1, 0.7) + double(2, 0.9) + b"\x18\xc8\x01" + entry(4, b"db", 3.0) + entry(5, b"gpu", 0.2) + double(6, 41.5)
    + double(7, 0.5) + entry(8, b"queue", 12.0)
)  # fmt: skip
"""Every field but application_utilization, with the numbers of xds/data/orca/v3/orca_load_report.proto; rps is a varint."""


def in_base64(message: bytes) -> bytes:
    return base64.b64encode(message)


def report(value: bytes, name: bytes = b"endpoint-load-metrics") -> tuple[float, float]:
    return parse_report(name + b": " + value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"TEXT cpu_utilization=0.3", (0.3, ABSENT)),
        (b"TEXT cpu_utilization=0.3,mem_utilization=0.8", (0.3, 0.8)),
        (b"TEXT cpu_utilization=1.5, mem_utilization=0", (1.5, 0.0)),
        (b"TEXT cpu_utilization=0.3,application_utilization=0.6", (0.6, ABSENT)),
        (b"TEXT application_utilization=0,cpu_utilization=3e-1", (0.3, ABSENT)),
        (b"TEXT named_metrics.kv_cache=-7,eps=x,rps_fractional=10.0", (ABSENT, ABSENT)),
        (b'JSON {"cpu_utilization": 0.3, "mem_utilization": 0.8}', (0.3, 0.8)),
        (b'JSON {"cpuUtilization": 1, "memUtilization": 0.5, "namedMetrics": {"a": [1]}}', (1.0, 0.5)),
        (b'JSON {"applicationUtilization": 0.25}', (0.25, ABSENT)),
        (b"JSON {}", (ABSENT, ABSENT)),
        (b"BIN " + in_base64(WHOLE), (0.7, 0.9)),
        (b"BIN " + in_base64(WHOLE + double(9, 0.8)), (0.8, 0.9)),
        (b"BIN " + in_base64(double(2, 0.1)), (ABSENT, 0.1)),
    ],
)
def test_reports(value: bytes, expected: tuple[float, float]) -> None:
    assert report(value) == expected


@pytest.mark.parametrize("name", [b"endpoint-load-metrics-bin", b"Endpoint-Load-Metrics-Bin"])
@pytest.mark.parametrize("strip", [b"", b"="], ids=["padded", "unpadded"])
def test_the_field_of_grpc(name: bytes, strip: bytes) -> None:
    for message in (WHOLE, double(1, 0.7) + double(2, 0.9), entry(8, b"ab", 1.0) + double(1, 0.7) + double(2, 0.9)):
        assert report(in_base64(message).rstrip(strip or b" "), name) == (0.7, 0.9)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"cpu_utilization=0.3",
        b"text cpu_utilization=0.3",
        b"XML <cpu/>",
        b"TEXT",
        b"TEXT ",
        b"TEXT cpu_utilization",
        b"TEXT cpu_utilization=",
        b"TEXT cpu_utilization=0.3,",
        b"TEXT cpu_utilization=nan",
        b"TEXT cpu_utilization=inf",
        b"TEXT cpu_utilization=-0.1",
        b"TEXT cpu_utilization=1_0",
        b"TEXT cpu_utilization=\xd9\xa1",
        b"TEXT cpu_utilization=1001",
        b"TEXT mem_utilization=1.01",
        b"TEXT cpu_utilization=1e999",
        b"TEXT cpu_utilization=0.1,cpu_utilization=0.2",
        b"JSON",
        b"JSON [0.3]",
        b"JSON {",
        b"JSON " + b"[" * 4000,
        b'JSON {"cpu_utilization": "0.3"}',
        b'JSON {"cpu_utilization": true}',
        b'JSON {"cpu_utilization": null}',
        b'JSON {"cpu_utilization": -1}',
        b'JSON {"mem_utilization": 2}',
        b'JSON {"cpu_utilization": 1' + b"0" * 400 + b"}",
        b'JSON {"cpu_utilization": "\xff"}',
        b"BIN",
        b"BIN *",
        b"BIN A",
        b"BIN " + in_base64(WHOLE)[:-4] + b"====",
        b"BIN " + in_base64(double(1, 0.7)[:-1]),
        b"BIN " + in_base64(double(1, float("nan"))),
        b"BIN " + in_base64(double(1, float("inf"))),
        b"BIN " + in_base64(double(2, -0.5)),
        b"BIN " + in_base64(b"\x08\x01"),
        b"BIN " + in_base64(b"\x01" + bytes(8)),
        b"BIN " + in_base64(b"\x0b\x0c"),
        b"BIN " + in_base64(b"\x22\xff\xff\xff\xff\x0f"),
        b"BIN " + in_base64(b"\x18" + b"\xff" * 11),
        b"BIN " + in_base64(double(1, 0.7) + b"\x18\x01" * 256),
        b"TEXT cpu_utilization=0.3" + b",a=1" * MAX_VALUE_BYTES,
    ],
)
def test_junk(value: bytes) -> None:
    with pytest.raises(BadReport):
        report(value)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (b"TEXT cpu_utilization=0.3, named_metrics.a=4 , named_metrics.b=1e2,c=5", {"a": 4.0, "b": 100.0}),
        (b"TEXT named_metrics.a=-1,named_metrics.b=nan,named_metrics.c=1e999,named_metrics.d=", {}),
        (b'JSON {"named_metrics": {"a": 4, "b": 0.5, "c": -1, "d": true, "e": "1"}}', {"a": 4.0, "b": 0.5}),
        (b'JSON {"namedMetrics": {"a": 1' + b"0" * 400 + b"}}", {}),
        (b'JSON {"named_metrics": [1]}', {}),
        (b"BIN " + in_base64(WHOLE + entry(8, b"b", 2.0)), {"queue": 12.0, "b": 2.0}),
        (b"BIN " + in_base64(entry(8, b"a", float("nan")) + entry(8, b"b", -1.0)), {}),
        (b"BIN " + in_base64(b"\x42\x03\x0a\x01a"), {"a": 0.0}),
    ],
)
def test_named_metrics(value: bytes, named: dict[str, float]) -> None:
    assert named_metrics(b"endpoint-load-metrics: " + value) == named


values = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=200).map(lambda raw: b"TEXT " + raw),
    st.binary(max_size=200).map(lambda raw: b"JSON " + raw),
    st.binary(max_size=200).map(lambda raw: b"BIN " + in_base64(raw)),
    st.dictionaries(st.sampled_from(["cpu_utilization", "mem_utilization", "x"]), st.floats() | st.text() | st.none()).map(
        lambda document: b"JSON " + repr(document).replace("'", '"').encode()
    ),
)  # fmt: skip


@given(value=values)
@example(value=b"BIN " + in_base64(WHOLE))
def test_whatever_comes_is_two_numbers_within_bounds_or_junk(value: bytes) -> None:
    try:
        cpu, memory = report(value)
    except BadReport:
        return
    finally:
        with suppress(BadReport):
            assert all(0.0 <= number < inf for number in named_metrics(b"endpoint-load-metrics: " + value).values())
    assert cpu == ABSENT or 0.0 <= cpu <= 1000.0
    assert memory == ABSENT or 0.0 <= memory <= 1.0


def head(*lines: bytes) -> Any:
    return parse_response(b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"", b""]))


def test_reports_are_taken_out_of_what_a_client_gets() -> None:
    load, other = b"Endpoint-Load-Metrics: TEXT cpu_utilization=0.3", b"endpoint-load-metrics-bin: AAAA"
    fields = head(b"A: 1", load, b"Content-Length: 0", other, b"B: 2").fields
    assert fields.kept == b"A: 1\r\nB: 2\r\n"
    assert fields.load_lines == load + b"\r\n" + other + b"\r\n"
    assert head(b"A: 1", b"Endpoint-Load-Metrics-Json: {}").fields.load_lines == b""


def test_a_report_that_connection_names_is_read_all_the_same() -> None:
    fields = head(b"Connection: endpoint-load-metrics", b"endpoint-load-metrics: JSON {}").fields
    assert (fields.kept, fields.load_lines) == (b"", b"endpoint-load-metrics: JSON {}\r\n")
