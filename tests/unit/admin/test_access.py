from __future__ import annotations

import pytest

from lb.admin.access import MAX_ADDRESSES, MOST_WRONG, WITHIN_S, Access, is_local, is_right
from lb.state.operator import Refused


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def status(access: Access, given: str | None, address: str = "a", token: str = "right") -> int:
    try:
        access.check(given, token, address)
    except Refused as refused:
        return refused.status
    return 200


def test_ten_wrong_ones_within_a_minute_and_then_no_more() -> None:
    clock = Clock()
    access = Access(clock)
    assert [status(access, "Bearer wrong") for _ in range(MOST_WRONG + 2)] == [401] * MOST_WRONG + [429] * 2
    assert status(access, "Bearer right") == 200, "who has it is not locked out by who has not"
    assert status(access, "Bearer wrong", "b") == 401, "another address is another one"
    clock.now += WITHIN_S
    assert status(access, "Bearer wrong") == 401


def test_who_gives_none_guesses_nothing() -> None:
    access = Access(Clock())
    assert {status(access, None) for _ in range(50)} == {401}
    assert status(access, "Bearer wrong") == 401


def test_many_addresses_are_no_flood() -> None:
    access = Access(Clock())
    for number in range(MAX_ADDRESSES + 10):
        status(access, "Bearer wrong", str(number))
    assert len(access._wrong) == MAX_ADDRESSES


@pytest.mark.parametrize(
    ("given", "token", "expected"),
    [
        ("Bearer right", "right", True),
        ("bearer  right ", "right", True),
        ("Basic right", "right", False),
        ("right", "right", False),
        ("Bearer", "right", False),
        ("Bearer rightt", "right", False),
        ("Bearer é", "right", False),
        ("Bearer \ud800", "right", False),
        ("Bearer ", "", False),
        ("Bearer x", "", False),
    ],
)
def test_the_right_one(given: str, token: str, expected: bool) -> None:
    assert is_right(given, token) is expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True), ("", True),
     ("10.0.0.1", False), ("::ffff:10.0.0.1", False), ("localhost", False), ("0.0.0.0", False)],
)  # fmt: skip
def test_this_machine(address: str, expected: bool) -> None:
    assert is_local(address) is expected
