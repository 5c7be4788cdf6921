"""The ``sticky`` section of a pool: its shape, what does not fit together in it, and what it becomes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any

from lb import model
from lb.config import units
from lb.config.checks import described, flag, text_of
from lb.config.fields import Flag, OneOrMany, Reads, words
from lb.config.problems import Finding, Path
from lb.config.section import Section, setting
from lb.config.section import key as option
from lb.model import SameSite, Sticky

SHORTEST_KEY = 16
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}", re.ASCII)
_ATTRIBUTE = re.compile(r"[!-:<-~]{1,255}", re.ASCII)
"""What may stand behind ``Path=`` (RFC 6265 section 4.1.1)."""
_DOMAIN = re.compile(r"\.?[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", re.ASCII)


def cookie_name(value: Any) -> str:
    if not _NAME.fullmatch(text_of(value)):
        raise ValueError(f"expected the name of a cookie, got {described(value)}")
    return str(value)


def secret(value: Any) -> str:
    """Never shows what it got. Empty, as a variable that is not set gives it: none."""
    if value == "":
        return ""
    if not isinstance(value, str) or not re.fullmatch(f"[!-~]{{{SHORTEST_KEY},}}", value, re.ASCII):
        raise ValueError(f"expected a key of {SHORTEST_KEY} visible ASCII characters or more")
    return value


def cookie_path(value: Any) -> str:
    if not text_of(value).startswith("/") or not _ATTRIBUTE.fullmatch(value):
        raise ValueError(f"expected a path such as /shop, got {described(value)}")
    return str(value)


def cookie_domain(value: Any) -> str:
    if value != "" and not _DOMAIN.fullmatch(text_of(value)):
        raise ValueError(f"expected a domain such as example.com, got {described(value)}")
    return str(value)


def session_age(value: Any) -> float | None:
    if value in (None, "session"):
        return None
    seconds = units.duration_s(value)
    if seconds < 1:
        raise ValueError("expected 1s or more, or `session`")
    return seconds


def flag_or_auto(value: Any) -> bool | None:
    return None if value == "auto" else flag(value)


_TEXT = {"type": "string"}
_AGE = {"anyOf": [{"const": "session"}, {"type": "string", "pattern": f"^(?:{units.DURATION})$"}]}


class StickyEntry(Section):
    cookie: Annotated[str, Reads(cookie_name, _TEXT)] = option(
        "Name of the cookie.", "lb_backend", example="__Host-backend"
    )
    key: Annotated[list[Annotated[str, Reads(secret, _TEXT)]], OneOrMany] = option(
        "Secret that the cookie is signed with, or several: the first signs, all are believed; by default one is "
        "made in `sticky.key` in `state.dir`. Machines need the same one.",
        [],
        example="${LB_STICKY_KEY:-}",
    )
    path: Annotated[str, Reads(cookie_path, _TEXT)] = setting(Sticky, "path", "Under which a browser sends it.")
    domain: Annotated[str, Reads(cookie_domain, _TEXT)] = setting(
        Sticky, "domain", "Hosts that it is sent to; empty: the one that was asked.", example="example.com"
    )
    max_age: Annotated[float | None, Reads(session_age, _AGE)] = option(
        "How long a session lasts from its first answer; `session`: until the browser is closed.",
        None,
        shown="session",
        example="1h",
    )
    secure: Annotated[bool | None, Reads(flag_or_auto, {"enum": [True, False, "auto"]})] = option(
        "Whether it is sent over https only; `auto`: if the client came by it.", None, shown="auto"
    )
    http_only: Flag = setting(Sticky, "http_only", "Whether scripts of a page cannot read it.")
    same_site: Annotated[SameSite, words("lax", "strict", "none", "unset")] = setting(
        Sticky, "same_site", "Whether it is sent with requests from other sites; `unset`: nothing is said about it."
    )


def sticky_of(entry: StickyEntry | None) -> Sticky | None:
    if entry is None:
        return None
    return model.Sticky(
        cookie=entry.cookie,
        keys=tuple(filter(None, entry.key)),
        path=entry.path,
        domain=entry.domain,
        max_age_s=entry.max_age,
        secure=entry.secure,
        http_only=entry.http_only,
        same_site=entry.same_site,
    )


def sticky_mistakes(entry: StickyEntry, path: Path) -> Iterator[Finding]:
    """Cookies that browsers refuse (RFC 6265bis sections 4.1.2 and 4.1.3)."""
    if entry.secure is False and (entry.same_site == "none" or entry.cookie.startswith(("__Secure-", "__Host-"))):
        why = "`same_site: none`" if entry.same_site == "none" else f"the name `{entry.cookie}`"
        message = f"browsers refuse a cookie with {why} that is not `secure`"
        yield Finding((*path, "secure"), message, depends_on=((*path, "same_site"), (*path, "cookie")))
    if entry.cookie.startswith("__Host-"):
        for option in ("path", "domain"):
            if getattr(entry, option) not in ("", "/"):
                message = f"browsers refuse a cookie `{entry.cookie}` with a `{option}`"
                yield Finding((*path, option), message, at_key=True, depends_on=((*path, "cookie"),))
