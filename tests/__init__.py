"""Inside the tests' own process the data path runs as it is written, since fakes take the places of its parts;
the processes that tests start run it compiled, where ``lb native`` has compiled it."""

import sys

from lb.native.finder import CompiledFinder

sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, CompiledFinder)]
