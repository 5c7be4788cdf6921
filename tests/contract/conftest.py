"""One scripted backend and one configuration for all cases; each subject is started once."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.contract.cases.sticky import STICKY_KEY
from tests.contract.in_process import in_process
from tests.contract.live import CANARY_BODY, Live, Subject
from tests.contract.origin import ScriptedOrigin, scripted_origin
from tests.support.balancer import Balancer, running_balancer
from tests.support.certificates import self_signed

WORKERS = ("worker", "uncompiled")
"""Our own worker, as `lb native` left it and as it is written."""
SUBJECTS = (*WORKERS, "wsgi", "werkzeug")
UNPROBED = {"type": "none"}
QUICK = {"connect": "300ms", "first_byte": "400ms", "idle": "400ms", "total": "1s"}


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


HAS_IPV6 = has_ipv6() or os.environ.get("CI", "").lower() == "true"
"""On CI a loopback without IPv6 is a failure, never a skip."""
NO_IPV6 = "this machine has no ::1 (sysctl net.ipv6.conf.lo.disable_ipv6=0)"


@dataclass
class Scene:
    """A backend in its scripted origin's hands, and the addresses at which it is found."""

    origin: ScriptedOrigin
    config: dict[str, Any]


def refusing_port(stack: ExitStack) -> int:
    """Bound and not listening: connects are refused, and nobody else can take it."""
    sock = stack.enter_context(socket.socket())
    sock.bind(("127.0.0.1", 0))
    return int(sock.getsockname()[1])


def black_hole_port(stack: ExitStack) -> int:
    """With its accept queue full the kernel drops every further SYN."""
    sock = stack.enter_context(socket.socket())
    sock.bind(("127.0.0.1", 0))
    sock.listen(0)
    for _ in range(2):
        filler = stack.enter_context(socket.socket())
        filler.setblocking(False)
        filler.connect_ex(sock.getsockname())
    return int(sock.getsockname()[1])


