"""The URL of the store that machines share: what ``state.redis`` may say. Pure; no message shows what it got, for it may hold a password.

    redis://[[USER]:PASSWORD@]HOST[:6379][/DATABASE]            one server
    unix://[[USER]:PASSWORD@]/path/of/the.sock[?db=DATABASE]    one server, by its socket
    redis+sentinel://[[USER]:PASSWORD@]HOST[:26379],HOST.../NAME[/DATABASE]
    redis+cluster://[[USER]:PASSWORD@]HOST[:6379],HOST...
    rediss://, rediss+sentinel://, rediss+cluster://            the same over TLS; ?ca=FILE is whom to trust

User and password are those of the server (ACL), percent-encoded where they must be; Sentinels that want one get it as
``?sentinel_password=``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import unquote

StoreKind = Literal["server", "sentinel", "cluster"]
REDIS_PORT = 6379
SENTINEL_PORT = 26379

_URL = re.compile(r"([a-z+]+)://(?:([^@/?#]*)@)?([^@/?#]*)(/[^?#]*)?(?:\?([^#]*))?")
_SCHEMES: dict[str, tuple[StoreKind, bool]] = {
    "redis": ("server", False),
    "rediss": ("server", True),
    "unix": ("server", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([1-9][0-9]{0,4}))?", re.ASCII)
_DATABASE = re.compile(r"[0-9]{1,5}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}", re.ASCII)
_EXAMPLE = "expected a URL such as redis://10.0.0.5:6379/0"


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """Where the store is and how to get in. Its text never shows the passwords."""

    kind: StoreKind
    hosts: tuple[tuple[str, int], ...] = ()
    """Of the server, the Sentinels, or some of the cluster's nodes."""
    unix_path: str = ""
    name: str = ""
    """Of the master that the Sentinels watch."""
    database: int = 0
    tls: bool = False
    ca: str = ""
    """PEM file; empty: the system's."""
    user: str = ""
    password: str = field(default="", repr=False)
    sentinel_password: str = field(default="", repr=False)

    def __str__(self) -> str:
        """For people: kind and place, without user and passwords."""
        if self.unix_path:
            return f"unix:{self.unix_path}"
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        return f"{self.name} of the Sentinels {hosts}" if self.kind == "sentinel" else hosts


def parse(url: str) -> StoreAddress:
    """ValueError says what is wrong and what to write."""
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError(_EXAMPLE)
    scheme, login, place, path, query = match[1], match[2] or "", match[3], match[4] or "", match[5] or ""
    if scheme not in _SCHEMES:
        raise ValueError(f"expected one of {', '.join(f'{name}://' for name in _SCHEMES)}")
    kind, tls = _SCHEMES[scheme]
    options = _options(query, scheme)
    user, _, password = login.rpartition(":")
    if login and ":" not in login:
        raise ValueError("expected USER:PASSWORD@ or :PASSWORD@ before the host")
    common = StoreAddress(
        kind,
        tls=tls,
        ca=options.get("ca", ""),
        user=unquote(user),
        password=unquote(password),
        sentinel_password=options.get("sentinel_password", ""),
    )
    if scheme == "unix":
        return replace(common, unix_path=_socket(place, path), database=_database(options.get("db", "")))
    hosts = tuple(_host(one, SENTINEL_PORT if kind == "sentinel" else REDIS_PORT) for one in place.split(","))
    if kind == "cluster":
        if path not in ("", "/", "/0"):
            raise ValueError("a cluster has no databases: the URL ends after the hosts")
        return replace(common, hosts=hosts)
    if kind == "sentinel":
        name, _, database = path.lstrip("/").partition("/")
        if not _NAME.fullmatch(name):
            raise ValueError("expected the master's name behind the Sentinels: redis+sentinel://HOST,HOST/NAME")
        return replace(common, hosts=hosts, name=name, database=_database(database))
    if len(hosts) > 1:
        raise ValueError("more than one host: write redis+sentinel:// or redis+cluster://")
    return replace(common, hosts=hosts, database=_database(path.lstrip("/")))


def _options(query: str, scheme: str) -> dict[str, str]:
    allowed = {"db": scheme == "unix", "ca": scheme.startswith("rediss"), "sentinel_password": "sentinel" in scheme}
    known = [name for name, is_allowed in allowed.items() if is_allowed]
    options = {}
    for item in filter(None, query.split("&")):
        name, _, value = item.partition("=")
        if name not in known:
            listed = ", ".join(f"`{one}`" for one in known) or "nothing"
            raise ValueError(f"behind the `?` of a {scheme}:// URL {listed} may stand")
        options[name] = unquote(value)
    return options


def _host(text: str, default_port: int) -> tuple[str, int]:
    match = _HOST.fullmatch(text)
    if match is None or int(match[2] or 1) > 65_535:
        raise ValueError(f"{_EXAMPLE}: host or port is not right")
    return match[1].strip("[]"), int(match[2] or default_port)


def _socket(place: str, path: str) -> str:
    if place or len(path) < 2:
        raise ValueError("expected the socket's absolute path, as in unix:///run/redis/redis.sock")
    return unquote(path)


def _database(text: str) -> int:
    if text and not _DATABASE.fullmatch(text):
        raise ValueError(f"{_EXAMPLE}: the database is a number")
    return int(text or 0)
