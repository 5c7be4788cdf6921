"""Two real machines of two workers each with one store, a client that counts, and what they share: looked at from outside."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lb.state.layout import SH_CYCLE, SH_OTHERS, SH_SLICE, SH_SLICE_UNTIL_NS
from lb.state.publish import read_token
from lb.state.segment import Segment
from tests.chaos.process.running import SLACK, Run, hello_backends
from tests.support.lettered import LETTERS, is_in_order, lettered_backends
from tests.support.raw_client import get
from tests.support.scale import IS_FULL
from tests.support.sharing import busy_backend
from tests.support.steady import QUIET, Steady, steady_load
from tests.support.waiting import PATIENCE_S, wait_for

NAMES = ("one", "two")
WORKERS = 2
LIMIT = 4
RATE, BURST = 20, 10
"""Of both machines together, at ``/rated``."""
FIRST_BYTE_S = 0.5
"""So long ``/timed`` waits for its backend."""
PER_SECOND = 400 if IS_FULL else 80
"""Requests of the client that counts, over both machines."""
TIMES, SLACK_MS = (2, 30.0) if IS_FULL else (5, 300.0)
"""So many times the 99th percentile without, and so much more, is noise; in small the machine runs other tests as well. Who
waited for the store would wait 500 and more."""
APART_S = 0.055
IN_A_ROW = 7
BACK_S = 5.0
"""Promised: so soon after the store is back all that is shared is shared again."""
FOLLOWED_S = 1.0
"""Promised for an operator's change."""
SHARED = ("machines", "loads", "limits", "operators", "probes", "orders")
HELD = "backend:busy/b"


