"""The key that sticky cookies are signed with where the configuration has none: made once, for our own user's eyes."""

from __future__ import annotations

import os
import re

from lb.model import Config, Pool
from lb.state import durable
from lb.structs import replace

_is_key = re.compile(r"[!-~]{16,1024}", re.ASCII).fullmatch


def with_sticky_keys(config: Config) -> Config:
    """Each pool with sticky sessions has a key afterwards. OSError if one has to be made and cannot be written."""
    if not any(_lacks_key(pool) for pool in config.pools):
        return config
    key = _own_key(os.path.join(config.state.dir, "sticky.key"))
    return replace(config, pools=tuple(_with_key(pool, key) for pool in config.pools))


def _lacks_key(pool: Pool) -> bool:
    return pool.sticky is not None and not pool.sticky.keys


def _with_key(pool: Pool, key: str) -> Pool:
    if pool.sticky is None or pool.sticky.keys:
        return pool
    return replace(pool, sticky=replace(pool.sticky, keys=(key,)))


def _own_key(path: str) -> str:
    """What is in the file, or a new one put there; a damaged file is replaced, which ends its sessions."""
    try:
        with open(path, encoding="ascii", opener=durable.without_waiting) as file:
            found = file.read(2048).strip()
    except (FileNotFoundError, ValueError):
        found = ""
    if _is_key(found):
        return found
    made = os.urandom(32).hex()
    durable.write(path, made.encode() + b"\n")
    return made
