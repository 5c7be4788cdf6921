"""The types of the schema: a check of ``lb.config.checks`` and how an editor describes the value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from lb.config import checks, geo_values, hash_checks, route_checks, units
from lb.config.addresses import Address
from lb.config.names import INNER_POLICIES, NAMED_KEYS, PLAIN_KEYS, POLICIES, REQUEST_HASHES, SERVER_HASHES
from lb.model import HashKey as Key

Shape = dict[str, Any]
_VARIABLE: Shape = {"type": "string", "pattern": r"\$\{"}
"""An editor cannot know what a variable holds, so one may stand anywhere."""
_TEXT: Shape = {"type": "string"}


@dataclass(frozen=True, eq=False)
class Reads:
    """Annotation: ``check`` makes the value, ``shape`` is its JSON Schema."""

    check: Callable[[Any], Any]
    shape: Shape

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Shape:
        return dict(self.shape)


class _OneOrMany:
    """Annotation of a list that may be written as its only item."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_listed, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Shape:
        array = handler(schema)
        return {"anyOf": [array["items"], array]}


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) or value is None else [value]


OneOrMany = _OneOrMany()


@dataclass(frozen=True)
class Shorthand:
    """Annotation of a section that may be written as the value of its most important key."""

    key: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._spread, handler(source))

    def _spread(self, value: Any) -> Any:
        return {self.key: value} if isinstance(value, (str, int)) else value

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Shape:
        section = handler(schema)
        return {"anyOf": [handler.resolve_ref_schema(section)["properties"][self.key], section]}


def _or_variable(*shapes: Shape) -> Shape:
    return {"anyOf": [*shapes, _VARIABLE]}


def _quantity(*patterns: str) -> Shape:
    return _or_variable({"type": "string", "pattern": f"^(?:{'|'.join(patterns)})$"})


def count(low: int, high: int) -> Reads:
    """Annotation of a whole number between two bounds."""
    return Reads(checks.count(low, high), _or_variable({"type": "integer", "minimum": low, "maximum": high}))


def words(*choices: str) -> Reads:
    """Annotation of one of a few words."""
    return Reads(
        checks.one_of(*choices), _or_variable({"enum": [*choices, *(int(c) for c in choices if c.isdecimal())]})
    )


_ZERO: Shape = {"const": 0}
_BYTES: Shape = {"type": "integer", "minimum": 0}

Text = Annotated[str, Reads(checks.text_of, _TEXT)]
Identifier = Annotated[str, Reads(checks.identifier, _TEXT)]
Label = Annotated[str, Reads(checks.label, _TEXT)]
Duration = Annotated[float, Reads(checks.positive_duration, _quantity(units.DURATION))]
ClassSpec = Annotated[str, Reads(checks.class_spec, _or_variable({"type": "string", "pattern": r"^[\w.]+:\w+$"}))]
Remembered = Annotated[float, Reads(checks.remembered, _quantity(units.DURATION))]
DurationOrZero = Annotated[float, Reads(units.duration_s, _or_variable(_ZERO, _quantity("0", units.DURATION)))]
SizeOrNone = Annotated[int | None, Reads(checks.size_or_none, _or_variable(_BYTES, _quantity("none", units.SIZE)))]
Percent = Annotated[float, Reads(units.percent, _quantity(units.PERCENT))]
RequestRate = Annotated[units.RequestRate, Reads(units.request_rate, _quantity(units.REQUEST_RATE))]
Rate = Annotated[float, Reads(units.rate_per_s, _quantity(units.RATE))]
Amount = Annotated[float, Reads(checks.amount, _or_variable({"type": "number", "minimum": 0}))]
PositiveAmount = Annotated[
    float, Reads(checks.positive_amount, _or_variable({"type": "number", "exclusiveMinimum": 0}))
]
Flag = Annotated[bool, Reads(checks.flag, _or_variable({"type": "boolean"}, {"enum": ["on", "off", "yes", "no"]}))]
Token = Annotated[str, Reads(checks.token, _TEXT)]
RedisUrl = Annotated[
    str,
    Reads(
        checks.redis_url,
        _or_variable({"type": "string", "pattern": r"^(?:|(?:rediss?(?:\+sentinel|\+cluster)?|unix)://.+)$"}),
    ),
]
KeyPrefix = Annotated[
    str, Reads(checks.key_prefix, _or_variable({"type": "string", "pattern": r"^[A-Za-z0-9_.:-]{1,64}$"}))
]
MachineName = Annotated[
    str, Reads(checks.machine_name, _or_variable({"type": "string", "pattern": r"^[A-Za-z0-9_.-]{1,64}$"}))
]
BackendUrl = Annotated[
    Address,
    Reads(checks.backend_url, _or_variable({"type": "string", "pattern": r"^(?:https?://[^/?#@\s]+/?|unix:/.+)$"})),
]
Bind = Annotated[Address, Reads(checks.bind, _or_variable({"type": "string", "pattern": r"^(?:.+:[0-9]+|unix:/.+)$"}))]
UrlPath = Annotated[str, Reads(route_checks.url_path, _or_variable({"type": "string", "pattern": "^/"}))]
ProbePath = Annotated[str, Reads(checks.probe_path, _or_variable({"type": "string", "pattern": "^/"}))]
PolicyName = Annotated[str, Reads(checks.policy_name, _or_variable({"enum": [*POLICIES]}))]
InnerPolicy = Annotated[str, Reads(checks.inner_policy, _or_variable({"enum": [*INNER_POLICIES]}))]
RegionName = Annotated[str, Reads(geo_values.region_name, _TEXT)]
Place = Annotated[str, Reads(geo_values.place, _TEXT)]
HashKey = Annotated[
    Key,
    Reads(
        hash_checks.hash_key,
        _or_variable(
            {"enum": [*PLAIN_KEYS]},
            {
                "type": "object",
                "properties": {key: _TEXT for key in NAMED_KEYS},
                "minProperties": 1,
                "maxProperties": 1,
                "additionalProperties": False,
            },
        ),
    ),
]
Prime = Annotated[int, Reads(hash_checks.prime, _or_variable({"type": "integer", "minimum": 2}))]
BoundedLoad = Annotated[
    float | None,
    Reads(
        hash_checks.bounded_load,
        _or_variable({"const": "none"}, {"type": "number", "exclusiveMinimum": 1, "maximum": 100}),
    ),
]


