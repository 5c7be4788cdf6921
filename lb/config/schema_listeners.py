"""The ``listeners`` part of a configuration file."""

from __future__ import annotations

from typing import Annotated

from lb.config.fields import (
    Bind,
    Duration,
    DurationOrZero,
    Flag,
    HostPattern,
    LimitOrNone,
    OneOrMany,
    SizeOrNone,
    Text,
    Token,
)
from lb.config.section import Section, key, required, section, setting
from lb.model import Certificate, Listener, ListenerTimeouts

DEFAULT_BINDS = {
    "traffic": ("0.0.0.0:5000", "[::]:5000"),
    "status": ("0.0.0.0:5051",),
    "admin": ("127.0.0.1:5050",),
}
"""Of the listeners that exist without being named. A machine without IPv6 does without the second."""


class CertificateEntry(Section):
    cert: Text = required("PEM file with the certificate and its chain.", example="/etc/lb/tls.crt")
    key: Text = required("PEM file with the private key.", example="/etc/lb/tls.key")
    names: Annotated[list[HostPattern], OneOrMany] = setting(
        Certificate, "names", "SNI names it answers; none: those of the certificate.", example=["shop.example.com"]
    )


class ListenerTimeoutsEntry(Section):
    head: Duration = setting(ListenerTimeouts, "head_s", "For a request's head, from its first byte.")
    body: Duration = setting(ListenerTimeouts, "body_s", "Longest silence while a request's body arrives.")
    write: Duration = setting(ListenerTimeouts, "write_s", "Longest time without progress towards the client.")
    keep_alive: Duration = setting(ListenerTimeouts, "keep_alive_s", "How long an idle connection is kept.")
    half_close: DurationOrZero = setting(
        ListenerTimeouts, "half_close_s", "How long a client that closed its sending side still counts as there."
    )
    handshake: Duration = setting(ListenerTimeouts, "handshake_s", "For the TLS handshake and the PROXY header.")


class ListenerEntry(Section):
    bind: Annotated[list[Bind], OneOrMany] | None = key(
        "Addresses: `host:port`, `[v6]:port`, `unix:/path`; one or a list. "
        "Only `traffic`, `status` and `admin` have a default.",
        None,
        example=["0.0.0.0:5000", "[::]:5000"],
    )
    tls: Annotated[list[CertificateEntry], OneOrMany] = key(
        "Certificates; one mapping or a list, the first is the default one.", ()
    )
    proxy_protocol: Flag = setting(
        Listener, "proxy_protocol", "Whether every connection starts with a PROXY header, v1 or v2."
    )
    timeouts: ListenerTimeoutsEntry = section("What a client may take its time for.", ListenerTimeoutsEntry)
    body_limit: SizeOrNone = setting(
        Listener, "body_limit_bytes", "Largest request body; a route may set its own.", example="10MiB"
    )
    max_connections_per_client: LimitOrNone = setting(
        Listener,
        "max_connections_per_client",
        "Open connections of one client address, per worker; one more is answered 429.",
        example=100,
    )
    token: Token = setting(
        Listener,
        "token",
        "Bearer token for changes, `admin` only; empty: one is made, in `admin.token` in `state.dir`.",
        example="${LB_ADMIN_TOKEN}",
    )
