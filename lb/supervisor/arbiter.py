"""gunicorn under ``lb run``: the ``gunicorn`` command, but for the working directory.

gunicorn puts that first on ``sys.path``, and a ``gevent.py`` there would be every worker's.
"""

from __future__ import annotations

from gunicorn.app.wsgiapp import WSGIApplication


class Application(WSGIApplication):  # type: ignore[misc]
    """Stays in the directory it was started in, and off the path."""

    def chdir(self) -> None:
        pass


if __name__ == "__main__":
    Application("%(prog)s [OPTIONS] [APP_MODULE]").run()
