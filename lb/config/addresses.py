"""Backend URLs and bind addresses. Pure; ValueError says what is wrong and what to write.

An address has exactly one spelling here. Other notations of an IP address (``0x7f.1``, ``017700000001``,
``2130706433``, ``::ffff:127.0.0.1``) exist to slip past checks like these and are refused.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any, NamedTuple

from lb.config.absent import absence

MAX_UNIX_PATH_BYTES = 107
"""sockaddr_un.sun_path is 108 bytes on Linux, one of them the final NUL."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(.*)", re.DOTALL)
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::([^:]*))?")
_BESIDE_A_BIND = re.compile(r"(?i:([a-z][a-z0-9]*)/.*|.*:[0-9]+[/ ]([a-z][a-z0-9]*))")
"""``udp/0.0.0.0:53``, ``0.0.0.0:53/udp``, ``0.0.0.0:443 quic``: how others write what a socket is for."""
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?", re.ASCII)
_PORT = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*", re.ASCII)
_METADATA_HOSTS = {"metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"}
_METADATA_V6 = ipaddress.ip_network("fd00:ec2::254/128")
WILDCARDS = {"0.0.0.0": 4, "::": 6}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Found = tuple[tuple[int, Any], ...]
"""What a name led to: family and socket address each, as ``socket.getaddrinfo`` has them."""
IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class Address(NamedTuple):
    """``unix_path``, or ``host`` (no brackets) and ``port``. ``scheme`` only for backends."""

    scheme: str = ""
    host: str = ""
    port: int = 0
    unix_path: str = ""


def backend_url(text: str) -> Address:
    """``http://host[:port]``, ``https://host[:port]`` or ``unix:/path``, and nothing after it."""
    refuse_controls(text)
    if text.startswith("unix:"):
        return Address("http", unix_path=_unix_path(text[5:]))
    if "@" in text:  # first of all, so that no message shows a password
        raise ValueError("a backend URL has no user name or password in it")
    match = _URL.fullmatch(text)
    if not match:
        raise ValueError(f"expected a URL such as http://10.0.0.1:8080, got `{text}`{_nearest_url(text)}")
    scheme, authority, rest = match[1].lower(), match[2], match[3]
    if scheme not in ("http", "https"):
        reason = absence(scheme)
        raise ValueError(
            f"scheme `{scheme}` {reason}" if reason else f"scheme `{scheme}`: expected http://, https:// or unix:"
        )
    if rest not in ("", "/"):
        raise ValueError(f"a backend URL ends after the port: `{rest}` does not belong here")
    host, port = _host_and_port(authority, 443 if scheme == "https" else 80, "1")
    _refuse_unreachable(host)
    return Address(scheme, host, port)


def _nearest_url(text: str) -> str:
    """The end of a sentence about what is no URL: one that is, if it takes little to make one of it."""
    bare = text.lstrip("/")
    port = bare.removeprefix(":")
    url = f"http://127.0.0.1:{port}" if port.isdecimal() else f"http://{bare}"
    try:
        backend_url(url)
    except ValueError:
        return ""
    return f"; did you mean `{url}`?"


def bind_address(text: str) -> Address:
    """``host:port``, ``[v6]:port`` or ``unix:/path``. Port 0 lets the system choose."""
    refuse_controls(text)
    if text.startswith("unix:"):
        return Address(unix_path=_unix_path(text[5:]))
    if "://" in text:
        scheme = text.partition("://")[0].lower()
        reason = absence(scheme)
        raise ValueError(f"`{scheme}` {reason}" if reason else f"`{text}`: a bind is host:port without a scheme")
    if beside := _BESIDE_A_BIND.fullmatch(text):
        word = beside[1] or beside[2]
        raise ValueError(f"`{word}` {absence(word) or 'is not part of a bind'}; expected host:port")
    if text.startswith("*:"):
        raise ValueError(f"`{text}`: every address is written `0.0.0.0:{text[2:]}`, and `[::]:{text[2:]}` for IPv6")
    if text.removeprefix(":").isdecimal():
        raise ValueError(f"expected host:port, for instance `0.0.0.0:{text.lstrip(':') or 5000}`")
    host, port = _host_and_port(text, None, "0")
    return Address(host=host, port=port)


def bind_text(address: Address) -> str:
    """The one spelling of a bind."""
    if address.unix_path:
        return f"unix:{address.unix_path}"
    return f"[{address.host}]:{address.port}" if ":" in address.host else f"{address.host}:{address.port}"


def refuse_controls(text: str) -> str:
    """Nothing that could end a line of a head, of a log or a terminal's patience may be in a value."""
    if not text.isprintable():
        raise ValueError("control characters (such as a line break or NUL) are not allowed here")
    return text


