"""Bodies of requests: how large, of which type, and JSON that says one thing only. Pure but for reading them."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, NoReturn

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Request

from lb.state.operator import Refused

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
JSON = ("application/json",)
YAML = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")


def raw_body(request: Request, types: Collection[str]) -> bytes:
    """Refused 415 for another type: a page of anybody can make a browser send text, but not these. 413 beyond 1 MiB."""
    if request.mimetype not in types:
        raise Refused(415, "unsupported_type", f"expected Content-Type {' or '.join(types)}")
    request.max_content_length = MAX_BYTES
    try:
        return request.get_data(cache=False)
    except RequestEntityTooLarge as error:
        raise Refused(413, "body_too_large", f"a body has at most {MAX_BYTES >> 20} MiB here") from error


def json_object(request: Request) -> dict[str, Any]:
    """Refused 400 for what is no JSON object, for duplicate keys, NaN, or what is nested too deep."""
    try:
        value = json.loads(raw_body(request, JSON), object_pairs_hook=_object, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        said = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise Refused(400, "bad_json", f"the body is not JSON: {said}") from error
    if not isinstance(value, dict):
        raise Refused(400, "bad_json", "expected a JSON object")
    _check_depth(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"duplicate key {name[:100]!r}")
        found[name] = value
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return
    raise Refused(400, "bad_json", f"nested deeper than {MAX_DEPTH} levels")


def _inside(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [one for one in inner if isinstance(one, (dict, list))]
