"""The control plane's loops. ``start`` is the only name that others need.

Importing this package must cost and start nothing: a gunicorn arbiter imports it for its conf file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lb.controller.controller import Controller

_controller: Controller | None = None


def instance() -> Controller:
    """This process's controller, made at the first call and not yet running."""
    global _controller
    if _controller is None:
        from lb.controller.controller import Controller

        _controller = Controller()
    return _controller


def start() -> Controller:
    """Run this process's controller. To be called after the fork; a second call changes nothing.

    Never raises for what it finds: a missing snapshot or segment is logged and looked for again.
    """
    running = instance()
    running.start()
    return running