@dataclass
class Pair:
    runs: Sequence[Run]
    steady: Steady
    prefix: str
    weight: int = 1
    """Of ``web/A``, as an operator said last."""
    figures: list[str] = field(default_factory=list)

    # --- what is shared

    def shared(self, name: str) -> bool:
        """Whether both machines have it of each other now; ``orders`` takes requests, and has its own test."""
        return {
            "machines": self._know_each_other,
            "loads": lambda: self.cells(self.runs[1], HELD)[SH_OTHERS] == 1,
            "limits": self._have_slices,
            "probes": lambda: self.probers() in ({name} for name in NAMES),
            "operators": lambda: all(self.weight_on(run) == self.weight for run in self.runs),
        }[name]()

    def probers(self) -> set[str]:
        """Who probes for both, as each says; nobody: an empty name."""
        states = [admin(run, "GET", "/api/v1/state").body for run in self.runs]
        return {state.get("probes_by", "") for state in states}

    def _know_each_other(self) -> bool:
        for run, other in zip(self.runs, reversed(NAMES), strict=True):
            state = admin(run, "GET", "/api/v1/state").body
            if not state["store"]["is_up"] or [one["name"] for one in state["machines"]] != [other]:
                return False
        return True

    def _have_slices(self) -> bool:
        now_ns = time.monotonic_ns()
        all_cells = [self.cells(run, HELD) for run in self.runs]
        is_held = all(cells[SH_SLICE_UNTIL_NS] > now_ns for cells in all_cells)
        return is_held and sum(cells[SH_SLICE] for cells in all_cells) == LIMIT

    @staticmethod
    def weight_on(run: Run) -> int:
        found: int = next(one.weight for one in run.snapshot().config.pools[0].backends if one.id == "A")
        return found

    @staticmethod
    def cells(run: Run, column: str) -> list[int]:
        snapshot = run.snapshot()
        segment = Segment.open(snapshot.segment)
        try:
            return list(segment.shared(snapshot.columns[column]))
        finally:
            segment.close()

    def letter(self, place: int) -> str:
        started = time.monotonic()
        letter = get(self.runs[place % 2].port, "/abc").body.decode()
        time.sleep(max(0.0, APART_S - (time.monotonic() - started)))  # so far apart they are promised to be in order
        return letter

    def wait_until_shared(self, since: float | None = None, deadline_s: float = PATIENCE_S) -> dict[str, float]:
        """Seconds after ``since`` at which each kind was there; one request 50 ms after the other meanwhile."""
        since = time.monotonic() if since is None else since
        found: dict[str, float] = {}
        taken = ""
        while len(found) < len(SHARED):
            took = time.monotonic() - since
            taken += self.letter(len(taken))
            now = [name for name in SHARED[:-1] if name not in found and self.shared(name)]
            if len(taken) >= IN_A_ROW and is_in_order(taken[-IN_A_ROW:]) and "orders" not in found:
                now.append("orders")
            found |= dict.fromkeys(now, round(time.monotonic() - since, 2))
            assert took < deadline_s, f"after {took:.1f} s there is only {found}, orders: {taken}; {self.problems()}"
        return found

    def change(self, by: int = 0, scope: str = "cluster") -> float:
        """An operator's, for all machines: seconds until both have it."""
        self.weight = self.weight % 200 + 1
        path = f"/api/v1/pools/web/backends/A?scope={scope}"
        answer = admin(self.runs[by], "PATCH", path, {"weight": self.weight})
        assert (answer.status, answer.body.get("scope")) == (200, scope), answer
        answered = time.monotonic()
        wait_for("the change on both", lambda: self.shared("operators"), FOLLOWED_S * SLACK)
        return time.monotonic() - answered

    def generations(self) -> list[int]:
        """How many operators' changes each has heard of."""
        states = [admin(run, "GET", "/api/v1/state").body for run in self.runs]
        return [state["operator"]["cluster_generation"] for state in states]

    # --- what is said

    def problems(self) -> list[str]:
        """Of both, by ``/health/ready``."""
        return [ready(run).get("problem", "") for run in self.runs]

    def wait_for_problem(self, texts: str, deadline_s: float = PATIENCE_S) -> None:
        """Both say any of these (``A|B``); empty: nothing."""
        words = texts.split("|")
        is_said = lambda problem: any(word in problem for word in words) if texts else not problem  # noqa: E731
        wait_for(f"{texts!r} of both", lambda: all(is_said(problem) for problem in self.problems()), deadline_s)

    def said(self) -> str:
        """All that anybody can read of a machine, of both."""
        answers = [admin(run, "GET", path).text for run in self.runs for path in ("/api/v1/state", "/metrics")]
        return "\n".join([*answers, *self.problems(), *(run.log() for run in self.runs)])

    # --- requests

    @contextlib.contextmanager
    def counted(self, name: str, slack_ms: float = SLACK_MS) -> Iterator[None]:
        """None of the client's requests fails in the block, and none waits; the figures are printed."""
        with self.steady.phase(name):
            yield
        self._check(name, slack_ms)

    def _check(self, name: str, slack_ms: float) -> None:
        phases = self.steady.report()
        quiet, phase = phases[QUIET], phases[name]
        self.figures.append(f"{name}: {phase}; without: {quiet}")
        print(self.figures[-1])
        assert (quiet.bad, phase.bad) == (0, 0), (quiet.failed, phase.failed)
        assert phase.ok > 0
        p50, p99 = max(quiet.p50, phase.beside[0]), max(quiet.p99, phase.beside[1])
        assert phase.p50 < 3 * p50 + 50 and phase.p99 < TIMES * p99 + slack_ms, self.figures[-1]


@dataclass(frozen=True)
class Answered:
    status: int
    text: str
    retry_after: str | None = None

    @property
    def body(self) -> Any:
        return json.loads(self.text)


