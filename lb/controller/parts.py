"""What this machine shares with the others through the store: the one list of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lb.controller.changes import Operators
from lb.controller.limits import Limits
from lb.controller.loads import Loads
from lb.controller.orders import Orders
from lb.controller.presence import Presence
from lb.controller.sync import Part

if TYPE_CHECKING:
    from lb.state.store.link import Link


def shared_parts(link: Link) -> Sequence[Part]:
    """Made anew for each link, in the order in which they are told that it is up."""
    presence = Presence(link)
    return (presence, Operators(link), Loads(link, lambda: presence.others), Limits(link), Orders(link))
