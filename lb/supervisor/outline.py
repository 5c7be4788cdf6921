"""What the supervisor needs of a configuration before it is in force: sockets, state directory, times.

Pools and routes stay behind, so a large file is a short outline.
"""

from __future__ import annotations

from lb.errors import ConfigError
from lb.model import Config
from lb.structs import msgspec, replace


def dump(config: Config) -> str:
    return msgspec.json.encode(replace(config, pools=(), routes=())).decode()


def load(text: str) -> Config:
    """ConfigError if it is none."""
    try:
        return msgspec.json.decode(text, type=Config)
    except msgspec.MsgspecError as error:
        raise ConfigError([f"damaged outline of the configuration: {error}"]) from error
