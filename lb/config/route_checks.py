"""Checks of the single values of a route: hosts, paths, methods, conditions, answers.

The same kind as ``lb.config.checks``: a value in, what ``lb.model`` holds out, ValueError with the
sentence the user reads.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from lb.config import addresses
from lb.config.absent import absence
from lb.config.checks import described, did_you_mean, matching, text_of
from lb.config.names import ACTIONS, LATER_ACTIONS, REFUSED_METHODS
from lb.config.patterns import safe_pattern
from lb.config.url_paths import normal_path

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_UPGRADE = matching(re.compile(rf"{_TOKEN.pattern}(?:/{_TOKEN.pattern})?", re.ASCII), "a protocol such as websocket")
_VISIBLE = re.compile(r"[!-~]*", re.ASCII)
_URL_PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*", re.ASCII)
_PLACEHOLDER = re.compile(r"\{[^}]*\}?")
_NOT_IN_A_BODY = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
LITERAL_STAR = "%2A"
"""How a route writes a star: one that stands plainly is nearly always meant for a wildcard."""
_REDIRECT_WORDS = ("{scheme}", "{host}", "{hostport}", "{path}", "{query}")


def url_path(value: Any) -> str:
    path = text_of(value)
    if not _URL_PATH.fullmatch(path):
        hint = "; match a query with `query:`" if "?" in path else ""
        raise ValueError(f"expected a path such as /api, percent-encoded where needed, got {described(path)}{hint}")
    if any(segment in (".", "..") for segment in path.split("/")):
        raise ValueError(f"`{path}` has dot segments: it can never match, they are resolved before routing")
    if "*" in path:
        raise ValueError(_about_a_star(path))
    normal = normal_path(path.encode()).decode()
    written = normal.replace("*", LITERAL_STAR)
    if path != written:
        raise ValueError(f"`{path}` can never match, paths are compared in normal form: write `{written}`")
    return normal


def _about_a_star(path: str) -> str:
    whole = path.rstrip("*").rstrip("/")
    if "*" in whole:
        return f"`{path}`: a star stands for nothing else in a path; a literal one is `{LITERAL_STAR}`"
    below = f"write `{whole}`" if whole else "leave it out to match every path"
    return f"`{path}`: a `path` matches everything below it already: {below}; a literal star is `{LITERAL_STAR}`"


def host_pattern(value: Any) -> str:
    """A host as a route names it: lower case, perhaps with a port, perhaps ``*.`` before it."""
    text = text_of(value)
    if text == "*":
        raise ValueError("leave `host` out to match every host")
    if "://" in text:
        bare = re.split("[/?#]", text.partition("://")[2])[0].rpartition("@")[2]
        raise ValueError(f"a host is written without a scheme{f': `{bare}`' if bare else ''}")
    wildcard, name = ("*.", text[2:]) if text.startswith("*.") else ("", text)
    host, colon, port = name.rpartition(":") if re.search(r"(?:^|[^:\]]|\]):[^:\]]*$", name) else (name, "", "")
    canonical = addresses.host_name(host)
    if wildcard and colon:
        raise ValueError(f"`{text}`: a wildcard matches every port, leave the port out")
    if wildcard and addresses.as_ip(canonical):
        raise ValueError(f"`{text}`: `*.` goes before a name, not before an address")
    canonical = f"[{canonical}]" if ":" in canonical else canonical
    if colon:
        canonical = addresses.bind_text(addresses.bind_address(f"{canonical}:{port}"))
    return wildcard + canonical


def method(value: Any) -> str:
    method = text_of(value)
    if not _TOKEN.fullmatch(method):
        raise ValueError(f"expected a method such as GET, got {described(value)}")
    if method in REFUSED_METHODS:
        raise ValueError(f"{method} can never match: it is always answered 405")
    if not method.isupper():
        raise ValueError(f"methods are case-sensitive: did you mean `{method.upper()}`?")
    return method


def redirect_target(value: Any) -> str:
    target = text_of(value)
    if not target or not _VISIBLE.fullmatch(target):
        raise ValueError("expected a URL of visible ASCII characters, percent-encoded where needed")
    for word in _PLACEHOLDER.findall(target):
        if word not in _REDIRECT_WORDS:
            raise ValueError(f"unknown placeholder `{word}`: expected one of {', '.join(_REDIRECT_WORDS)}")
    return target


def body_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected text, got {described(value)}")
    if _NOT_IN_A_BODY.search(value):
        raise ValueError("control characters other than tabs and line breaks are not allowed here")
    return value


def upgrade(value: Any) -> str:
    """A protocol's name, perhaps with a version (RFC 9110 section 7.8), in lower case."""
    name = _UPGRADE(value)
    if reason := absence(name):
        raise ValueError(f"`{name}` {reason}")
    return name.lower()


def action_name(value: Any) -> str:
    name = text_of(value)
    if name in LATER_ACTIONS:
        raise ValueError(f"action `{name}` is not available in this version")
    if name not in ACTIONS:
        if reason := absence(name):
            raise ValueError(f"`{name}` {reason}")
        near = did_you_mean(name, ACTIONS) or f": expected one of {', '.join(ACTIONS)}"
        raise ValueError(f"unknown action {described(name)}{near}")
    return name


class Condition(NamedTuple):
    """What a header or query field must be. ``value`` None: it only has to be there."""

    value: str | None
    is_regex: bool = False


def condition(value: Any) -> Condition:
    """``true``, a text, or ``{regex: PATTERN}``."""
    if value is True:
        return Condition(None)
    if isinstance(value, dict) and [*value] == ["regex"]:
        return Condition(pattern(value["regex"]), is_regex=True)
    if not isinstance(value, str):
        raise ValueError(f"expected true, a text or {{regex: ...}}, got {described(value)}")
    return Condition(text_of(value))


def body_match(value: Any) -> Condition | None:
    """A text or ``{regex: PATTERN}`` that is searched for, none for anything."""
    if value is None:
        return None
    if isinstance(value, dict) and [*value] == ["regex"]:
        text = text_of(value["regex"])
        safe_pattern(text)
        try:
            safe_pattern(f".*(?:{text})")  # which is what a search is
        except ValueError:
            raise ValueError(
                f"regular expression `{text}` can match in too many ways to be searched for: at most one unbounded "
                "repeat (`*`, `+`), or a few optional parts"
            ) from None
        return Condition(text, is_regex=True)
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected a text or {{regex: ...}}, got {described(value)}")
    return Condition(text_of(value))


def pattern(value: Any) -> str:
    """A regular expression that is safe to run on what clients send."""
    return safe_pattern(text_of(value))


def host_pattern_or_empty(value: Any) -> str:
    return host_pattern(value) if value != "" else ""


field_name = matching(_TOKEN, "a field name")
header_text = matching(re.compile(r"[ -~]*", re.ASCII), "printable ASCII characters")
