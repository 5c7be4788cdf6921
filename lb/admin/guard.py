"""Who may read the admin listener: names that only this machine answers to.

A web page anywhere can make a browser on this machine send requests to 127.0.0.1, and, with a DNS
name that it points there (DNS rebinding), read the answers. Both show in Host and Origin. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

from lb.model import Listener

_match_authority = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.\-]{1,253})(?::[0-9]{1,5})?", re.ASCII).fullmatch
_match_origin = re.compile(r"https?://([^/]+)", re.ASCII).fullmatch
_WILDCARDS = ("0.0.0.0", "::", "*", "")


def bound_hosts(listeners: Iterable[Listener]) -> frozenset[str]:
    """The hosts that admin listeners are bound to, lower case, as they stand in the configuration."""
    admin = (listener for listener in listeners if listener.kind == "admin")
    binds = (bind for listener in admin for bind in listener.bind if not bind.startswith("unix:"))
    return frozenset(bind.rpartition(":")[0].strip("[]").lower() for bind in binds)


def is_welcome(host: str, origin: str | None, bound: frozenset[str]) -> bool:
    """Whether a request with these fields can only come from somebody who named this machine itself."""
    authority = _match_authority(host)
    if authority is None or not _is_ours(authority[1].strip("[]").lower(), bound):
        return False
    if origin is None:
        return True
    page = _match_origin(origin)
    return page is not None and page[1].lower() == host.lower()


def _is_ours(name: str, bound: frozenset[str]) -> bool:
    """Bound to every address, any literal address is fine: only names can be pointed elsewhere."""
    address = _address(name)
    if address is None:
        return name == "localhost" or name in bound
    return address.is_loopback or name in bound or any(wildcard in bound for wildcard in _WILDCARDS)


def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(name)
    except ValueError:
        return None
