"""Databases with damaged bytes, by the thousand: no look-up and no check raises anything else, or ends the process.

In a process of their own: a reader in C that writes beyond its memory ends it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from ipaddress import ip_address
from pathlib import Path
from random import Random
from lb.geo.database import Database, DatabaseError, check
from lb.geo.writer import country_database
from tests.support.geo import PLACES

path, tries, does_check = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "check"
whole, random, opened = country_database(PLACES, 1), Random(tries), 0
addresses = [ip_address(text) for text in ("203.0.113.9", "198.51.100.1", "2001:db8::1", "::", "255.255.255.255")]
for _ in range(tries):
    raw = bytearray(whole)
    for _ in range(random.choice((1, 2, 5, 50))):
        raw[random.randrange(len(raw))] = random.randrange(256)
    path.write_bytes(raw)
    try:
        if does_check:
            check(str(path))
        database = Database(str(path))
    except DatabaseError:
        continue
    opened += 1
    for address in addresses:
        country, continent = database.place_of(address)
        assert isinstance(country, str) and isinstance(continent, str)
    database.close()
print(opened)
"""


@pytest.mark.parametrize(("tries", "what"), [(4_000, "look up"), (300, "check")])
def test_damage_is_borne(tmp_path: Path, tries: int, what: str) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "geo.mmdb"), str(tries), what]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > tries / 20