def admin(run: Run, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Answered:
    """``body``: JSON, or text as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", run.admin_port, timeout=PATIENCE_S)
    try:
        token = read_token(str(run.directory / "state"))
        fields = {"Authorization": f"Bearer {token}", "Content-Type": content_type}
        raw = body if body is None or isinstance(body, str) else json.dumps(body)
        connection.request(method, path, raw, fields)
        answer = connection.getresponse()
        return Answered(answer.status, answer.read().decode(), answer.getheader("Retry-After"))
    finally:
        connection.close()


def ready(run: Run) -> dict[str, Any]:
    answer = get(run.status_port, "/health/ready")
    assert answer.status == 200, answer
    return dict(json.loads(answer.body))


@contextlib.contextmanager
def pair(
    folder: Path, urls: Sequence[str], prefix: str = "lb", environ: Sequence[Mapping[str, str]] = ({}, {}), **state: Any
) -> Iterator[Pair]:
    """``urls``: the store's, by machine. Pools ``web`` (which the counting client asks), ``abc``, ``hello``, and ``busy``,
    whose backend works on one request of machine one all the time."""
    with contextlib.ExitStack() as stack:
        lettered = stack.enter_context(lettered_backends())
        busy = stack.enter_context(busy_backend())
        pools = _pools(lettered, busy, stack.enter_context(hello_backends(1)))
        runs = []
        for name, url, extra in zip(NAMES, urls, environ, strict=True):
            run = Run(folder / name, lettered, workers=WORKERS, environ=extra)
            stack.callback(run.end)
            said = {"dir": str(run.directory / "state"), "redis": url, "prefix": prefix, "machine": name, **state}
            run.configure(state=said, pools=pools, routes=_ROUTES)
            run.start()
            runs.append(run)
        for run in runs:
            run.wait_until_ready()
            run.wait_for_workers()
        steady = stack.enter_context(steady_load([run.port for run in runs], lettered[0], PER_SECOND, "/steady"))
        one = Pair(runs, steady, prefix)
        wait_for("all backends in all orders", lambda: all(_cycle(one, run) == len(LETTERS) for run in runs))
        stack.enter_context(_held(runs[0]))
        wait_for("something to compare with", lambda: steady.report()[QUIET].ok >= PER_SECOND)
        yield one
        for run in runs:
            assert "Traceback" not in run.log(), run.log()[-5000:]


_ROUTES = [
    {"path": "/abc", "pool": "abc"},
    {"path": "/busy", "pool": "busy"},
    {"path": "/steady", "pool": "web"},
    {"path": "/rated", "respond": {"status": 200}, "rate_limit": {"rate": f"{RATE}/s", "burst": BURST}},
    {"path": "/timed", "pool": "timed"},
    {"id": "hello", "pool": "hello"},
]


def _pools(lettered: Sequence[int], busy: int, hello: Sequence[int]) -> dict[str, Any]:
    members = [{"id": id, "url": f"http://127.0.0.1:{port}"} for id, port in zip(LETTERS, lettered, strict=True)]
    limited = {"id": "b", "url": f"http://127.0.0.1:{busy}", "max_inflight": LIMIT}
    even = {"backends": members, "policy": "round_robin", "health": {"interval": "1s", "scope": "cluster"}}
    slow = {"health": {"type": "none"}, "timeouts": {"first_byte": "1h", "total": "1h"}, "queue": {"size": 0}}
    others = {"backends": [f"http://127.0.0.1:{port}" for port in hello]}
    timed = {
        "backends": [f"http://127.0.0.1:{busy}"],
        "timeouts": {"first_byte": f"{FIRST_BYTE_S}s"},
        "retry": {"attempts": 1},
    }
    return {"web": even, "abc": even, "busy": {"backends": [limited], **slow}, "hello": others, "timed": timed}


def _cycle(one: Pair, run: Run) -> int:
    return one.cells(run, "pool:abc")[SH_CYCLE]


@contextlib.contextmanager
def _held(run: Run) -> Iterator[None]:
    """A request that its backend works on until the end."""
    with socket.create_connection(("127.0.0.1", run.port)) as sock:
        wait_for("room", lambda: get(run.port, "/busy/0").status == 200)
        sock.sendall(b"GET /busy/3000 HTTP/1.1\r\nHost: lb.test\r\n\r\n")
        yield
