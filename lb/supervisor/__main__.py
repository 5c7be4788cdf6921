"""``python -m lb.supervisor FILE``: what ``lb run`` becomes, and what an upgrade becomes again."""

from __future__ import annotations

import os
import sys

from lb.launch import loaded
from lb.supervisor import early


def main(argument: str) -> int:
    """``--rehearse``: only show that this code can be loaded and understands what it would be handed."""
    from lb.supervisor.handdown import Handdown  # here: until signals are held, one of them ends us
    from lb.supervisor.supervisor import Supervisor

    if argument == "--rehearse":
        return 0 if Handdown.load(os.environ) else 1
    loaded()
    return Supervisor(argument).run()


if __name__ == "__main__":
    early.hold()
    sys.exit(main(sys.argv[1]))
