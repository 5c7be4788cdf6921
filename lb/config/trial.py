"""Tries a user's policy before it is put in force: it is made, built over the pool's backends, and asked a few times."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from itertools import count
from random import Random

from lb.config.bounds import Bounds
from lb.config.user_class import NotFound, class_of, described, options_of
from lb.model import Backend, CustomPolicy

IMPORT_S, BUILD_S, PICK_S = 20.0, 5.0, 1.0
"""Of processor time: a check may wait longer than a worker, and a machine that checks may be slow."""
PICKS = 20
_STDOUT, _STDERR = 1, 2


class _Context:
    """As of a pool that has just begun: nothing in flight, nothing known."""

    def __init__(self) -> None:
        self.key = b"192.0.2.1"
        self.random = Random(1).random
        self.ticket = count().__next__

    def load(self, i: int) -> int:
        return 0

    def latency(self, i: int) -> float:
        return 0.0

    def score(self, i: int) -> float:
        return 1.0

    def recall(self) -> int:
        return -1

    def remember(self, i: int) -> None:
        pass


def mistakes_of(custom: CustomPolicy, members: Sequence[Backend]) -> Iterator[str]:
    """The first thing that is wrong with it, if anything is."""
    with _unheard():
        mistake = _mistake(custom, members)
    if mistake:
        yield mistake


@contextmanager
def _unheard() -> Iterator[None]:
    """What it prints goes nowhere: the output of whoever checks may be an answer that another process reads."""
    with open(os.devnull, "w") as nowhere, ExitStack() as stack:
        for stream, fd in ((sys.stdout, _STDOUT), (sys.stderr, _STDERR)):
            with suppress(OSError, ValueError, AttributeError):  # closed, or there is none
                stream.flush()
                kept = os.dup(fd)
                stack.callback(os.close, kept)
                stack.callback(os.dup2, kept, fd)
                os.dup2(nowhere.fileno(), fd)
        with redirect_stdout(nowhere), redirect_stderr(nowhere):
            yield


def _mistake(custom: CustomPolicy, members: Sequence[Backend]) -> str:
    bounds = Bounds()
    step = "it cannot be imported"
    try:
        kind = bounds.call(IMPORT_S, class_of, custom)
        step = "it cannot be made with these `options`"
        policy = bounds.call(IMPORT_S, lambda: kind(**options_of(custom)))
        step = "its `build` fails"
        eligible = tuple(range(len(members)))
        pick = bounds.call(BUILD_S, lambda: policy.build(tuple(members), eligible))
        step = "its pick fails"
        ctx = _Context()
        for _ in range(PICKS):
            i = bounds.call(PICK_S, pick, ctx)
            if type(i) is not int or i not in eligible:
                shown = bounds.text_of(PICK_S, i)[:60]
                return f"its pick returned {shown}, which is no position among the {len(eligible)} eligible ones"
    except NotFound as error:
        return str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever their code does
        return f"{step}: {bounds.text_of(PICK_S, error, lambda error: described(error, custom.file))}"
    return ""
