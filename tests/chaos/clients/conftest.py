from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.chaos.clients.attack import LARGE
from tests.conftest import missing
from tests.support.balancer import Balancer, running_balancer, simple_config
from tests.support.behaviours import LONG_HEAD, answering, repeating
from tests.support.fault_origin import fault_origin
from tests.support.limits import descriptors

DESCRIPTORS = 12_000


@pytest.fixture
def balancer() -> Iterator[Balancer]:
    """Between clients and two pools: one answers at once, one never ends answering."""
    endless = repeating(LONG_HEAD.replace(b"1000000", b"9" * 12), b"x" * 65536)
    with ExitStack() as stack:
        try:
            stack.enter_context(descriptors(DESCRIPTORS))
        except (OSError, ValueError):
            missing(f"{DESCRIPTORS} open files take root, or a higher limit (ulimit -Hn)")
        good, large = (stack.enter_context(fault_origin(behaviour)) for behaviour in (answering(), endless))
        config = simple_config([good.port])
        config["pools"]["large"] = simple_config([large.port])["pools"]["web"]
        config["routes"] = [{"path": LARGE, "pool": "large"}, {"pool": "web"}]
        yield stack.enter_context(running_balancer(config))
