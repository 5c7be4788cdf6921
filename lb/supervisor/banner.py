"""The one line that says that everything serves, and where."""

from __future__ import annotations

from lb.model import Listener, Snapshot
from lb.native.finder import data_path
from lb.supervisor.addresses import Bind
from lb.supervisor.probes import Verdicts
from lb.supervisor.sockets import Held


def ready_line(snapshot: Snapshot, held: Held, verdicts: Verdicts, pid: int) -> str:
    places = "  ".join(f"{listener.kind} {_urls(listener, held)}" for listener in snapshot.config.listeners)
    serving = f"pid {pid}  workers {snapshot.config.workers} ({data_path()})  generation {snapshot.generation}"
    return f"lb ready: {places}  {serving}  {verdicts}"


def _urls(listener: Listener, held: Held) -> str:
    scheme = "https" if listener.certificates else "http"
    binds = [Bind(listener.id, address) for address in listener.bind if held.has(address)]
    return " ".join(held.url(bind, scheme) for bind in binds)
