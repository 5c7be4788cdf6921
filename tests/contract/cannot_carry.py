"""What each subject cannot carry, and why. Every line is tried: one that works after all is a failure."""

from __future__ import annotations

from typing import NamedTuple


class Lost(NamedTuple):
    """``status``: what the client gets instead, while the backend sees nothing; None: it differs otherwise.
    ``is_certain`` false: by luck of timing it may work; then it is only played, to see that it comes to an end."""

    reason: str
    status: int | None = None
    is_certain: bool = True


REFUSED_400 = Lost("the server refuses it before the application is asked, in its own words", 400)
REFUSED_431 = Lost("the server refuses it before the application is asked, in its own words", 431)
TOO_LONG = Lost("gunicorn's own limit of a request line is 4,094 bytes unless it is told otherwise", 414)
NO_UPGRADE = Lost("a WSGI application has no connection to tunnel", 501)
OWN_FIELDS = Lost("the server writes its own Server and Date")
CONTINUE_FIRST = Lost("the server tells 100 before the application is asked")
ONLY_103 = Lost("wsgi.early_hints knows no interim answer but 103")
LATE_HEAD = Lost("PEP 3333: no server sends a head before the first bytes of its body")
TRAILERS = Lost("WSGI has no trailers, neither way")
WHOLE_PIECES = Lost("wsgi.input gives a piece only whole: what is short of one is not passed on until the rest comes")
CASE = Lost("WSGI has one spelling for a field's name")
JOINED = Lost("WSGI has one value per field: the server joins repeated ones with a comma")
COOKIES = Lost("cookie lines are joined with a comma, which becomes the semicolon that cookies want")
SCHEME = Lost("gunicorn believes what 127.0.0.1 says of the scheme, unless forwarded_allow_ips is empty")
NO_CONNECTION = Lost("the test client has no connection and no framing")
ALL_AT_ONCE = Lost(
    "the test client has a body and its end at once: whether the answer is sooner is luck", is_certain=False
)
NO_PARSER = Lost("the test client's heads and chunks are read before there is an application")

WSGI: dict[str, Lost] = {
    "method-lower-case-is-another": REFUSED_400,
    "target-long": TOO_LONG,
    "target-asterisk-only-for-options": REFUSED_400,
    "host-twice": REFUSED_400,
    "version-2": REFUSED_400,
    "head-line-too-long": Lost(TOO_LONG.reason, 414),
    "head-field-too-long": REFUSED_431,
    "head-too-many-fields": REFUSED_431,
    "http-1-0-with-chunks-is-refused": REFUSED_400,
    "pipelining-good-then-bad": Lost(REFUSED_400.reason),
    "empty-lines-before": Lost(REFUSED_400.reason),
    "upload-trailers": TRAILERS,
    "download-trailers": TRAILERS,
    "upload-and-download-together": WHOLE_PIECES,
    "answer-to-an-early-end": WHOLE_PIECES,
    "length-and-chunked": REFUSED_400,
    "length-twice": REFUSED_400,
    "length-with-sign": REFUSED_400,
    "head-arrives-before-the-body": LATE_HEAD,
    "date-is-not-doubled": OWN_FIELDS,
    "server-is-the-backends": OWN_FIELDS,
    "server-is-not-added": OWN_FIELDS,
    "limit-before-100-continue": CONTINUE_FIRST,
    "continue-is-not-told-when-the-body-is-here": CONTINUE_FIRST,
    "continue-is-not-told-before-not-found": CONTINUE_FIRST,
    "continue-is-not-told-before-unavailable": CONTINUE_FIRST,
    "expectation-unknown": Lost(REFUSED_400.reason, 417),
    "processing-is-passed-on": ONLY_103,
    "websocket": NO_UPGRADE,
    "websocket-backend-speaks-first": NO_UPGRADE,
    "websocket-refused": Lost(NO_UPGRADE.reason),
    "field-case-and-order-are-kept": CASE,
    "field-repeated-stays-repeated": JOINED,
    "field-cookie-lines": COOKIES,
    "field-fold": REFUSED_400,
    "field-space-before-colon": REFUSED_400,
    "field-without-colon": REFUSED_400,
    "field-empty-name": REFUSED_400,
    "field-bad-name": REFUSED_400,
    "field-null": REFUSED_400,
    "field-bare-cr": REFUSED_400,
    "field-bare-lf": REFUSED_400,
    "forwarded-proto-of-a-stranger-on-this-machine": SCHEME,
}

WERKZEUG: dict[str, Lost] = {
    "host-twice": JOINED,
    "head-too-many-fields": JOINED,
    "close-when-asked": NO_CONNECTION,
    "close-when-asked-among-other-things": NO_CONNECTION,
    "http-1-0-closes": NO_CONNECTION,
    "http-1-0-keep-alive": NO_CONNECTION,
    "two-after-each-other": NO_CONNECTION,
    "pipelining-of-three": NO_CONNECTION,
    "rate-limit": NO_CONNECTION,
    "pipelining-good-then-bad": NO_CONNECTION,
    "empty-lines-before": NO_PARSER,
    "download-of-unknown-length-is-chunked": NO_CONNECTION,
    "upload-trailers": TRAILERS,
    "upload-trailers-that-may-not-be": TRAILERS,
    "download-trailers": TRAILERS,
    "upload-and-download-together": ALL_AT_ONCE,
    "answer-before-a-body-that-waits-for-it": ALL_AT_ONCE,
    "answer-before-chunks-that-wait-for-it": ALL_AT_ONCE,
    "answer-inside-a-chunk-that-looks-like-a-request": ALL_AT_ONCE,
    "answer-to-an-early-end": ALL_AT_ONCE,
    "length-and-chunked": NO_PARSER,
    "chunk-size-bad": NO_PARSER,
    "field-fold": NO_PARSER,
    "field-without-colon": NO_PARSER,
    "head-arrives-before-the-body": LATE_HEAD,
    "continue-is-told-once": CONTINUE_FIRST,
    "continue-of-the-backend-is-not-a-second-one": CONTINUE_FIRST,
    "early-hints-arrive-early-and-whole": NO_CONNECTION,
    "processing-is-passed-on": ONLY_103,
    "websocket": Lost(NO_UPGRADE.reason),
    "websocket-backend-speaks-first": Lost(NO_UPGRADE.reason),
    "websocket-refused": Lost(NO_UPGRADE.reason),
    "field-underscore-is-dropped": Lost(
        "WSGI spells an underscore and a dash alike: servers drop such fields, the test client does not"
    ),
    "field-case-and-order-are-kept": CASE,
    "field-repeated-stays-repeated": JOINED,
    "field-cookie-lines": COOKIES,
}

CANNOT_CARRY: dict[tuple[str, str], Lost] = {
    **{("wsgi", name): lost for name, lost in WSGI.items()},
    **{("werkzeug", name): lost for name, lost in WERKZEUG.items()},
}
