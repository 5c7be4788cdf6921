"""A worker follows the copy of the geo database; look-ups never raise."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.model import Geo
from lb.server.geo import GeoLocator
from lb.state.geo_file import copy_path, renew
from tests.support.geo import FRENCH, GERMAN, write_database


def locator(folder: Path, source: Path) -> GeoLocator:
    made = GeoLocator()
    made.follow(Geo(str(source)), str(folder))
    return made


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> GeoLocator:
    folder = tmp_path_factory.mktemp("geo")
    source = write_database(folder / "geo.mmdb")
    renew(str(source), str(folder))
    return locator(folder, source)


@pytest.mark.parametrize(
    ("address", "country"),
    [
        (GERMAN, "DE"),
        (FRENCH, "FR"),
        (b"::ffff:203.0.113.9", "DE"),
        (b"[2001:db8::9]", "FR"),
        (b"2001:db8::9%eth0", ""),
        (b"fe80::1%eth0", ""),
        (b"10.0.0.1", ""),
        (b"127.0.0.1", ""),
        (b"unknown", ""),
        (b"_hidden", ""),
        (b"", ""),
        (b"203.0.113", ""),
        (b"203.0.113.9.9", ""),
        (b"\xff\xfe", ""),
    ],
)
def test_places(found: GeoLocator, address: bytes, country: str) -> None:
    assert found.place_of(address)[0] == country


@given(address=st.one_of(st.binary(max_size=60), st.ip_addresses().map(lambda one: str(one).encode())))
def test_whatever_an_address_is_a_look_up_does_not_raise(found: GeoLocator, address: bytes) -> None:
    country, continent = found.place_of(address)
    assert isinstance(country, str) and isinstance(continent, str)


def test_a_database_that_comes_later_is_found_and_a_new_one_replaces_it(tmp_path: Path) -> None:
    source = tmp_path / "geo.mmdb"
    one = locator(tmp_path, source)
    assert (one.look(), one.place_of(GERMAN)) == (False, ("", ""))
    for country, continent in (("DE", "EU"), ("JP", "AS")):
        renew(str(write_database(source, {"203.0.113.0/24": country})), str(tmp_path))
        assert (one.look(), one.look()) == (True, False)
        assert one.place_of(GERMAN) == (country, continent)


def test_a_copy_that_is_taken_away_or_spoilt_leaves_the_one_in_use(tmp_path: Path) -> None:
    source = write_database(tmp_path / "geo.mmdb")
    renew(str(source), str(tmp_path))
    one = locator(tmp_path, source)
    copy = Path(copy_path(str(source), str(tmp_path)))
    copy.unlink()
    assert (one.look(), one.place_of(GERMAN)[0]) == (False, "DE")
    copy.write_bytes(b"junk")
    assert (one.look(), one.place_of(GERMAN)[0]) == (False, "DE")


def test_without_geo_everything_is_nowhere(found: GeoLocator, tmp_path: Path) -> None:
    one = GeoLocator()
    one.follow(None, str(tmp_path))
    assert (one.look(), one.place_of(GERMAN)) == (False, ("", ""))


def test_addresses_are_what_python_calls_them(found: GeoLocator) -> None:
    assert found.place_of(str(IPv4Address("203.0.113.1")).encode()) == ("DE", "EU")
    assert found.place_of(str(IPv6Address("2001:db8::1")).encode()) == ("FR", "EU")


def test_a_copy_that_could_not_be_opened_is_tried_again_and_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source = write_database(tmp_path / "geo.mmdb")
    renew(str(source), str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr("lb.server.geo.open_copy", _no_descriptors)
        one = locator(tmp_path, source)
        assert (one.look(), one.look()) == (False, False)
        assert len(caplog.records) == 1
    assert (one.look(), one.place_of(GERMAN)[0]) == (True, "DE")


def _no_descriptors(source: str, state_dir: str) -> None:
    raise OSError(24, "Too many open files")
