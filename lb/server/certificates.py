"""A listener's TLS contexts: chosen by SNI, read again when their files change, never half new.

A pair of files that cannot be loaded leaves the context that is in use.
"""

from __future__ import annotations

import _ssl
import logging
import os
import ssl
from collections.abc import Callable, Sequence
from typing import Any

import gevent

from lb.model import Certificate

CHECK_S = 1.0
_set_sni_callback: Callable[[ssl.SSLContext, object], None] = vars(_ssl._SSLContext)["sni_callback"].__set__
"""Past gevent's patched context, whose own setter expects gevent's sockets where ours is an ``SSLObject``."""
_log = logging.getLogger("lb.tls")


class CertificateStore:
    """``context()`` is what a new connection starts its handshake with."""

    def __init__(self, certificates: Sequence[Certificate]) -> None:
        self._certificates = tuple(certificates)
        self._stamps: tuple[object, ...] = ()
        self._default: ssl.SSLContext
        self._by_name: dict[str, ssl.SSLContext] = {}
        self.reload()

    def context(self) -> ssl.SSLContext:
        return self._default

    def watch(self) -> None:
        """For a greenlet: follows the files forever."""
        while True:
            gevent.sleep(CHECK_S)
            self._follow()

    def _follow(self) -> None:
        stamps = self._look()
        if stamps == self._stamps:
            return
        try:
            self.reload()
        except (OSError, ValueError) as error:
            self._stamps = stamps  # of before: what is written meanwhile is looked at next time
            _log.error("certificate=%s kept the old one: %s", self._certificates[0].cert, error)
            return
        for path in dict.fromkeys(certificate.cert for certificate in self._certificates):
            _log.info("certificate=%s in use, good until %s", path, _good_until(path))

    def reload(self) -> None:
        """Reads all files; OSError or ssl.SSLError (an OSError) if one is unusable, then nothing changed."""
        stamps = self._look()
        contexts = [(certificate, self._load(certificate)) for certificate in self._certificates]
        by_name: dict[str, ssl.SSLContext] = {}
        for certificate, context in contexts:
            for name in certificate.names or subject_names(certificate.cert):
                by_name.setdefault(name.lower(), context)
        self._default, self._by_name, self._stamps = contexts[0][1], by_name, stamps

    def _load(self, certificate: Certificate) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(certificate.cert, certificate.key, password=_no_passphrase)
        _set_sni_callback(context, self._choose)
        return context

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        """An unknown name gets the first certificate, as HAProxy's default does."""
        if name is None:
            return
        name = name.lower()
        found = self._by_name.get(name) or self._by_name.get("*." + name.partition(".")[2])
        if found is not None:
            connection.context = found

    def _look(self) -> tuple[object, ...]:
        return tuple(_stamp(path) for one in self._certificates for path in (one.cert, one.key))


def _stamp(path: str) -> object:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def subject_names(path: str) -> list[str]:
    """DNS names of a PEM certificate's subject alternative names, or its common name."""
    decoded = _decoded(path)
    names = [value for kind, value in decoded.get("subjectAltName", ()) if kind == "DNS"]
    if names:
        return names
    return [value for part in decoded.get("subject", ()) for key, value in part if key == "commonName"]


def _good_until(path: str) -> str:
    """``?`` if the file is gone again."""
    try:
        return str(_decoded(path).get("notAfter", "?"))
    except (OSError, ValueError):
        return "?"


def _no_passphrase() -> str:
    """Instead of OpenSSL's question on the terminal, for which the whole worker would wait."""
    raise OSError("the key has a passphrase, nobody can type one here: store it without")


def _decoded(path: str) -> dict[str, Any]:
    """As ``SSLSocket.getpeercert`` has it."""
    decoded: dict[str, Any] = ssl._ssl._test_decode_cert(path)  # type: ignore[attr-defined]
    return decoded
