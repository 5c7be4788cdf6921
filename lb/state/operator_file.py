"""``state.dir/operator.json``: what operators changed, over restarts; with a copy, for the day it is damaged."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from lb.state import durable
from lb.state.operator import Overlay, decode, encode

COPY_SUFFIX = ".bak"
DAMAGED_SUFFIX = ".damaged"


class Found(NamedTuple):
    """``problem``: what is wrong with the file, in one line; empty if nothing is."""

    overlay: Overlay
    problem: str = ""


def operator_path(state_dir: str) -> str:
    return os.path.join(state_dir, "operator.json")


def load(state_dir: str) -> Found:
    """What is kept, or its copy, or nothing. Never raises."""
    path = operator_path(state_dir)
    try:
        return Found(_read(path))
    except FileNotFoundError:
        problem = "is gone"
        if not os.path.exists(path + COPY_SUFFIX):
            return Found(Overlay())
    except (OSError, ValueError) as error:
        problem = f"cannot be read ({error})"
    try:
        return Found(_read(path + COPY_SUFFIX), f"{path} {problem}: its copy is in force")
    except (OSError, ValueError):
        return Found(Overlay(), f"{path} {problem}, nor can its copy: what operators changed on this machine is lost")


def _read(path: str) -> Overlay:
    with open(path, "rb") as file:
        return decode(file.read())


@contextmanager
def kept(state_dir: str, overlay: Overlay) -> Iterator[None]:
    """``overlay`` is on disk from the block on; what was there before if the block raises. A damaged file is laid
    aside, not lost."""
    path = operator_path(state_dir)
    if load(state_dir).problem:
        for suffix in ("", COPY_SUFFIX):
            with contextlib.suppress(FileNotFoundError):
                _lay_aside(path + suffix)
    raw = encode(overlay)
    with durable.replaced(path, raw):
        yield
    with contextlib.suppress(OSError):  # the first is there: the copy is for another day
        durable.write(path + COPY_SUFFIX, raw)


def _lay_aside(path: str) -> None:
    try:
        _read(path)
    except ValueError:
        os.replace(path, path + DAMAGED_SUFFIX)
