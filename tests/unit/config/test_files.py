"""TLS files: there, readable, a pair."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.unit.config.writing import SMALLEST, loaded, mistakes


def write_pair(folder: Path, name: str, password: bytes | None = None) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    day = datetime.timedelta(days=1)
    certificate = builder.not_valid_before(now - day).not_valid_after(now + day).sign(key, hashes.SHA256())
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    (folder / f"{name}.key").write_bytes(pem)


@pytest.fixture
def said(tmp_path: Path) -> Callable[[str, str], list[str]]:
    write_pair(tmp_path, "a")
    write_pair(tmp_path, "b")
    write_pair(tmp_path, "locked", b"pass")
    (tmp_path / "junk").write_text("junk")

    def check(cert: str, key: str) -> list[str]:
        listener = f"listeners: {{traffic: {{tls: {{cert: {cert}, key: {key}}}}}}}\n"
        return [line.replace(f"{tmp_path}/", "") for line in mistakes(tmp_path, SMALLEST + listener)]

    return check


@pytest.mark.parametrize(
    ("cert", "key", "expected"),
    [
        ("no.crt", "no.key", ["2:35: `no.crt` does not exist", "2:48: `no.key` does not exist"]),
        ("a.crt", "b.key", ["2:35: `a.crt` and `b.key` do not belong together: the key is not the certificate's"]),
        ("junk", "a.key", ["2:35: `junk` and `a.key` are not a usable PEM certificate and key (no PEM data)"]),
        ("locked.crt", "locked.key", ["2:52: `locked.key` is encrypted: give a key without a passphrase"]),
        ("/", "a.key", ["2:35: `/` is not a file"]),
        ("a.crt", "a.key", []),
    ],
)
def test_pairs(said: Callable[[str, str], list[str]], cert: str, key: str, expected: list[str]) -> None:
    found = said(cert, key)
    assert len(found) == len(expected)
    for line, wanted in zip(found, expected, strict=True):
        assert line.startswith(wanted.removesuffix("(no PEM data)"))


def test_several_certificates(tmp_path: Path) -> None:
    write_pair(tmp_path, "a")
    write_pair(tmp_path, "b")
    text = "listeners: {traffic: {tls: [{cert: a.crt, key: a.key}, {cert: b.crt, key: b.key, names: '*.b.x'}]}}\n"
    certificates = next(one for one in loaded(tmp_path, SMALLEST + text).listeners if one.id == "traffic").certificates
    assert [pair.cert for pair in certificates] == [str(tmp_path / "a.crt"), str(tmp_path / "b.crt")]
    assert certificates[1].names == ("*.b.x",)


def test_authorities(tmp_path: Path) -> None:
    write_pair(tmp_path, "a")
    text = "pools: {web: {backends: [https://h], tls: {ca: CA}}}\n"
    assert loaded(tmp_path, text.replace("CA", "a.crt")).pools[0].tls.ca == str(tmp_path / "a.crt")
    assert mistakes(tmp_path, text.replace("CA", "a.key")) == [f"1:48: `{tmp_path}/a.key` holds no PEM certificates"]
