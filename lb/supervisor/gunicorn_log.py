"""gunicorn's own lines, and those of our modules below it, in the supervisor's ``key=value`` form.

Imported by gunicorn only (its ``logger_class``).
"""

from __future__ import annotations

import logging
from typing import Any

from gunicorn.glogging import Logger

from lb.supervisor.log import line


class KeyValueFormatter(logging.Formatter):
    """One line per record, whatever is in the message; a traceback follows on lines of its own."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        fields = {"pid": record.process, "logger": record.name, "msg": record.getMessage()}
        text = line(record.levelname.lower(), "log", fields, record.created, process=self._process).rstrip("\n")
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class KeyValueLogger(Logger):  # type: ignore[misc]
    """Arbiters and workers log to stderr; ``lb.*`` loggers go the same way.

    At level ``info`` only ours are heard so low: gunicorn would greet with four lines at each start.
    """

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        formatter = KeyValueFormatter(cfg.proc_name)
        for handler in self.error_log.handlers:
            handler.setFormatter(formatter)
            if self.loglevel == logging.INFO:
                handler.addFilter(_is_worth_a_line)
        ours = logging.getLogger("lb")
        ours.handlers = list(self.error_log.handlers)
        ours.setLevel(self.loglevel)
        ours.propagate = False


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    return record.levelno > logging.INFO or not record.name.startswith("gunicorn.")
