"""A user's own policy on both request paths: it picks, and where it goes wrong no request does."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.balancer import Subject, running_balancer, simple_config
from tests.support.behaviours import answering
from tests.support.fault_origin import fault_origin
from tests.support.raw_client import get

POLICY = """
import gevent
class Second:
    def __init__(self, after):
        self.left = after
    def build(self, members, eligible):
        def pick(ctx):
            self.left -= 1
            if self.left < 0:
                {then}
            return eligible[1]
        return pick
"""
BEHAVIOUR = {"runs-away": "while True: pass", "sleeps": "gevent.sleep(0.01)", "raises": "raise OSError"}
GOOD_PICKS = 30


@pytest.mark.parametrize("subject", ["worker", "wsgi"])
@pytest.mark.parametrize("then", BEHAVIOUR.values(), ids=BEHAVIOUR)
def test_it_picks_until_it_fails(then: str, subject: Subject, tmp_path: Path) -> None:
    (tmp_path / "found_by_python.py").write_text(POLICY.format(then=then))
    own = {"class": "found_by_python:Second", "options": {"after": GOOD_PICKS}, "fallback": "round_robin"}
    with ExitStack() as stack:
        ports = []
        for letter in (b"a", b"b"):
            behaviour = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + letter)
            ports.append(stack.enter_context(fault_origin(behaviour)).port)
        environ = {"PYTHONPATH": str(tmp_path)}
        config = simple_config(ports, policy=own)
        balancer = stack.enter_context(running_balancer(config, subject, environ=environ, is_published=False))
        answers = [get(balancer.port) for _ in range(GOOD_PICKS + 20)]
        assert {answer.status for answer in answers} == {200}
        letters = b"".join(answer.body for answer in answers)
        assert letters[:GOOD_PICKS] == b"b" * GOOD_PICKS
        assert letters[GOOD_PICKS:] == b"ab" * 10
        assert balancer.log().count("given up after 5 failures in a row, round_robin picks") == 1
