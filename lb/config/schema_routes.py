"""The ``routes`` part of a configuration file."""

from __future__ import annotations

from typing import Annotated, Literal

from lb.config.fields import (
    ActionName,
    BodyText,
    Condition,
    FieldName,
    Flag,
    HeaderText,
    HostPattern,
    Identifier,
    Label,
    Method,
    OneOrMany,
    PolicyName,
    RedirectTarget,
    RequestRate,
    Shorthand,
    SizeOrNone,
    Text,
    Upgrade,
    UrlPath,
    count,
    words,
)
from lb.config.section import Section, key, required, setting
from lb.model import ErrorStyle, Redirect, Respond, Route

MAX_BURST = 1_000_000


class RespondEntry(Section):
    status: Annotated[int, count(200, 599)] = setting(Respond, "status", "Status of the answer.")
    body: BodyText = setting(Respond, "body", "Its body.", example="closed for the night\n")
    content_type: HeaderText = setting(Respond, "content_type", "Its Content-Type.")


class RedirectEntry(Section):
    to: RedirectTarget = required(
        "Where to; `{scheme}` `{host}` `{hostport}` `{path}` `{query}` stand for those of the request, "
        "`{host}` without the port, `{query}` with its own `?`, or nothing.",
        example="https://{host}{path}{query}",
    )
    status: Annotated[int, words("301", "302", "303", "307", "308")] = setting(
        Redirect, "status", "Status of the answer."
    )


class RateLimitEntry(Section):
    rate: RequestRate = required("Requests that are let through: per second, minute, hour or day.", example="100/s")
    burst: Annotated[int | None, count(1, MAX_BURST)] = key(
        "Most of them at once, when none came for a while; by default the number in `rate` (100 of `100/m`), at least 1.",
        None,
        example=200,
    )


class RouteEntry(Section):
    id: Label = key("Its name in logs and metrics; by default made of scheme, host and path.", "", example="api")
    scheme: Annotated[Literal["", "http", "https"], words("http", "https")] = setting(
        Route, "scheme", "What the client spoke, to us or to a trusted proxy; none: either.", example="http"
    )
    host: Annotated[list[HostPattern], OneOrMany] = key(
        "Hosts: with a port or for every port, `*.example.com` for all names below; one or a list.",
        (),
        example="shop.example.com",
    )
    path: UrlPath = key(
        "Path prefix, on segment boundaries: `/api` takes `/api` and `/api/x`, not `/apis`.", "", example="/api"
    )
    exact: UrlPath = key("Whole path, instead of `path`.", "", example="/login")
    methods: Annotated[list[Method], OneOrMany] = key("Methods; none: all.", (), example=["GET", "HEAD"])
    headers: dict[FieldName, Condition] = key(
        "Request fields: a value, `{regex: ...}` for the whole value, or `true` for present.",
        {},
        example={"X-Beta": True},
    )
    query: dict[Text, Condition] = key(
        "Query fields, like `headers`.", {}, example={"version": {"regex": "2\\.[0-9]+"}}
    )
    pool: Identifier | None = key("Action: send to this pool.", None, example="web")
    respond: RespondEntry | None = key("Action: answer this.", None)
    redirect: Annotated[RedirectEntry, Shorthand("to")] | None = key("Action: redirect; a target, or a mapping.", None)
    action: ActionName | None = key("Action: `metrics` or `health` of the balancer itself.", None)
    policy: PolicyName = setting(Route, "policy", "Instead of the pool's.", example="round_robin")
    algo_override: Flag = setting(Route, "algo_override", "Whether a client may choose the policy by `?algo=`.")
    upgrades: Annotated[list[Upgrade], OneOrMany] = setting(
        Route, "upgrades", "Upgrades that are passed on as a tunnel."
    )
    body_limit: SizeOrNone = setting(
        Route, "body_limit_bytes", "Largest request body, instead of the listener's.", example="1MiB"
    )
    rate_limit: Annotated[RateLimitEntry, Shorthand("rate")] | None = key(
        "Most requests per time, of all clients together, all workers and all machines that share Redis; a rate, or a "
        "mapping. What is above it is answered 429 with Retry-After.",
        None,
    )
    error_style: Annotated[ErrorStyle, words("json", "error_only", "text")] = setting(
        Route,
        "error_style",
        "Shape of error answers: JSON with reason and request id, JSON with the text only, plain text.",
    )
