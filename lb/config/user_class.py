"""A policy class that a user wrote: finding its module's text, and making the class of it.

The text is read once, where a configuration is checked, and travels in the snapshot: every worker runs what was checked,
whatever has become of the file, and a worker that starts later runs the same. Modules that it imports are imported as
ever. Needs no pydantic: workers import this.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import sys
import traceback
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any, NamedTuple

from lb.model import CustomPolicy

_MOST_TEXT = 200
_folders: list[str] = []
"""What is in ``sys.path`` because of a configuration: one or none."""


class Found(NamedTuple):
    file: str
    source: str


class NotFound(Exception):
    """The text says what is missing."""


def find(module: str, folder: str) -> Found:
    """The module's file and text: where Python finds it, and last in ``folder``. Imports nothing of it."""
    _look_in(folder)
    path = sys.path
    spec = None
    name = ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        spec = PathFinder.find_spec(name, path)
        if spec is None:
            raise NotFound(f"there is no module `{name}` in {folder} nor where Python looks for modules")
        path = list(spec.submodule_search_locations or ())
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise NotFound(f"`{module}` is no module with a .py file")
    try:
        with open(spec.origin, "rb") as file:
            return Found(spec.origin, importlib.util.decode_source(file.read()))
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise NotFound(f"{spec.origin} cannot be read: {error}") from error


def class_of(custom: CustomPolicy) -> Any:
    """What the configuration names, from the text in ``custom``. Raises whatever that raises; NotFound without such a
    class."""
    name, _, attribute = custom.spec.partition(":")
    module = _module(name, custom)
    found = getattr(module, attribute, None)
    if found is None:
        raise NotFound(f"`{name}` has no `{attribute}`")
    if not isinstance(found, type) or not callable(getattr(found, "build", None)):
        raise NotFound(
            f"`{custom.spec}` is no class with a `build(members, eligible)`"
        )  # and is not called to find out
    return found


def options_of(custom: CustomPolicy) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(custom.options)
    return found


def _look_in(folder: str) -> None:
    """Modules are found there from now on, behind all other places, so that nothing of anybody's is hidden; and no longer
    in the directory of another configuration."""
    if folder not in _folders:
        sys.path[:] = [path for path in sys.path if path not in _folders]
        _folders[:] = [folder] if folder not in sys.path else []
        sys.path.extend(_folders)
        importlib.invalidate_caches()


def _module(name: str, custom: CustomPolicy) -> ModuleType:
    """Made anew if its text has changed; it takes the place of its predecessor only when it could be."""
    _look_in(custom.folder)
    digest = hashlib.sha256(f"{custom.file}\0{custom.source}".encode()).hexdigest()
    before = sys.modules.get(name)
    if getattr(before, "__lb_digest__", "") == digest:
        assert before is not None
        return before
    spec = importlib.util.spec_from_file_location(name, custom.file)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        exec(compile(custom.source, custom.file, "exec"), module.__dict__)
    except BaseException:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
        raise
    module.__lb_digest__ = digest  # type: ignore[attr-defined]
    return module


def described(error: BaseException, file: str) -> str:
    """An error of the user's code in one line, with the place in ``file`` where it came from. Its text is the user's code
    too: it may raise anything, or never end."""
    text = " ".join(f"{type(error).__name__}: {error}".split())[:_MOST_TEXT]
    lines = [entry.lineno for entry in traceback.extract_tb(error.__traceback__) if entry.filename == file]
    if isinstance(error, SyntaxError) and error.filename == file:
        lines.append(error.lineno)
    return f"{text} ({file}:{lines[-1]})" if lines else text
