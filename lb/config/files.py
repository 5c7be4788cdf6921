"""Files that a configuration names: are TLS files there, readable, and a pair; can the access log be
written? Reads them, keeps nothing."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator

from lb.config.places import default_state_dir, file_path
from lb.config.problems import Finding, Path
from lb.config.schema import Schema


def unusable_files(schema: Schema, folder: str) -> Iterator[Finding]:
    for listener_id, listener in schema.listeners.items():
        for position, pair in enumerate(listener.tls):
            path: Path = ("listeners", listener_id, "tls", position)
            yield from _pair(file_path(folder, pair.cert), file_path(folder, pair.key), path)
    for pool_id, pool in schema.pools.items():
        if pool.tls.ca:
            yield from _authorities(file_path(folder, pool.tls.ca), ("pools", pool_id, "tls", "ca"))
    if schema.access_log.path not in (None, "", "off", "-"):
        yield from _unwritable_log(file_path(folder, schema.access_log.path), _state_dir(schema, folder))


def absent_files(schema: Schema, folder: str) -> Iterator[Finding]:
    """Those that are missed, and that it works without."""
    if schema.geo is not None:
        for finding in _unreadable(file_path(folder, schema.geo.database), ("geo", "database")):
            message = f"{finding.message}: until it can, every client is in region `{schema.geo.default_region}`"
            yield Finding(finding.path, message)


def _state_dir(schema: Schema, folder: str) -> str:
    return file_path(folder, schema.state.dir) if schema.state.dir else default_state_dir(os.environ)


def _unwritable_log(file: str, state_dir: str) -> Iterator[Finding]:
    path: Path = ("access_log", "path")
    directory = os.path.dirname(file)
    if os.path.isdir(file):
        yield Finding(path, f"`{file}` is a directory")
    elif os.path.exists(file):
        if not os.access(file, os.W_OK):
            yield Finding(path, f"`{file}` cannot be written by this user")
    elif directory == state_dir and not os.path.exists(directory):
        return  # it is made when the configuration is put in force
    elif not os.path.isdir(directory):
        yield Finding(path, f"the directory `{directory}` of the access log does not exist")
    elif not os.access(directory, os.W_OK | os.X_OK):
        yield Finding(path, f"the directory `{directory}` of the access log cannot be written by this user")


def _pair(cert: str, key: str, path: Path) -> Iterator[Finding]:
    findings = [*_unreadable(cert, (*path, "cert")), *_unreadable(key, (*path, "key"))]
    yield from findings
    if findings:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=_no_password)
    except ssl.SSLError as error:
        yield Finding((*path, "cert"), _pair_message(error, cert, key))
    except (_Encrypted, ValueError):
        yield Finding((*path, "key"), f"`{key}` is encrypted: give a key without a passphrase")


def _pair_message(error: ssl.SSLError, cert: str, key: str) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"`{cert}` and `{key}` do not belong together: the key is not the certificate's"
    return f"`{cert}` and `{key}` are not a usable PEM certificate and key ({error.reason or 'no PEM data'})"


def _authorities(file: str, path: Path) -> Iterator[Finding]:
    findings = list(_unreadable(file, path))
    yield from findings
    if findings:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except ssl.SSLError:
        yield Finding(path, f"`{file}` holds no PEM certificates")


def _unreadable(file: str, path: Path) -> Iterator[Finding]:
    if not os.path.exists(file):
        yield Finding(path, f"`{file}` does not exist")
    elif not os.path.isfile(file):
        yield Finding(path, f"`{file}` is not a file")
    elif not os.access(file, os.R_OK):
        yield Finding(path, f"`{file}` cannot be read by this user")


class _Encrypted(Exception):
    """A key asked for its passphrase."""


def _no_password() -> str:
    raise _Encrypted
