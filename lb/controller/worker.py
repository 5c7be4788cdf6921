"""The controller's gunicorn worker: gevent's."""

from __future__ import annotations

from gunicorn.workers.ggevent import GeventWorker

from lb.supervisor.patching import distributions_read_once


class ControllerWorker(GeventWorker):  # type: ignore[misc]
    def patch(self) -> None:
        with distributions_read_once():
            super().patch()
