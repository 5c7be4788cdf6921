"""Backend URLs: what may be one, and what is a trick."""

from __future__ import annotations

import pytest

from lb.config.addresses import Address, backend_url, bind_address, bind_text

GOOD = {
    "http://127.0.0.1:5001": Address("http", "127.0.0.1", 5001),
    "http://example.com": Address("http", "example.com", 80),
    "https://example.com": Address("https", "example.com", 443),
    "https://example.com/": Address("https", "example.com", 443),
    "HTTP://Example.COM:8080": Address("http", "example.com", 8080),
    "http://[::1]:80": Address("http", "::1", 80),
    "http://[2001:db8::7]": Address("http", "2001:db8::7", 80),
    "http://my_service:80": Address("http", "my_service", 80),
    "http://10.0.0.1:65535": Address("http", "10.0.0.1", 65535),
    "unix:/run/app.sock": Address("http", unix_path="/run/app.sock"),
}
BAD = [
    # metadata and link-local, in every spelling
    "http://169.254.169.254", "http://169.254.0.1:80", "http://0xA9FEA9FE", "http://0xa9.0xfe.0xa9.0xfe",
    "http://2852039166", "http://0251.0376.0251.0376", "http://169.254.43518", "http://[::ffff:169.254.169.254]",
    "http://[::ffff:a9fe:a9fe]", "http://[fe80::1]", "http://[fd00:ec2::254]", "http://[64:ff9b::a9fe:a9fe]",
    "http://[2002:a9fe:a9fe::1]", "http://metadata.google.internal", "http://METADATA",
    # other notations of an address
    "http://0x7f.1", "http://127.1", "http://0", "http://017700000001", "http://2130706433", "http://127.0.0.1.",
    "http://[::ffff:127.0.0.1]", "http://[0:0:0:0:0:0:0:1]", "http://[::1%25lo]", "http://\uff11\uff12\uff17.0.0.1",
    # not one machine
    "http://0.0.0.0", "http://[::]", "http://255.255.255.255", "http://224.0.0.1",
    # other schemes
    "file:///etc/passwd", "redis://h", "gopher://h", "ftp://h", "tcp://h:1", "grpc://h", "//h", "h:80", "http:h",
    # more than an address
    "http://user@h", "http://user:pw@h", "http://h@169.254.169.254", "http://h/path", "http://h/?q", "http://h?q",
    "http://h#f", "http://h\\@x", "http://h/..", "http://%31",
    # ports
    "http://h:0", "http://h:65536", "http://h:-1", "http://h:+5", "http://h:5_0", "http://h:", "http://h:\u0665",
    "http://h:80:80",
    # bytes that end a line
    "http://h\r\nX: y", "http://h\n", "http://h\0", "http://h\t", " http://h", "http://h ", "http://h\u2028",
    # not a host
    "", "http://", "http://.", "http://a..b", "http://*.h", "http://-a", "http://" + "a" * 64, "http://[::1", "http://::1",
    "unix:relative", "unix:", "unix:///x", "unix:/run/", "unix:/" + "x" * 107,
]  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_good_urls(text: str) -> None:
    assert backend_url(text) == GOOD[text]


@pytest.mark.parametrize("text", BAD)
def test_bad_urls(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        backend_url(text)


@pytest.mark.parametrize("text", ["0.0.0.0:5000", "[::]:5000", "127.0.0.1:0", "localhost:80", "unix:/run/lb.sock"])
def test_binds_have_one_spelling(text: str) -> None:
    assert bind_text(bind_address(text)) == text


@pytest.mark.parametrize(
    "text", ["5000", ":5000", "0.0.0.0", "::1:80", "*:80", "http://h:80", "a:b", "[::]:", "udp://h:1"]
)
def test_bad_binds(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        bind_address(text)
