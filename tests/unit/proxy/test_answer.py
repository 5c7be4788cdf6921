"""Bodies of backends' answers: exact, or an error; and which connections may be used again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.errors import AnswerAborted
from lb.model import PoolTimeouts
from lb.proxy.answer import BodyReader, ChunkedReader, CloseReader, LengthReader
from lb.proxy.deadlines import NEVER, Deadline
from tests.support.scripted import ScriptedStream, cut

CHUNKS = b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-Sum: 1\r\nDate: now\r\n\r\n"


@dataclass
class Keeper:
    """In a member's place: knows which connections came back."""

    timeouts: PoolTimeouts = field(default_factory=PoolTimeouts)
    kept: list[Any] = field(default_factory=list)

    @property
    def pool(self) -> Keeper:
        return self

    def give_back(self, connection: Any, now: float) -> None:
        self.kept.append(connection)


class Connection(ScriptedStream):
    tls = None

    def __init__(self, *pieces: Any) -> None:
        super().__init__(*pieces)
        self.member = Keeper()
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True

    def let_others(self) -> None:
        """On a slow machine a reader may have had its time; nobody else is here."""

    @property
    def fate(self) -> str:
        assert not (self.member.kept and self.is_closed)
        return "kept" if self.member.kept else "closed" if self.is_closed else "open"


@dataclass
class Waiting:
    """Of an exchange, what a reader looks at."""

    deadline: Deadline = field(default_factory=lambda: Deadline(None))
    upload: None = None


def length_reader(connection: Connection, remaining: int) -> LengthReader:
    return LengthReader(connection, Waiting(), remaining, reusable=True)  # type: ignore[arg-type]


def chunked_reader(connection: Connection, first: bytes = b"") -> ChunkedReader:
    return ChunkedReader(connection, Waiting(), first, reusable=True)  # type: ignore[arg-type]


def close_reader(connection: Connection) -> CloseReader:
    return CloseReader(connection, Waiting(), reusable=False)  # type: ignore[arg-type]


def everything(reader: BodyReader) -> bytes:
    data = b""
    while piece := reader.read():
        data += piece
    assert reader.read() == b"", "the end stays the end"
    assert reader.is_done
    return data


PLACES = st.lists(st.integers(0, 60), max_size=6)


@given(PLACES)
def test_an_exact_length(places: list[int]) -> None:
    connection = Connection(*cut(b"hello world", places))
    assert everything(length_reader(connection, 11)) == b"hello world"
    assert connection.fate == "kept"


@given(PLACES)
def test_more_than_the_length_is_cut_off_and_the_connection_dropped(places: list[int]) -> None:
    connection = Connection(*cut(b"hello world", places))
    assert everything(length_reader(connection, 5)) == b"hello"
    assert connection.fate in ("closed", "kept")
    if not connection.pieces:
        assert connection.fate == "closed" or 5 in places


@given(PLACES)
def test_less_than_the_length_is_an_error(places: list[int]) -> None:
    connection = Connection(*cut(b"hello world", places))
    with pytest.raises(AnswerAborted, match="upstream_truncated: 1 bytes short"):
        everything(length_reader(connection, 12))
    assert not connection.member.kept


@given(places=PLACES, with_head=st.booleans())
def test_chunks(places: list[int], with_head: bool) -> None:
    pieces = cut(CHUNKS, places)
    connection = Connection(*pieces[1:] if with_head else pieces)
    reader = chunked_reader(connection, pieces[0] if with_head else b"")
    assert reader.start() + everything(reader) == b"hello world"
    assert reader.trailers == ((b"X-Sum", b"1"),)
    assert connection.fate == "kept"


def test_bytes_behind_the_last_chunk_spoil_the_connection() -> None:
    connection = Connection(CHUNKS + b"HTTP/1.1 200 OK\r\n")
    assert everything(chunked_reader(connection)) == b"hello world"
    assert connection.fate == "closed"


@pytest.mark.parametrize("end", [b"0x2\r\nok", b"5\r\nhel", b"", ConnectionResetError("reset")])
def test_chunks_that_break_off_or_go_wrong(end: Any) -> None:
    connection = Connection(b"5\r\nhello\r\n", end)
    reader = chunked_reader(connection)
    assert reader.read() == b"hello"
    with pytest.raises(AnswerAborted, match="upstream_truncated"):
        everything(reader)
    assert not connection.member.kept


def test_a_wrong_first_chunk_is_known_at_once() -> None:
    with pytest.raises(AnswerAborted):
        chunked_reader(Connection(), b"zz\r\n").start()


@given(PLACES)
def test_until_close(places: list[int]) -> None:
    connection = Connection(*cut(b"hello world", places))
    assert everything(close_reader(connection)) == b"hello world"
    assert connection.fate == "closed"


def test_a_reset_is_no_end() -> None:
    with pytest.raises(AnswerAborted, match="upstream_truncated"):
        everything(close_reader(Connection(b"hello", ConnectionResetError())))


@pytest.mark.parametrize("read_first", [0, 1])
def test_what_is_not_wanted_any_more_is_dropped_once(read_first: int) -> None:
    connection = Connection(b"he", b"llo")
    reader = length_reader(connection, 5)
    for _ in range(read_first):
        reader.read()
    reader.abort()
    reader.abort()
    assert connection.fate == "closed"


def test_after_the_end_there_is_nothing_to_abort() -> None:
    connection = Connection(b"hello")
    reader = length_reader(connection, 5)
    everything(reader)
    reader.abort()
    assert connection.fate == "kept"


def test_silence_has_an_end_and_reading_leaves_no_deadline_behind() -> None:
    seen: list[tuple[float, str]] = []

    class Watching(Connection):
        def recv(self, size: int) -> bytes:
            seen.append((waiting.deadline.at, waiting.deadline.reason))
            return super().recv(size)

    waiting = Waiting()
    reader = LengthReader(Watching(b"ok"), waiting, 2, reusable=True)  # type: ignore[arg-type]
    assert everything(reader) == b"ok"
    assert [(at < NEVER, reason) for at, reason in seen] == [(True, "upstream_truncated")]
    assert waiting.deadline.at == NEVER
