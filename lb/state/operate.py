"""One change of operators, put in force: ``python -m lb.state.operate STATE_DIR``, a child of the controller.

A process of its own, so that neither writing to disk nor waiting for another publisher holds up the controller's
probes. Reads one order (JSON) on standard input, answers with one on standard output: ``generation`` and ``problems``, or
``refused``. Exit status 1, with the reason on standard error: it could not be done; nothing has changed.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from lb.config.membership import backend_of, keys_of
from lb.model import Snapshot
from lb.state.operator import Change, Overlay, Refused, adopt, decide, decode_entries, unserved, with_own
from lb.state.publish import PublishError, republish
from lb.state.segment import SegmentError

Order = dict[str, Any]


def own_order(change: Change, by: str, expected: int | None) -> Order:
    """``change`` as this machine's own. ``expected``: the generation that must be in force; None: any."""
    wish = {"kind": change.kind, "pool": change.pool, "backend": change.backend}
    wish |= {"state": change.state, "weight": change.weight}  # type: ignore[dict-item]
    added = None if change.added is None else keys_of(change.added)
    return {"own": {**wish, "added": added}, "by": by, "expected": expected}


def adoption(store: str, generation: int, entries: Mapping[str, str]) -> Order:
    """What the store has; ``entries`` as they stand there."""
    return {"store": store, "generation": generation, "entries": dict(entries)}


def edit_of(order: Order) -> Callable[[Snapshot, Overlay], Overlay]:
    return _own(order) if "own" in order else _adopted(order)


def _own(order: Order) -> Callable[[Snapshot, Overlay], Overlay]:
    wish = order["own"]
    change = Change(**{**wish, "added": backend_of(wish["added"]) if wish["added"] else None})

    def edit(snapshot: Snapshot, overlay: Overlay) -> Overlay:
        check_expected(snapshot, order["expected"])
        entry = decide(snapshot.config, overlay.entry(change.name), change)
        return with_own(overlay, change.name, entry, order["by"])

    return edit


def check_expected(snapshot: Snapshot, expected: int | None) -> None:
    """Refused unless that is in force."""
    if expected is not None and snapshot.generation != expected:
        text = f"generation {snapshot.generation} is in force, not {expected}: look again"
        raise Refused(412, "generation_changed", text)


def _adopted(order: Order) -> Callable[[Snapshot, Overlay], Overlay]:
    entries, corrupt = decode_entries(order["entries"])
    return lambda _, overlay: adopt(overlay, order["store"], order["generation"], entries, corrupt)


def main(state_dir: str) -> int:
    try:
        snapshot = republish(state_dir, edit_of(json.load(sys.stdin)))
    except Refused as refused:
        answer = {"status": refused.status, "reason": refused.reason, "text": str(refused)}
        print(json.dumps({"refused": answer}))
    except (PublishError, SegmentError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    else:
        told = {"problems": snapshot.problems, "warnings": unserved(snapshot.config)}
        print(json.dumps({"generation": snapshot.generation, **told}))
    return 0


if __name__ == "__main__":
    gc.disable()  # as the publisher does, for the same reason
    sys.exit(main(sys.argv[1]))
