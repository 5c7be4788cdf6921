"""What every part of the schema has in common, and how a key says its default and its purpose."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from lb.config.units import format_duration
from lb.structs import fields


class Section(BaseModel):
    """A mapping with a fixed set of keys; any other key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def setting(owner: type, name: str, text: str, *, example: Any = None) -> Any:
    """A key whose default is that of field ``name`` of a value of ``lb.model``."""
    spec = next(field for field in fields(owner) if field.name == name)
    return key(text, spec.default, shown=_as_written(name, spec.default), example=example)


def key(text: str, default: Any, *, shown: Any = None, example: Any = None) -> Any:
    """A key with a default of its own; ``shown`` is how a user would write that default."""
    return Field(
        default=default, description=text, json_schema_extra=_editor(default if shown is None else shown, example)
    )


def section(text: str, kind: type[Section]) -> Any:
    """A key that holds a section and may be left out."""
    return Field(default_factory=kind, description=text)


def required(text: str, *, example: Any = None) -> Any:
    """A key that must be there."""
    return Field(description=text, examples=None if example is None else [example])


def _editor(shown: Any, example: Any) -> dict[str, Any]:
    extra = {} if shown is None else {"default": list(shown) if isinstance(shown, tuple) else shown}
    return extra if example is None else {**extra, "examples": [example]}


def _as_written(name: str, value: Any) -> Any:
    if name.endswith("per_s"):
        return f"{value:g}/s"
    if name.endswith("_s"):
        return format_duration(value)
    if name == "budget_percent":
        return f"{value:g}%"
    return "none" if value is None else value
