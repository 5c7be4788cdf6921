"""The WSGI application under servers that are not gunicorn, as those call it."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.handlers import SimpleHandler

import pytest

from lb.model import Backend, Config, Health, Listener, Pool, Route, State
from lb.server.wsgi import Application
from lb.state.layout import C_COUNT
from lb.state.publish import publish, snapshot_path
from lb.state.segment import Segment
from lb.structs import replace
from tests.support.behaviours import OK, answering
from tests.support.fault_origin import FaultOrigin, fault_origin


@pytest.fixture
def origin() -> Iterator[FaultOrigin]:
    with fault_origin(answering(OK)) as one:
        yield one


@pytest.fixture
def config(tmp_path: Path, origin: FaultOrigin) -> Config:
    """Room for few processes; everything goes to one backend."""
    pool = Pool("web", (Backend("a", host="127.0.0.1", port=origin.port),), health=Health(type="none"))
    return Config("lb.yaml", (), (pool,), (Route("all", "pool", pool="web"),), State(str(tmp_path)), workers=1)


@pytest.fixture
def application(config: Config) -> Iterator[Callable[[Config], Application]]:
    """On a configuration that is put in force for it. It ends with its process, so here it must stop looking first: it would
    make the segment that is taken away anew."""
    segments, made = set(), []

    def act(changed: Config = config) -> Application:
        segments.add(publish(changed).segment)
        made.append(Application(lambda: snapshot_path(config.state.dir)))
        return made[-1]

    yield act
    for one in made:
        if one._served is not None:
            one._served.sweeper.stop()
    for segment in segments:
        Path(segment).unlink(missing_ok=True)


def ask(application: Any, body: bytes = b"", **environ: str) -> tuple[int, bytes]:
    """Status and body, by the standard library's own handler, which refuses what PEP 3333 forbids."""
    written = io.BytesIO()
    given = {
        "REQUEST_METHOD": "POST" if body else "GET",
        "PATH_INFO": "/",
        "HTTP_HOST": "lb.test",
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(body)) if body else "",
        **environ,
    }
    handler = SimpleHandler(io.BytesIO(body), written, io.StringIO(), given, multithread=False, multiprocess=False)
    handler.run(application)
    head, _, rest = written.getvalue().partition(b"\r\n\r\n")
    return int(head.split()[1]), rest


# --- limits


def limits(*body_limits: int | None) -> tuple[Listener, ...]:
    return tuple(
        Listener(f"t{i}", "traffic", (f"127.0.0.1:{i}",), body_limit_bytes=limit) for i, limit in enumerate(body_limits)
    )


@pytest.mark.parametrize(
    ("listeners", "status"),
    [(limits(10), 413), (limits(10, 20), 413), (limits(10, 1000), 200), (limits(10, None), 200), (limits(None), 200)],
)
def test_the_limit_of_the_listener_holds_and_of_several_the_widest(
    listeners: tuple[Listener, ...], status: int, config: Config, application: Any
) -> None:
    assert ask(application(replace(config, listeners=listeners)), bytes(1000))[0] == status


def test_a_routes_own_limit_goes_before(config: Config, application: Any) -> None:
    routes = (Route("all", "pool", pool="web", body_limit_bytes=1000),)
    served = application(replace(config, listeners=limits(10), routes=routes))
    assert (ask(served, bytes(1000))[0], ask(served, bytes(1001))[0]) == (200, 413)


# --- threads


def test_one_thread_is_served_and_others_are_told_why_they_are_not(config: Config, application: Any) -> None:
    served = application()
    assert ask(served)[0] == 200
    told: list[tuple[int, bytes]] = []
    for _ in range(2):
        thread = threading.Thread(target=lambda: told.append(ask(served)))
        thread.start()
        thread.join(10)
    assert [status for status, _ in told] == [503, 503]
    assert "one thread per process" in json.loads(told[0][1])["error"]
    assert ask(served)[0] == 200
    segment = Segment.open(publish(config).segment)
    assert len(segment.live_slots()) == 1, "nobody else has taken a slot"
    segment.close()


# --- refusals


def test_a_server_that_forbids_connection_fields_gets_none(application: Any) -> None:
    status, body = ask(application(), HTTP_HOST="")
    assert (status, json.loads(body)["reason"]) == (400, "bad_host")


def test_a_request_whose_answer_the_server_does_not_take_is_over(config: Config, application: Any) -> None:
    def refuse(status: str, fields: Any) -> None:
        raise AssertionError("hop-by-hop")

    served = application()
    snapshot = publish(config)
    segment = Segment.open(snapshot.segment)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_HOST": "lb.test", "wsgi.input": io.BytesIO()}
    with pytest.raises(AssertionError, match="hop-by-hop"):
        served(environ, refuse)
    assert [segment.inflight(column) for column in range(segment.columns)] == [0] * segment.columns
    assert segment.totals(snapshot.columns["route:all"])[C_COUNT] == 1
    segment.close()
