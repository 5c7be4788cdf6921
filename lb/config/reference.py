"""The table of keys in ``docs/configuration.md``, made from the schema.

``python -m lb.config.reference FILE`` writes it between the two marks of that file; a test fails
when it is out of date.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lb.config.schema import json_schema

BEGIN, END = "<!-- keys: begin, written by python -m lb.config.reference -->", "<!-- keys: end -->"
_SECTIONS = {
    "Schema": "Top level",
    "ListenerEntry": "`listeners.NAME`",
    "CertificateEntry": "`listeners.NAME.tls`",
    "ListenerTimeoutsEntry": "`listeners.NAME.timeouts`",
    "PoolEntry": "`pools.NAME`",
    "BackendEntry": "`pools.NAME.backends`, each",
    "PolicyEntry": "`pools.NAME.policy`",
    "WeightsEntry": "`pools.NAME.policy.weights`",
    "MaximaEntry": "`pools.NAME.policy.maxima`",
    "RingEntry": "`pools.NAME.policy.ring`",
    "MaglevEntry": "`pools.NAME.policy.maglev`",
    "ContractEntry": "`pools.NAME.policy.contract`",
    "ProbeEntry": "`pools.NAME.policy.probe`",
    "HealthEntry": "`pools.NAME.health`",
    "PoolTimeoutsEntry": "`pools.NAME.timeouts`",
    "OutlierEntry": "`pools.NAME.outlier`",
    "QueueEntry": "`pools.NAME.queue`",
    "ZonesEntry": "`pools.NAME.zones`",
    "RetryEntry": "`pools.NAME.retry`",
    "StickyEntry": "`pools.NAME.sticky`",
    "BackendTlsEntry": "`pools.NAME.tls`",
    "RouteEntry": "`routes`, each",
    "RespondEntry": "`routes` `respond`",
    "RateLimitEntry": "`routes` `rate_limit`",
    "RedirectEntry": "`routes` `redirect`",
    "GeoEntry": "`geo`",
    "StateEntry": "`state`",
    "AccessLogEntry": "`access_log`",
}
"""Every section of the schema, in the order of the document."""
_TYPES = (("ms|s|m|h|d", "duration"), ("[KMG]iB", "size"), ("%)$", "share"), ("/s)$", "rate"))


def reference() -> str:
    """Markdown: one table for each section."""
    schema = json_schema()
    sections = {"Schema": schema, **schema["$defs"]}
    assert sections.keys() == _SECTIONS.keys(), sections.keys() ^ _SECTIONS.keys()
    return "\n".join(line for name, title in _SECTIONS.items() for line in _table(title, sections[name]))


def with_reference(text: str) -> str:
    """``text`` with the table between its marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{reference()}\n{END}{after}"


def _table(title: str, section: dict[str, Any]) -> Iterator[str]:
    yield from (f"### {title}", "", "| key | type | default | what it is | example |", "|---|---|---|---|---|")
    for name, shape in section["properties"].items():
        needed = "required" if name in section.get("required", ()) else _code(shape.get("default"))
        example = _code(shape["examples"][0]) if "examples" in shape else ""
        cells = (f"`{name}`", _type(shape), needed, shape.get("description", ""), example)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""


def _code(value: Any) -> str:
    """A value as one would write it in YAML."""
    if value is None or value in ("", [], {}):
        return ""
    text = value if isinstance(value, str) else json.dumps(value)
    return f"`{re.sub(chr(10), chr(92) + 'n', text)}`"


def _type(shape: dict[str, Any]) -> str:
    """What a key holds, in the words of this documentation."""
    if "anyOf" in shape:
        found = dict.fromkeys(word for one in shape["anyOf"] for word in _type(one).split(" or ") if word)
        return " or ".join(found)
    if "enum" in shape or "const" in shape:
        values = shape.get("enum", [shape.get("const")])
        words = [value for value in values if isinstance(value, str)] or values
        return ", ".join(f"`{word}`" for word in words if word not in ("on", "off", "yes", "no"))
    if "$ref" in shape:
        return "mapping"
    return _named(shape)


def _named(shape: dict[str, Any]) -> str:
    pattern, kind = shape.get("pattern", ""), shape.get("type")
    if pattern == r"\$\{" or kind == "null":
        return ""
    if kind == "array":
        return f"list of {_type(shape['items'])}" if _type(shape["items"]) else "list"
    if kind == "object":
        return "mapping"
    quantity = next((word for part, word in _TYPES if part in pattern), None)
    plain = {"integer": "number", "number": "number", "boolean": "true, false", "string": "text"}
    return quantity or (plain.get(kind, "number or text") if isinstance(kind, str) else "number or text")


def main(path: str) -> None:
    file = Path(path)
    file.write_text(with_reference(file.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
