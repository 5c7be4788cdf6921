from __future__ import annotations

import signal

from lb.supervisor.addresses import Bind
from lb.supervisor.backoff import Backoff
from lb.supervisor.handdown import VARIABLE, Handdown, plane_state, restore
from lb.supervisor.plane import Actions, Child, Plane

BINDS = (Bind("traffic", "0.0.0.0:80"), Bind("status", "unix:/run/lb.sock"))


def plane() -> Plane:
    return Plane("data", Actions(lambda _: 0, lambda _: 0, lambda _pid, _sig: None))


def test_a_plane_survives_the_change_of_images() -> None:
    before = plane()
    before.binds, before.backoff = BINDS, Backoff(2)
    before.current = Child(7, BINDS, 1.5, is_serving=True, has_to_reopen=True)
    before.retiring = [Child(6, BINDS, 0.5, True, 31.0, signal.SIGKILL)]
    handdown = Handdown("/s.json", 5, {"0.0.0.0:80": [4, True]}, {"data": plane_state(before)}, [1, 15], [2, 3])
    received = Handdown.load({VARIABLE: handdown.dump()})
    assert received == handdown
    after = plane()
    restore(after, received.planes["data"], now=2.0)
    assert (after.current, after.retiring, after.binds, after.backoff) == (
        before.current, before.retiring, BINDS, Backoff(2),
    )  # fmt: skip
    assert after.start_at is None


def test_a_plane_that_was_waiting_for_its_restart_is_started_by_the_next_image() -> None:
    after = plane()
    restore(after, plane_state(plane()), now=2.0)
    assert after.current is None
    assert after.start_at == 2.0


def test_a_first_start_has_nothing_handed_down() -> None:
    assert Handdown.load({}) is None
