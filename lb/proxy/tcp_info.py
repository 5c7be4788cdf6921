"""What Linux says of a TCP connection: how far its peer's kernel has acknowledged it, and whether it is over."""

from __future__ import annotations

import struct
from socket import IPPROTO_TCP, TCP_INFO
from typing import Any, Final, NamedTuple

_FIELDS: Final = struct.Struct("=B119xQ72xQQ")
"""Of ``struct tcp_info`` (linux/tcp.h): tcpi_state, tcpi_bytes_acked, tcpi_bytes_sent, tcpi_bytes_retrans (Linux 4.19)."""
CLOSED: Final = 7
"""TCP_CLOSE of net/tcp_states.h: a reset has ended it."""


class TcpInfo(NamedTuple):
    """``acked`` counts the SYN too. ``sent`` counts what was sent again as well, that is ``sent_again``."""

    state: int
    acked: int
    sent: int
    sent_again: int

    @property
    def unacked(self) -> int:
        """Bytes sent that the peer's kernel has not acknowledged."""
        return self.sent - self.sent_again - (self.acked - 1)


def tcp_info(sock: Any) -> TcpInfo | None:
    """None where it cannot be told: no TCP socket, or an old kernel."""
    try:
        raw = sock.getsockopt(IPPROTO_TCP, TCP_INFO, _FIELDS.size)
    except OSError:
        return None
    return TcpInfo(*_FIELDS.unpack(raw)) if len(raw) == _FIELDS.size else None
