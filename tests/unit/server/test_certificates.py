"""Which certificate a client sees, and that a bad file changes nothing."""

from __future__ import annotations

import logging
import os
import re
import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from lb.model import Certificate
from lb.server import certificates
from lb.server.certificates import CertificateStore, subject_names
from tests.support.certificates import self_signed


def made(folder: Path, name: str, *answers: str) -> Certificate:
    folder.mkdir()
    return Certificate(*self_signed(folder, name), names=answers)


def seen(store: CertificateStore, name: str | None) -> str:
    """The common name of the certificate that a client asking for ``name`` gets; no socket is needed for that."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    client = context.wrap_bio(to_client, to_server, server_hostname=name)
    server = store.context().wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    der = client.getpeercert(binary_form=True)
    assert der is not None
    return str(x509.load_der_x509_certificate(der).subject.rfc4514_string()).removeprefix("CN=")


@pytest.fixture
def store(tmp_path: Path) -> CertificateStore:
    return CertificateStore(
        [
            made(tmp_path / "first", "first.test"),
            made(tmp_path / "second", "second.test"),
            made(tmp_path / "wild", "wild.test", "*.wild.test", "Named.test"),
        ]
    )


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        ("first.test", "first.test"),
        ("second.test", "second.test"),
        ("SECOND.test", "second.test"),
        ("a.wild.test", "wild.test"),
        ("named.test", "wild.test"),
        ("wild.test", "first.test"),
        ("a.b.wild.test", "first.test"),
        ("unknown.test", "first.test"),
        (None, "first.test"),
    ],
)
def test_the_certificate_of_the_name_that_was_asked_for(asked: str | None, got: str, store: CertificateStore) -> None:
    assert seen(store, asked) == got


def test_the_first_of_two_for_one_name_counts(tmp_path: Path) -> None:
    one, two = made(tmp_path / "one", "one.test", "both.test"), made(tmp_path / "two", "two.test", "both.test")
    assert seen(CertificateStore([one, two]), "both.test") == "one.test"


def test_names_are_read_from_the_certificate(tmp_path: Path) -> None:
    assert subject_names(made(tmp_path / "x", "x.test").cert) == ["x.test"]


def test_a_pair_that_cannot_be_read_is_an_error_at_the_start(tmp_path: Path) -> None:
    good = made(tmp_path / "good", "good.test")
    with pytest.raises(OSError):
        CertificateStore([Certificate(good.cert, good.cert)])
    with pytest.raises(OSError, match="No such file"):
        CertificateStore([Certificate(str(tmp_path / "missing"), good.key)])


# --- while it runs


@pytest.fixture
def watched(store: CertificateStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[CertificateStore]:
    monkeypatch.setattr(certificates, "CHECK_S", 0.002)
    watcher = gevent.spawn(store.watch)
    yield store
    watcher.kill()


def replace(folder: Path, other: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        shutil.copy(other / name, folder / "new")
        os.replace(folder / "new", folder / name)


def wait_for(store: CertificateStore, asked: str, got: str) -> None:
    with gevent.Timeout(5):
        while seen(store, asked) != got:
            gevent.sleep(0.002)


def test_a_new_pair_is_used_from_then_on(
    watched: CertificateStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "lb.tls")
    made(tmp_path / "renewed", "renewed.test")
    replace(tmp_path / "first", tmp_path / "renewed")
    wait_for(watched, "first.test", "renewed.test")
    assert seen(watched, "second.test") == "second.test"
    assert re.search(r"certificate=\S+ in use, good until \w+ .* GMT", caplog.text)


@pytest.mark.parametrize("damage", ["empty", "missing", "another-key"])
def test_a_broken_pair_keeps_the_old_one_until_it_is_whole_again(
    damage: str, watched: CertificateStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = tmp_path / "second" / "key.pem"
    if damage == "missing":
        key.unlink()
    else:
        key.write_bytes(b"" if damage == "empty" else (tmp_path / "first" / "key.pem").read_bytes())
    with gevent.Timeout(5):
        while "kept the old one" not in caplog.text:
            gevent.sleep(0.002)
    gevent.sleep(0.02)
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1, "told once"
    assert [seen(watched, f"{name}.test") for name in ("first", "second")] == ["first.test", "second.test"]
    made(tmp_path / "renewed", "renewed.test", "second.test")
    replace(tmp_path / "second", tmp_path / "renewed")
    wait_for(watched, "renewed.test", "renewed.test")


def test_a_file_that_is_gone_when_its_end_is_told_ends_nothing(
    store: CertificateStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(store, "_stamps", ())
    monkeypatch.setattr(store, "reload", lambda: None)
    monkeypatch.setattr(certificates, "_decoded", lambda path: (_ for _ in ()).throw(ssl.SSLError("gone")))
    store._follow()
    assert "good until ?" in caplog.text


def test_what_is_written_while_a_bad_pair_is_read_is_read_next(
    store: CertificateStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half_written() -> None:
        os.utime(tmp_path / "first" / Path(store._certificates[0].cert).name)
        raise OSError("half written")

    monkeypatch.setattr(store, "_stamps", ())
    monkeypatch.setattr(store, "reload", half_written)
    store._follow()
    assert store._look() != store._stamps


def test_a_key_with_a_passphrase_is_an_error_and_no_question(tmp_path: Path) -> None:
    pair = made(tmp_path / "locked", "locked.test")
    key = load_pem_private_key(Path(pair.key).read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    Path(pair.key).write_bytes(locked)
    with pytest.raises(OSError, match="has a passphrase"):
        CertificateStore([pair])