def _polynomial(check: Callable[[Any], tuple[int, ...]], named: Mapping[str, tuple[int, ...]]) -> Reads:
    size = len(named["contract"])
    numbers: Shape = {"type": "array", "items": {"type": "integer"}, "minItems": size, "maxItems": size}
    return Reads(check, _or_variable({"enum": [*named]}, numbers))


RequestHash = Annotated[tuple[int, ...], _polynomial(hash_checks.request_hash, REQUEST_HASHES)]
ServerHash = Annotated[tuple[int, ...], _polynomial(hash_checks.server_hash, SERVER_HASHES)]
ActionName = Annotated[
    Literal["metrics", "health"], Reads(route_checks.action_name, _or_variable({"enum": ["metrics", "health"]}))
]
Workers = Annotated[
    int | None, Reads(checks.workers, _or_variable({"const": "auto"}, {"type": "integer", "minimum": 1}))
]
LimitOrNone = Annotated[
    int | None, Reads(checks.limit_or_none, _or_variable({"const": "none"}, {"type": "integer", "minimum": 1}))
]
Condition = Annotated[
    route_checks.Condition,
    Reads(
        route_checks.condition,
        {
            "anyOf": [
                {"const": True},
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {"regex": {"type": "string", "format": "regex"}},
                    "required": ["regex"],
                    "additionalProperties": False,
                },
            ]
        },
    ),
]
HostPattern = Annotated[str, Reads(route_checks.host_pattern, _TEXT)]
HostName = Annotated[str, Reads(checks.host_or_empty, _TEXT)]
HostPatternOrEmpty = Annotated[str, Reads(route_checks.host_pattern_or_empty, _TEXT)]
Port = Annotated[
    int | None, Reads(checks.port_or_none, _or_variable({"const": "none"}, {"type": "integer", "minimum": 1}))
]
Upgrade = Annotated[str, Reads(route_checks.upgrade, _TEXT)]
Method = Annotated[str, Reads(route_checks.method, _TEXT)]
FieldName = Annotated[str, Reads(route_checks.field_name, _TEXT)]
BodyMatch = Annotated[
    route_checks.Condition | None,
    Reads(
        route_checks.body_match,
        {"anyOf": [_TEXT, {"type": "object", "properties": {"regex": _TEXT}, "required": ["regex"]}, {"type": "null"}]},
    ),
]
HeaderText = Annotated[str, Reads(route_checks.header_text, _TEXT)]
Pattern = Annotated[str, Reads(route_checks.pattern, {"type": "string", "format": "regex"})]
Network = Annotated[str, Reads(checks.network, _TEXT)]
_STATUS: Shape = {"type": ["integer", "string"]}
Statuses = Annotated[tuple[int, ...], Reads(checks.statuses, {"anyOf": [_STATUS, {"type": "array", "items": _STATUS}]})]
RedirectTarget = Annotated[str, Reads(route_checks.redirect_target, _TEXT)]
BodyText = Annotated[str, Reads(route_checks.body_text, _TEXT)]
RetryCause = Annotated[
    Literal["connect", "reset", "timeout", "502", "503", "504"],
    words("connect", "reset", "timeout", "502", "503", "504"),
]
