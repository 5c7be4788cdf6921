"""``${VAR}`` and ``${VAR:-default}`` in scalars, from the environment. ``$$`` is a dollar sign.

A dollar sign before anything else stays as it is, so a regular expression may end in one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_MARK = re.compile(r"\$(?:(\$)|\{([^}]*)(\}?))")
_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


class Expanded(str):
    """Text that came out of the environment: where a number or a flag is wanted it may be one."""


class ExpansionError(ValueError):
    """A variable that is not set, or a reference that is not well formed."""


def expand(text: str, environ: Mapping[str, str]) -> str:
    """``text`` with its references replaced; an ``Expanded`` if there was one.

    What a variable holds is not expanded again.
    """
    if "$" not in text:
        return text
    uses_environ = any(match[1] is None for match in _MARK.finditer(text))
    result = _MARK.sub(lambda match: _replacement(match, environ), text)
    return Expanded(result) if uses_environ else result


def _replacement(match: re.Match[str], environ: Mapping[str, str]) -> str:
    if match[1]:
        return "$"
    reference = _NAME.fullmatch(match[2])
    if not match[3] or not reference:
        raise ExpansionError(f"`{match[0]}` is not a reference: write ${{NAME}}, ${{NAME:-default}}, or $$ for a `$`")
    name, fallback = reference[1], reference[2]
    if fallback is not None:
        return environ.get(name) or fallback
    if name not in environ:
        raise ExpansionError(f"environment variable `{name}` is not set; ${{{name}:-default}} would give it a default")
    return environ[name]
