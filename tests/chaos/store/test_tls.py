"""A store over TLS: trusted by its CA alone; another one is refused and said, and no request notices."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.chaos.store.pair import pair, ready
from tests.support.certificates import self_signed
from tests.support.ports import free_ports
from tests.support.redis_server import redis_server
from tests.support.waiting import wait_for


def test_one_that_trusts_and_one_that_does_not(tmp_path: Path) -> None:
    made = [tmp_path / "right", tmp_path / "wrong"]
    for folder in made:
        folder.mkdir()
    (right, key), (wrong, _) = (self_signed(folder, "127.0.0.1") for folder in made)
    port = free_ports(1)[0]
    tls = ("--tls-port", str(port), "--tls-cert-file", right, "--tls-key-file", key, "--tls-auth-clients", "no")
    with redis_server(*tls, "--tls-ca-cert-file", right):
        urls = [f"rediss://127.0.0.1:{port}/0?ca={ca}" for ca in (right, wrong)]
        with pair(tmp_path, urls) as both:
            one, two = both.runs
            with both.counted("wrong CA"):
                wait_for("the one that trusts", lambda: "problem" not in ready(one))
                text = "it is not who its certificate says, or not signed by whom we trust"
                wait_for("the other one", lambda: text in ready(two).get("problem", ""))
                config = json.loads(two.file.read_text())
                config["state"]["redis"] = urls[0]
                two.file.write_text(json.dumps(config))
                two.signal(signal.SIGHUP)
                both.wait_until_shared()
                both.change(by=1)
