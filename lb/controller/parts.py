"""What this machine shares with the others through the store: the one list of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lb.controller.board import Board
from lb.controller.changes import Operators
from lb.controller.limits import Limits
from lb.controller.loads import Loads
from lb.controller.orders import Orders
from lb.controller.presence import Presence
from lb.controller.sync import Part
from lb.controller.verdicts import Verdicts

if TYPE_CHECKING:
    from lb.state.store.link import Link


def shared_parts(link: Link, board: Board) -> Sequence[Part]:
    """Made anew for each link, in the order in which they are told that it is up."""
    presence = Presence(link)
    loads, verdicts = Loads(link, lambda: presence.others), Verdicts(link, board)
    return (presence, Operators(link), loads, Limits(link), Orders(link), verdicts)
