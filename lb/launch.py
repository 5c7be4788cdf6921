"""Programs of ours, whatever lies in the directory that one is in: ``python …/lb/launch.py MODULE ARGUMENT…``.

``python -m MODULE`` looks in the working directory first, so a folder ``lb`` or a file ``yaml.py`` there would be
run instead of ours (and Python 3.10 has no ``-P``). What ``PYTHONPATH`` names still comes first. Run as a file, in
whose directory ``errors`` and ``http1`` are not what others mean by them: nothing is looked for before it is off the path.

Nothing that a start loads is garbage, and looking for some is a tenth of what a start costs. So it begins without, and a
program that goes on for long says when it is ``loaded``.
"""

from __future__ import annotations

import gc
import sys


def program(module: str, *arguments: str) -> tuple[str, ...]:
    """Command line of a module under this interpreter."""
    return (sys.executable, __file__, module, *arguments)


def loaded() -> None:
    """What there is now stays: from now on garbage is looked for among what is made later. Forks share it for longer, too."""
    gc.freeze()
    gc.enable()


def main() -> None:
    gc.disable()
    import os  # which every Python has loaded by now: nothing is looked for

    home = os.path.dirname(os.path.dirname(__file__))
    if sys.path[0] == os.path.dirname(os.path.realpath(__file__)):  # not under PYTHONSAFEPATH
        del sys.path[0]
    if home not in sys.path:  # a clone that is not installed
        sys.path.append(home)
    import runpy

    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
