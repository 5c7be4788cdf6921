"""What frozen values are made of: msgspec's structs, read from JSON and written to it as they stand.

A class of them costs a thirtieth of a dataclass's time to make, and every process of ours makes all of ``lb.model``.
``msgspec`` is loaded without ``typing_extensions``, which it takes for the sake of older Pythons where it finds it: that is
25 ms and a megabyte of each process. Whoever wants that module itself finds it as ever.
"""

from __future__ import annotations

import sys
from typing import Any

_NEVER_THERE: Any = None
_FOR_OLDER = "typing_extensions"

if _FOR_OLDER in sys.modules:
    import msgspec.structs
else:
    sys.modules[_FOR_OLDER] = _NEVER_THERE
    try:
        import msgspec.structs
    finally:
        del sys.modules[_FOR_OLDER]

Struct = msgspec.Struct
field = msgspec.field
fields = msgspec.structs.fields
replace = msgspec.structs.replace

__all__ = ["Struct", "field", "fields", "msgspec", "replace"]
