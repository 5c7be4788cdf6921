"""Row 69: a store that is 50 ms away, by a proxy between: requests go on as before, and what is shared still is."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.store.pair import pair
from tests.support.delay_proxy import delay_proxy
from tests.support.redis_server import redis_server

AWAY_S = 0.05


def test_a_store_fifty_milliseconds_away_slows_no_request(tmp_path: Path) -> None:
    with redis_server() as server, delay_proxy(server.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0"
        with pair(tmp_path, [url, url]) as both:
            both.wait_until_shared()
            with both.counted("50 ms away"):
                proxy.delay_s = AWAY_S
                for kind in ("machines", "loads", "limits"):
                    both.wait_for_problem("")
                    assert both.shared(kind), kind
                both.change(by=1)
                both.change(by=0)
                for kind in ("machines", "loads", "limits", "operators"):
                    assert both.shared(kind), kind
            proxy.delay_s = 0
