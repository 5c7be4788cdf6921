"""TLS contexts towards backends for the controller: made once per (settings, CA file), then shared.

Knows nothing of probes. Making one costs some 10 ms (it loads the trust store), so a pool of 200
``https`` backends must not make one per probe.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

from gevent import ssl

from lb.model import Backend, BackendTls


def client_context(tls: BackendTls) -> Any:
    """A context that verifies as the pool says. A CA file that changed on disk is loaded again.

    OSError or ssl.SSLError (also an OSError) if the CA file cannot be used.
    """
    changed_ns = os.stat(tls.ca).st_mtime_ns if tls.ca else 0
    return _context(tls.verify, tls.ca, changed_ns)


def server_name(tls: BackendTls, backend: Backend) -> str:
    """What SNI asks for and the certificate must say: the configured name, else the backend's host."""
    return tls.server_name or backend.host or "localhost"


@lru_cache(maxsize=256)
def _context(verify: bool, ca: str, changed_ns: int) -> Any:
    # Not create_default_context: without monkey patching it makes one that blocks the whole process.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca:
        context.load_verify_locations(ca)
    else:
        context.load_default_certs()
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