def host_name(text: str) -> str:
    """A DNS name or canonical IP address without brackets, in lower case."""
    refuse_controls(text)
    if text.startswith("["):
        return _ipv6(text)
    return _name_or_ipv4(text)


def as_ip(host: str) -> IpAddress | None:
    """The address if ``host`` is one, None if it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def reaches(backend: Address, bound: Address) -> bool:
    """Whether a connection to ``backend`` from this machine would arrive at what is bound to ``bound``."""
    if backend.unix_path or bound.unix_path:
        return backend.unix_path == bound.unix_path
    if backend.port != bound.port:
        return False
    host = numeric(backend.host)
    if bound.host in WILDCARDS:
        address = as_ip(host)
        return bool(address and address.is_loopback)
    return host == numeric(bound.host)


def numeric(host: str) -> str:
    """Names of this machine as its address; any other host as it is."""
    return "127.0.0.1" if host == "localhost" or host.endswith(".localhost") else host


def _host_and_port(authority: str, default_port: int | None, lowest: str) -> tuple[str, int]:
    match = _AUTHORITY.fullmatch(authority)
    if not match or not match[1]:
        hint = "; an IPv6 address goes in brackets, [::1]:80" if authority.count(":") > 1 else ""
        raise ValueError(f"expected host:port, got `{authority}`{hint}")
    host = host_name(match[1])
    if match[2] is None:
        if default_port is None:
            raise ValueError(f"`{authority}` has no port: expected host:port")
        return host, default_port
    return host, _port(match[2], lowest)


def _port(text: str, lowest: str) -> int:
    if text == lowest == "0":
        return 0
    if not _PORT.fullmatch(text) or int(text) > 65535:
        raise ValueError(f"port `{text}`: expected a number from {lowest} to 65535")
    return int(text)


def _name_or_ipv4(text: str) -> str:
    if text.endswith("."):
        raise ValueError(f"write the host without its last dot: `{text.rstrip('.')}`")
    labels = text.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _ipv4(text)
    if len(text) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        hint = "" if text.isascii() else "; write an international name in its xn-- form"
        raise ValueError(f"`{text}` is not a host name{hint}")
    return text.lower()


def _ipv4(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise ValueError(f"`{text}` is not an IP address in its usual form, four decimal numbers") from None


def _ipv6(bracketed: str) -> str:
    text = bracketed[1:-1]
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise ValueError(f"`{bracketed}` is not an IPv6 address") from None
    if "%" in text:
        raise ValueError(f"`{bracketed}`: an address with a zone is not usable here")
    if address.ipv4_mapped:
        raise ValueError(f"`{bracketed}` is an IPv4 address in disguise: write {address.ipv4_mapped}")
    if text.lower() != str(address):
        raise ValueError(f"`{bracketed}`: write this address as [{address}]")
    return str(address)


def backends_only(found: Found) -> Found:
    """The addresses of a name that may be a backend's: those that may stand in a URL. OSError, with the reason of one, if
    that leaves none of them: a name is no way around."""
    kept, reason = [], ""
    for family, address in found:
        try:
            _refuse_unreachable(_plain(str(address[0])))
            kept.append((family, address))
        except ValueError as error:
            reason = str(error)
    if reason and not kept:
        raise OSError(reason)
    return tuple(kept) if reason else found


def _plain(host: str) -> str:
    """An address of a resolver without its zone, and IPv4 as such."""
    address = as_ip(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address or host)


def _refuse_unreachable(host: str) -> None:
    """Addresses that are no backend: link-local ones (cloud metadata), wildcards, groups."""
    address = as_ip(host)
    if host in _METADATA_HOSTS or (address and _is_metadata(address)):
        raise ValueError(f"`{host}` is link-local or serves a cloud's metadata: never a backend")
    if address and (address.is_unspecified or address.is_multicast or host == "255.255.255.255"):
        raise ValueError(f"`{host}` is not the address of one machine")


def _is_metadata(address: IpAddress) -> bool:
    if address.is_link_local or address in _METADATA_V6:
        return True
    if isinstance(address, ipaddress.IPv4Address):
        return False
    inside = address.sixtofour or (ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None)
    return bool(inside and inside.is_link_local)


def _unix_path(path: str) -> str:
    if path.startswith("//"):
        raise ValueError(f"write it as `unix:/{path.lstrip('/')}`")
    if not path.startswith("/") or path.endswith("/"):
        raise ValueError(f"`unix:{path}`: expected the absolute path of a socket, unix:/run/app.sock")
    if len(path.encode()) > MAX_UNIX_PATH_BYTES:
        raise ValueError(f"the path of a unix socket is at most {MAX_UNIX_PATH_BYTES} bytes long")
    return path
