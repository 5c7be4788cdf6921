"""What a store's URL may say, and that no message repeats a password."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.config.store_url import StoreAddress, parse

GOOD = {
    "redis://h": StoreAddress("server", (("h", 6379),)),
    "redis://:hush@h:7/3": StoreAddress("server", (("h", 7),), database=3, password="hush"),
    "redis://me:a%40b%3Ac@[::1]:7": StoreAddress("server", (("::1", 7),), user="me", password="a@b:c"),
    "rediss://h?ca=/etc/ca.pem": StoreAddress("server", (("h", 6379),), tls=True, ca="/etc/ca.pem"),
    "unix:///run/r.sock?db=2": StoreAddress("server", unix_path="/run/r.sock", database=2),
    "unix://:hush@/run/r.sock": StoreAddress("server", unix_path="/run/r.sock", password="hush"),
    "redis+sentinel://a,b:7/mine/2": StoreAddress("sentinel", (("a", 26379), ("b", 7)), name="mine", database=2),
    "rediss+sentinel://a/mine?sentinel_password=s&ca=/c": StoreAddress(
        "sentinel", (("a", 26379),), name="mine", tls=True, ca="/c", sentinel_password="s"
    ),
    "redis+cluster://a,b:7": StoreAddress("cluster", (("a", 6379), ("b", 7))),
}
BAD = {
    "": "expected a URL such as redis://",
    "h:6379": "expected a URL such as redis://",
    "http://h": "expected one of redis://, rediss://",
    "redis://hush@h": "expected USER:PASSWORD@ or :PASSWORD@",
    "redis://a,b": "write redis+sentinel:// or redis+cluster://",
    "redis://h/x": "the database is a number",
    "redis://h:0": "host or port",
    "redis://h:70000": "host or port",
    "redis://h?db=1": "behind the `?` of a redis:// URL nothing may stand",
    "redis://h?ca=/x": "behind the `?` of a redis:// URL nothing may stand",
    "redis+sentinel://a": "expected the master's name",
    "redis+cluster://a/1": "a cluster has no databases",
    "unix://run/r.sock": "expected the socket's absolute path",
}


@pytest.mark.parametrize("url", GOOD)
def test_good_urls(url: str) -> None:
    assert parse(url) == GOOD[url]
    assert "hush" not in f"{parse(url)!r} {parse(url)}"


@pytest.mark.parametrize("url", BAD)
def test_bad_urls_are_told_what_to_write(url: str) -> None:
    with pytest.raises(ValueError, match=BAD[url].replace("?", r"\?").replace("+", r"\+")) as caught:
        parse(url)
    assert "hush" not in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_a_mistake(text: str) -> None:
    try:
        parse(text)
    except ValueError as mistake:
        assert str(mistake)
