"""What one machine believes of another about backends' health, and for how long."""

from __future__ import annotations

from lb.controller.board import FRESH_S, Board, shared_name
from lb.health.probe import ProbeTarget
from lb.model import Backend, BackendTls, Health
from lb.state.layout import DOWN, UP
from lb.structs import replace
from tests.support.scripted import FakeClock

TARGET = ProbeTarget(Backend("b", host="10.0.0.1", port=80), Health("http", scope="cluster"), BackendTls())


def test_what_was_heard_holds_for_a_time_and_silence_is_no_verdict() -> None:
    clock = FakeClock()
    board = Board(clock)
    assert board.heard("b") is None
    board.hear({"b": DOWN}, clock.now)
    assert (board.heard("b"), board.heard("other")) == (DOWN, None)
    clock.now += FRESH_S - 0.1
    assert board.heard("b") == DOWN
    clock.now += 0.2
    assert board.heard("b") is None
    board.still(clock.now)
    assert board.heard("b") == DOWN


def test_who_waits_is_told_of_news_only_and_of_all_after_silence() -> None:
    clock, told = FakeClock(), list[list[str]]()
    board = Board(clock)
    board.on_heard = lambda names: told.append(sorted(names))
    board.hear({"a": UP, "b": UP}, clock.now)
    board.hear({"a": UP, "b": DOWN}, clock.now)
    board.hear({"a": UP, "b": DOWN}, clock.now)
    clock.now += FRESH_S + 1
    board.hear({"a": UP, "b": DOWN}, clock.now)
    assert told == [["a", "b"], ["b"], ["a", "b"]]


def test_who_takes_over_probes_all_at_once_and_believes_nobody() -> None:
    clock, told = FakeClock(), list[list[str]]()
    board = Board(clock)
    board.hear({"a": UP}, clock.now)
    assert board.heard("a") == UP
    board.on_heard = lambda names: told.append(sorted(names))
    board.take()
    assert board.heard("a") is None and told == [["a"]] and board.verdicts == {"a": UP}
    board.hear({"a": DOWN}, clock.now)
    assert board.heard("a") is None
    board.leave()
    assert board.heard("a") == DOWN


def test_only_a_new_word_of_ours_has_to_be_told() -> None:
    told: list[int] = []
    board = Board(FakeClock())
    board.on_told = lambda: told.append(1)
    for verdict in (UP, UP, DOWN):
        board.tell("a", verdict)
    assert len(told) == 2
    board.keep([])
    assert board.verdicts == {}


def test_another_process_or_another_probe_has_another_name() -> None:
    name = shared_name(TARGET, "web")
    others = [
        ProbeTarget(replace(TARGET.backend, port=81), TARGET.health, TARGET.tls),
        ProbeTarget(TARGET.backend, replace(TARGET.health, path="/x"), TARGET.tls),
        ProbeTarget(TARGET.backend, replace(TARGET.health, headers=(("X-Probe", "1"),)), TARGET.tls),
        ProbeTarget(TARGET.backend, TARGET.health, replace(TARGET.tls, verify=False)),
    ]
    assert name.startswith("web/b@10.0.0.1:80#") and name == shared_name(TARGET, "web")
    assert len({name, *(shared_name(other, "web") for other in others)}) == 5


def test_a_secret_that_probes_send_is_in_no_name() -> None:
    names = {
        shared_name(ProbeTarget(TARGET.backend, replace(TARGET.health, headers=(("Authorization", secret),)), TARGET.tls), "web")
        for secret in ("one", "two")
    }  # fmt: skip
    assert len(names) == 1
