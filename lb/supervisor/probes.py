"""What the first round of probes found, as the shared segment has it, and in words. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lb.model import Snapshot
from lb.state.layout import DOWN, H_HEALTH, H_PROBED_GENERATION, READY, SH_VERDICT, SLOT_HEALTH, SLOT_READY, UNKNOWN, UP
from lb.state.segment import Segment, SegmentError
from lb.supervisor.readiness import opened


def is_probed(snapshot: Snapshot) -> bool:
    """Whether every backend of this generation has been probed at least once, and the workers know what was found."""
    with opened(snapshot) as segment:
        if segment is None or segment.header[H_PROBED_GENERATION] < snapshot.generation:
            return False
        rows = [segment.slot_cells(index) for index in segment.live_slots()]
        return all(row[SLOT_HEALTH] >= segment.header[H_HEALTH] for row in rows if row[SLOT_READY] == READY)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Of all backends, by pool; ``str()`` is what somebody should know who has just started a balancer."""

    by_pool: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        verdicts = [verdict for pool in self.by_pool.values() for verdict in pool]
        parts = [f"{verdicts.count(UP)} of {len(verdicts)} backend{'' if len(verdicts) == 1 else 's'} up"]
        if UNKNOWN in verdicts:
            parts.append(f"{verdicts.count(UNKNOWN)} not probed yet")
        down = [name for name, pool in self.by_pool.items() if set(pool) <= {DOWN}]
        parts += [f"no backend of pool {name} is up" for name in down]
        return ", ".join(parts)


def verdicts_of(snapshot: Snapshot) -> Verdicts:
    """As they are now. Of a segment that cannot be read nothing is known."""
    with opened(snapshot) as segment:
        return Verdicts(
            {
                pool.id: tuple(
                    _verdict(segment, snapshot.columns[f"backend:{pool.id}/{backend.id}"]) for backend in pool.backends
                )
                for pool in snapshot.config.pools
            }
        )


def _verdict(segment: Segment | None, column: int) -> int:
    try:
        return segment.shared(column)[SH_VERDICT] if segment else UNKNOWN
    except SegmentError:  # somebody has just replaced it, and it has still to grow
        return UNKNOWN