def secured(origin: ScriptedOrigin, folder: Path, name: str) -> tuple[str, str]:
    """The URL of a TLS address whose certificate is for ``name``, and the certificate's path."""
    folder.mkdir()
    cert, key = self_signed(folder, name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    port = origin.listen(socket.AF_INET, ("127.0.0.1", 0), context)
    return f"https://127.0.0.1:{port}", cert


def pool(*urls: str, **settings: Any) -> dict[str, Any]:
    return {"backends": list(urls), "health": UNPROBED, **settings}


def configured(origin: ScriptedOrigin, stack: ExitStack, folder: Path) -> dict[str, Any]:
    """Pools and routes; which of them a case uses it says by its Host."""
    main = f"http://127.0.0.1:{origin.port}"
    good, good_cert = secured(origin, folder / "good", "127.0.0.1")
    wrong, wrong_cert = secured(origin, folder / "wrong", "wrong.test")
    origin.listen(socket.AF_UNIX, str(folder / "origin.sock"))
    v6_port = origin.listen(socket.AF_INET6, ("::1", 0)) if HAS_IPV6 else 1
    refused = [f"http://127.0.0.1:{refusing_port(stack)}" for _ in range(2)]
    pools = {
        "main": pool(main),
        "own_host": pool(main, host_header="backend"),
        "quick": pool(main, timeouts=QUICK, retry={"attempts": 1}),
        "refused": pool(*refused),
        "half": pool(refused[0], main, policy="round_robin"),
        "hole": pool(f"http://127.0.0.1:{black_hole_port(stack)}", timeouts=QUICK),
        "tls": pool(good, tls={"ca": good_cert}),
        "wrong": pool(wrong, tls={"ca": wrong_cert}),
        "named": pool(wrong, tls={"ca": wrong_cert, "server_name": "wrong.test"}),
        "unknown": pool(good, tls={"ca": wrong_cert}),
        "unverified": pool(wrong, tls={"verify": False}),
        "unix": pool(f"unix:{folder}/origin.sock"),
        "v6": pool(f"http://[::1]:{v6_port}"),
        "sticky": {**pool(), "backends": [{"id": "one", "url": main}], "sticky": {"key": STICKY_KEY}},
    }
    return {"trusted_proxies": ["127.0.0.2/32", "10.0.0.0/8"], "pools": pools, "routes": [*ROUTES]}


def says(text: str, **match: Any) -> dict[str, Any]:
    """A route that answers its own name: which one was taken shows in the body."""
    return {**match, "respond": {"body": text}}


ROUTES: list[dict[str, Any]] = [
    says(CANARY_BODY.decode(), host="canary.test"),
    {"host": "own.test", "pool": "own_host"},
    {"host": "sticky.test", "pool": "sticky"},
    {"host": "quick.test", "pool": "quick"},
    {"host": "refused.test", "path": "/text", "pool": "refused", "error_style": "text"},
    {"host": "refused.test", "path": "/short", "pool": "refused", "error_style": "error_only"},
    {"host": "refused.test", "pool": "refused"},
    *({"host": f"{name}.test", "pool": name} for name in ("half", "hole", "tls", "wrong", "named", "unknown")),
    *({"host": f"{name}.test", "pool": name} for name in ("unverified", "unix", "v6")),
    {"host": "small.test", "pool": "main", "body_limit": 1024},
    {"host": "seldom.test", "pool": "main", "rate_limit": {"rate": "1/d", "burst": 1}},
    {"host": "algo.test", "pool": "main", "algo_override": True, "error_style": "error_only"},
    {"host": "fixed.test", "exact": "/teapot", "respond": {"status": 418, "body": "short\n", "content_type": "text/x"}},
    {"host": "fixed.test", "exact": "/moved", "redirect": "https://new.test{path}{query}"},
    {"host": "fixed.test", "exact": "/found", "redirect": {"to": "{scheme}://{host}/there", "status": 302}},
    {"host": "fixed.test", "exact": "/health", "action": "health"},
    says("with port", host="port.test:8081"),
    says("any port", host="port.test"),
    says("exact name", host="www.wild.test"),
    says("wildcard", host="*.wild.test"),
    says("delete", host="match.test", methods=["DELETE"]),
    says("header", host="match.test", headers={"X-Beta": "yes"}),
    says("pattern", host="match.test", headers={"X-Version": {"regex": "2\\.[0-9]+"}}),
    says("present", host="match.test", headers={"X-Any": True}),
    says("query", host="match.test", query={"v": "2"}),
    says("prefix", host="match.test", path="/api"),
    says("scoped", host="match.test", path="/@scope"),
    says("exact", host="match.test", exact="/one"),
    says("else", host="match.test"),
    {"host": ["lb.test", "127.0.0.1"], "pool": "main"},
    {"path": "/hostless", "pool": "main"},
]


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with ExitStack() as stack:
        origin = stack.enter_context(scripted_origin())
        yield Scene(origin, configured(origin, stack, tmp_path_factory.mktemp("contract")))


@pytest.fixture(scope="session")
def worker(scene: Scene) -> Iterator[Balancer]:
    with running_balancer(scene.config, "worker") as balancer:
        yield balancer


@pytest.fixture(scope="session")
def uncompiled(scene: Scene) -> Iterator[Balancer]:
    with running_balancer(scene.config, "uncompiled") as balancer:
        yield balancer


@pytest.fixture(scope="session")
def wsgi(scene: Scene) -> Iterator[Balancer]:
    with running_balancer(scene.config, "wsgi") as balancer:
        yield balancer


@pytest.fixture(scope="session")
def werkzeug(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    with in_process(scene.config, tmp_path_factory.mktemp("werkzeug")) as application:
        yield application


@pytest.fixture
def find_subject(request: pytest.FixtureRequest) -> Callable[[str], Subject]:
    """A subject by its name; it is started when it is first asked for."""

    def find(name: str) -> Subject:
        found: Balancer | Subject = request.getfixturevalue(name)
        return Live(found.port) if isinstance(found, Balancer) else found

    return find
