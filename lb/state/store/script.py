"""A Lua script that works through any of redis-py's clients: by its digest, sent whole when the server does not know it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any


class Script:
    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, client: Any, keys: Sequence[str], args: Sequence[str | int]) -> Any:
        """What the script returns. All keys must have the same hash tag."""
        from redis.exceptions import NoScriptError  # loaded with the client; not where no store is configured

        try:
            return client.evalsha(self.digest, len(keys), *keys, *args)
        except NoScriptError:
            return client.eval(self.text, len(keys), *keys, *args)
