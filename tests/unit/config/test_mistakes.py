"""One mistake each: what the user wrote, and exactly what they are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.config.writing import mistakes

WEB = "pools: {web: {backends: [http://h:1]}}\n"


def pool(body: str) -> str:
    return f"pools:\n  web: {{backends: [http://h:1], {body}}}\n"


def backend(url: str) -> str:
    return f'pools:\n  web:\n    backends: ["{url}"]\n'


def routes(*lines: str) -> str:
    return WEB + "routes:\n" + "".join(f"  - {line}\n" for line in lines)


def listener(body: str) -> str:
    return WEB + f"listeners:\n  traffic: {body}\n"


TABLE = [
    # names
    ("listners: {}\n" + WEB, "1:1: unknown key `listners`, did you mean `listeners`?"),
    (pool("policy: roundrobin"), "2:41: unknown policy `roundrobin`, did you mean `round_robin`?"),
    (pool("policy: Round-Robin"), "2:41: unknown policy `Round-Robin`, did you mean `round_robin`?"),
    (pool("policy: sticky"), "2:41: unknown policy `sticky`, did you mean `sticky_round_robin`?"),
    (pool("policy: p2c"), "2:41: unknown policy `p2c`, did you mean `power_of_two`?"),
    (pool("algorithm: random"), "2:33: unknown key `algorithm`, did you mean `policy`?"),
    ("pools: {web: {servers: [http://h:1]}}", "1:15: unknown key `servers`, did you mean `backends`?"),
    ("upstreams: {}\n" + WEB, "1:1: unknown key `upstreams`, did you mean `pools`?"),
    (routes("{backend: web}"), "3:6: unknown key `backend`, did you mean `pool`?"),
    (routes("{path_prefix: /x, pool: web}"), "3:6: unknown key `path_prefix`, did you mean `path`?"),
    (pool("health: {tyep: http}"), "2:42: unknown key `tyep`, did you mean `type`?"),
    (pool("zzz: 1"), "2:33: unknown key `zzz`: expected one of backends, policy, health"),
    (routes("{pool: wev}"), "3:12: unknown pool `wev`, did you mean `web`?"),
    (routes("{pool: other}"), "3:12: unknown pool `other`: there are web"),
    (routes("{action: metric}"), "3:14: unknown action `metric`, did you mean `metrics`?"),
    (routes("{pool: web, error_style: jsn}"), "3:30: expected one of json, error_only, text, got `jsn`, did you mean"),
    ("pools: {control: {backends: [http://h:1]}}", "1:9: pool `control` is built in: choose another name"),
    ("pools: {a b: {backends: [http://h:1]}}", "1:9: expected a name of letters, digits, `_`, `.` and `-`"),
    # hash policies
    (pool("policy: {name: consistent_hash, table: rnig}"), "2:72: expected one of ring, maglev, rendezvous, contract, got `rnig`, did you mean `ring`?"),
    (pool("policy: {name: consistent_hash, key: ulr}"), "2:70: unknown key `ulr`, did you mean `url`?"),
    (pool("policy: {name: consistent_hash, key: session}"), "2:70: unknown key `session`: expected one of client_ip, url, path, random, or {header: NAME}"),
    (pool("policy: {name: consistent_hash, key: header}"), "2:70: `header` needs a name: write {header: NAME}"),
    (pool("policy: {name: consistent_hash, key: {cokie: sid}}"), "2:70: unknown key `cokie`, did you mean `cookie`?"),
    (pool("policy: {name: consistent_hash, key: {cookie: 'a b'}}"), "2:70: expected the name of a cookie, got `a b`"),
    (pool("policy: {name: consistent_hash, key: {header: 'X User'}}"), "2:70: expected a field name"),
    (pool("policy: {name: consistent_hash, bounded_load: 0.25}"), "2:79: expected more than 1 and at most 100, did you mean 1.25?"),
    (pool("policy: {name: consistent_hash, bounded_load: 1}"), "2:79: expected more than 1 and at most 100, such as 1.25"),
    (pool("policy: {name: maglev, maglev: {slots: 65536}}"), "2:72: 65536 is not a prime: did you mean 65537?"),
    (pool("policy: {name: ring_hash, ring: {points: 0}}"), "2:74: expected a number from 1 to 4096, got 0"),
    (pool("policy: {name: contract_hash, contract: {slots: 0}}"), "2:81: expected a number from 1 to 1000000, got 0"),
    (pool("policy: {name: contract_hash, contract: {virtual_servers: 9.5}}"), "2:91: expected a whole number, got `9.5`"),
    (pool("policy: {name: contract_hash, contract: {probing: quadratc}}"), "2:83: expected one of linear, quadratic, got `quadratc`, did you mean `quadratic`?"),
    (pool("policy: {name: contract_hash, contract: {request_hash: i*i}}"), "expected one of contract, squareless, crc32 or 3 whole numbers, got `i*i`"),
    (pool("policy: {name: contract_hash, contract: {server_hash: [1, 2, 17]}}"), "expected one of contract, squareless, crc32 or 5 whole numbers, got a list"),
    (pool("policy: {name: contract_hash, contract: {slots: 8}}"), "2:33: 1 backends with 9 virtual servers each need 9 slots, the table `contract` has 8: more"),
    (pool("policy: {name: maglev, table: ring}"), "2:56: the policy `maglev` has the table `maglev`: leave `table` out, or take `consistent_hash`"),
    (pool("policy: {name: url_hash, key: path}"), "2:58: the policy `url_hash` has the key `url`: leave `key` out, or take `consistent_hash`"),
    (pool("policy: {name: maglev, ring: {points: 9}}"), "2:56: `ring` is about the table `ring`, this pool's is `maglev`"),
    (pool("policy: {name: ip_hash, key: url}"), "2:57: `key` is an option of the policy `consistent_hash`, this pool's is `ip_hash`"),
    # types
    (WEB + 'workers: "4"\n', "2:10: expected a whole number, got `4`"),
    (WEB + "workers: 0\n", "2:10: expected a number from 1 to 512, got 0"),
    (WEB + "routes: {pool: web}\n", "2:9: expected a list, got a mapping"),
    ("pools:\n", "1:7: expected a mapping, got nothing"),
    ("- pools\n", "1:1: expected a mapping, got a list"),
    (WEB + "unknown_methods: maybe\n", "2:18: expected true or false, got `maybe`"),
    (WEB + "ambiguous_paths: refuse\n", "2:18: expected one of forward, reject, got `refuse`"),
    (WEB + "traceparent: off course\n", "2:14: expected true or false, got `off course`"),
    ("pools: [http://h:1]\n", "1:8: expected a mapping, got a list; write `NAME: {backends: [http://127.0.0.1:5001]}`"),
    ("pools: {api: [http://h:1]}\n", "1:14: expected a mapping, got a list; write `api: {backends: [http://127.0.0.1:5001]}`"),
    (
        "pools: {web: {backends: [http://h:1]}, policy: random}\n",
        "1:48: expected a mapping, got `random`; `policy` was read as the name of a pool: it belongs into one, `NAME: {policy: ...}`",
    ),
    (WEB + "listeners: {bind: 5000}\n", "2:19: expected a mapping, got `5000`; `bind` was read as the name of a listener: it"),
    ("pools: {api: http://h:1}\n", "1:14: expected a mapping, got `http://h:1`; write `api: {backends: [http://127"),
    (pool("tls: []"), "2:38: expected a mapping, got a list"),
    # durations and sizes
    (listener("{timeouts: {head: 10}}"), "3:30: a duration needs a unit: 10s, or 10ms"),
    (listener("{timeouts: {head: 10 sec}}"), "3:30: unknown unit `sec`: expected one of ms, s, m, h, d"),
    (listener("{timeouts: {head: 0}}"), "3:30: expected more than 0"),
    (listener("{body_limit: 5 apples}"), "3:25: unknown unit `apples`: expected one of B, KB, MB"),
    (pool("retry: {budget: 20}"), "2:49: a share needs a percent sign: 20%"),
    # structure
    ("pools: {web: {backends: []}}", "1:9: pool `web` has no backends"),
    ("pools: {web: {}}", "1:9: pool `web` has no backends"),
    ("workers: 2\n", "1:1: there is nothing to do: `pools` is missing"),
    ("pools: {a: {backends: [http://h:1]}, b: {backends: [http://h:1]}}", "1:1: several pools (a, b) and no `routes`"),
    (WEB + "routes: []\n", "2:1: `routes` is empty: leave it out"),
    (routes("{path: /x}"), "3:5: a route needs exactly one of pool, respond, redirect, action; this one has none"),
    (routes("{pool: web, action: health}"), "this one has `pool` and `action`"),
    (routes("{path: /a, exact: /a, pool: web}"), "3:16: `path` and `exact` exclude each other"),
    (routes("{action: health, policy: random}"), "3:22: `policy` counts for routes to a pool only"),
    (WEB + "workers: 1\nworkers: 2\n", "3:1: duplicate key `workers`, first on line 2"),
    ("pools:\n  web: {backends: [http://h:1]}\n  web: {backends: [http://h:2]}\n", "3:3: duplicate key `web`, first on"),
    ("pools: {web: {backends: [http://h:1, http://h:1]}}", "1:38: duplicate backend `h:1`, first on line 1"),
    (routes("{id: a, path: /a, pool: web}", "{id: a, pool: web}"), "4:10: duplicate route `a`, first on line 3"),
    (pool("health: {type: http, headers: {Host: x}}"), "2:64: `Host` is the probe's own: use `host`"),
    (pool("health: {type: http, headers: {'X A': x}}"), "expected a field name"),
    (pool("health: {type: http, headers: {A: \"x\\r\\ny\"}}"), "control characters (such as a line break or NUL) are not allowed here"),
    (pool("health: {body: ok}"), "2:42: `body` counts for HTTP probes only"),
    (pool("health: {type: http, body: ''}"), "2:60: expected a text or {regex: ...}, got ``"),
    (pool("health: {type: http, body: {regex: '('}}"), "regular expression does not compile"),
    (pool("health: {type: http, body: {regex: 'a.*b.*c'}}"), "can match in too many ways to be searched for"),
    (pool("health: {scope: cluster}"), "2:49: `scope: cluster` needs a store that the machines share: add `state: {redis: "),
    (pool("health: {path: /health}"), "2:42: `path` counts for HTTP probes only, and this one is `tcp`: add `type: h"),
    (pool("policy: {name: random, probe: {path: /load}}"), "`probe` is an option of the policy `prequal`, this pool's is `random`"),
    (pool("policy: {name: prequal, probe: {size: 1}}"), "expected a number from 2 to 256, got 1"),
    (pool("policy: {name: prequal, probe: {header: 'X Inflight'}}"), "expected a field name"),
    (pool("overprovisioning: 0.5"), "expected more than 1 and at most 100"),
    (pool("subset: 0"), "expected a number from 1 to"),
    (pool("zones: {prefer: a}"), "expected"),
    ("pools: {web: {backends: [{url: 'http://h:1', backup: true, priority: 1}]}}", "`backup` is the level after all others: leave `priority` or `backup` out"),
    (pool("policy: {name: random, weights: {cpu: 1}}"), "`weights` is an option of the policy `adaptive`, this"),
    # routes
    (routes("{pool: web}", "{path: /api, pool: web}"), "4:5: can never match: line 3 takes everything it would"),
    (routes("{path: api, pool: web}"), "3:12: expected a path such as /api, percent-encoded where needed, got `api`"),
    (routes("{path: /a?b=1, pool: web}"), "match a query with `query:`"),
    (routes("{path: /a/../b, pool: web}"), "3:12: `/a/../b` has dot segments: it can never match"),
    (routes("{path: /%61, pool: web}"), "3:12: `/%61` can never match, paths are compared in normal form: write `/a`"),
    (routes("{path: /%40x, pool: web}"), "3:12: `/%40x` can never match, paths are compared in normal form: write `/@x`"),
    (routes("{path: /%2a, pool: web}"), "3:12: `/%2a` can never match, paths are compared in normal form: write `/%2A`"),
    (routes("{path: /x*, pool: web}"), "3:12: `/x*`: a `path` matches everything below it already: write `/x`; a literal star is `%2A`"),
    (routes("{path: /x/*, pool: web}"), "3:12: `/x/*`: a `path` matches everything below it already: write `/x`; a literal star is `%2A`"),
    (routes("{exact: /x/**, pool: web}"), "3:13: `/x/**`: a `path` matches everything below it already: write `/x`; a literal"),
    (routes("{path: /*, pool: web}"), "3:12: `/*`: a `path` matches everything below it already: leave it out to match every"),
    (routes("{path: /a/*/b, pool: web}"), "3:12: `/a/*/b`: a star stands for nothing else in a path; a literal one is `%2A`"),
    (routes("{path: /a/%2e%2e/b, pool: web}"), "paths are compared in normal form: write `/b`"),
    (
        routes("{path: /a%2Fb, pool: web}") + "ambiguous_paths: reject\n",
        "3:12: can never match: `ambiguous_paths: reject` answers 400 to every path with `%2F`",
    ),
    (routes("{exact: /a;b, pool: web}") + "ambiguous_paths: reject\n", "3:13: can never match: `ambiguous_paths: reject`"),
    (routes("{methods: [get], pool: web}"), "3:16: methods are case-sensitive: did you mean `GET`?"),
    (routes("{methods: CONNECT, pool: web}"), "3:15: CONNECT can never match: it is always answered 405"),
    (routes("{methods: [PTACH], pool: web}"), "method `PTACH` can never match, it is answered 501, did you mean `PATCH`"),
    (routes('{host: "*", pool: web}'), "3:12: leave `host` out to match every host"),
    (routes("{host: 'https://Shop.test:8443/x', pool: web}"), "3:12: a host is written without a scheme: `Shop.test:8443`"),
    (routes("{host: 'https://', pool: web}"), "3:12: a host is written without a scheme"),
    (routes("{scheme: ftp, pool: web}"), "3:14: expected one of http, https, got `ftp`"),
    (routes('{host: "*.a.b:80", pool: web}'), "3:12: `*.a.b:80`: a wildcard matches every port, leave the port out"),
    (routes("{host: a_b.c/d, pool: web}"), "3:12: `a_b.c/d` is not a host name"),
    (routes("{headers: {X-A: {regex: '('}}, pool: web}"), "3:21: regular expression does not compile: missing )"),
    (routes("{headers: {X-A: {regex: '(a+)+$'}}, pool: web}"), "it can take exponential time on hostile input"),
    (routes("{headers: {'X A': b}, pool: web}"), "3:16: expected a field name, got `X A`"),
    (routes("{redirect: 'https://{hots}/'}"), "3:16: unknown placeholder `{hots}`: expected one of {scheme}, {host}, {hostport}"),
    (routes("{redirect: {to: /x, status: 200}}"), "expected one of 301, 302, 303, 307, 308, got `200`"),
    (routes("{respond: {status: 204, body: x}}"), "3:15: an answer with status 204 has no body"),
    (routes("{respond: {status: 99}}"), "3:24: expected a number from 200 to 599, got 99"),
    # what would end a line of a head
    (routes('{redirect: "/a\\r\\nSet-Cookie: x"}'), "3:16: control characters (such as a line break or NUL)"),
    (routes('{respond: {content_type: "a\\nb"}}'), "3:30: control characters"),
    (routes('{headers: {X-A: "a\\0b"}, pool: web}'), "3:21: control characters"),
    (pool('health: {type: http, path: "/a\\r\\nX: y"}'), "control characters"),
    (pool('health: {type: http, host: "a\\r\\nX: y"}'), "control characters"),
    # addresses
    (backend("127.0.0.1:80"), "3:16: expected a URL such as http://10.0.0.1:8080, got `127.0.0.1:80`; did you mean"),
    (backend(":6101"), "got `:6101`; did you mean `http://127.0.0.1:6101`?"),
    (backend("6101"), "got `6101`; did you mean `http://127.0.0.1:6101`?"),
    (backend("//x"), "3:16: expected a URL such as http://10.0.0.1:8080, got `//x`; did you mean `http://x`?"),
    (backend("http://169.254.169.254"), "3:16: `169.254.169.254` is link-local or serves a cloud's metadata"),
    (backend("http://u:secret@h"), "3:16: a backend URL has no user name or password in it"),
    (backend("http://127.0.0.1:5050"), "3:16: `127.0.0.1:5050` is our own listener `admin`: requests would go in circles"),
    (backend("http://localhost:5000"), "3:16: `localhost:5000` is our own listener `traffic`"),
    (listener("{bind: 5000}"), "3:19: expected host:port, for instance `0.0.0.0:5000`"),
    (listener("{bind: '*:80'}"), "3:19: `*:80`: every address is written `0.0.0.0:80`, and `[::]:80` for IPv6"),
    (WEB + "access_log: {path: /dev/null/no/a.log}\n", "2:20: the directory `/dev/null/no` of the access log does not e"),
    (WEB + "access_log: {path: /dev}\n", "2:20: `/dev` is a directory"),
    (listener("{bind: 'tcp://0.0.0.0:5000'}"), "3:19: `tcp` is not something lb does: it balances HTTP, not TCP"),
    (listener("{bind: '127.0.0.1:5051'}"), "`127.0.0.1:5051` is taken: listener `status` binds 0.0.0.0:5051 by default"),
    (listener("{bind: ['[::1]:80', '[::]:80']}"), "3:32: `[::]:80` is taken: listener `traffic` binds [::1]:80 on line 3"),
    (WEB + "listeners: {api: {}}\n", "2:13: listener `api` has no `bind`"),
    (listener("{token: x}"), "3:13: only the listener `admin` has a token"),
    (WEB + "listeners: {admin: {proxy_protocol: on}}\n", "`proxy_protocol` is not available on the listener `admin`"),
    (WEB + "trusted_proxies: [10.0.0.1/8]\n", "`10.0.0.1/8` has bits set beyond its prefix: did you mean `10.0.0.0/8`?"),
    (WEB + "trusted_proxies: [lan]\n", "2:19: expected an address range such as 10.0.0.0/8, got `lan`"),
    (pool("health: {type: http, status: [2x]}"), "expected a status such as 200, 2xx or 200-299, got `2x`"),
    (pool("health: {type: http, status: 299-200}"), "status range `299-200` is upside down: did you mean `200-299`?"),
    (WEB + "state: {redis: 'http://:hush@x'}\n", "2:16: expected one of redis://, rediss://, unix://, redis+sentinel://"),
    (WEB + "state: {redis: '10.0.0.5:6379'}\n", "2:16: expected a URL such as redis://10.0.0.5:6379/0"),
    (WEB + "state: {prefix: 'a{b}'}\n", "2:17: expected 1 to 64 letters, digits or `_.:-`"),
    (WEB + "state: {machine: 'a b'}\n", "2:18: expected 1 to 64 letters, digits or `_.-`"),
    (WEB + "state: {on_store_loss: shut}\n", "2:24: "),
    # the environment
    (WEB + "workers: ${NO_SUCH}\n", "2:10: environment variable `NO_SUCH` is not set; ${NO_SUCH:-default} would give"),
    (WEB + "workers: ${1X}\n", "2:10: `${1X}` is not a reference: write ${NAME}, ${NAME:-default}, or $$"),
    # not ours, not yet
    (listener("{http3: on}"), "3:13: `http3` is not something lb does: it speaks HTTP/1.1 to clients"),
    (listener("{tcp: on}"), "3:13: `tcp` is not something lb does: it balances HTTP, not TCP connections"),
    (WEB + "cache: {}\n", "2:1: `cache` is not something lb does"),
    (WEB + "waf: {}\n", "2:1: `waf` is not something lb does"),
    (listener("{tls: {acme: x, cert: a, key: b}}"), "`acme` is not something lb does: let an ACME client write"),
    (WEB + "compression: on\n", "2:1: `compression` is not available yet"),
    (routes("{pool: web, strip_prefix: /api}"), "3:17: `strip_prefix` is not available in this version"),
    (routes("{pool: web, rewrite: /x}"), "3:17: `rewrite` is not available in this version"),
    (pool("request_headers: {}"), "2:33: `request_headers` is not available in this version"),
    (pool("response_headers: {}"), "2:33: `response_headers` is not available in this version"),
    (pool("headers_up: {}"), "2:33: `headers_up` is not available in this version"),
    (routes("{pool: web, basic_auth: x}"), "3:17: `basic_auth` is not available in this version"),
    (WEB + "cors: {}\n", "2:1: `cors` is not available in this version"),
    (backend("h2c://h"), "3:16: scheme `h2c` is not available yet: lb speaks HTTP/1.1 on both sides"),
    (backend("h3://h"), "3:16: scheme `h3` is not something lb does: it speaks HTTP/1.1 to clients"),
    (backend("fcgi://h"), "3:16: scheme `fcgi`: expected http://, https:// or unix:"),
    (listener("{HTTP/3: on}"), "3:13: `HTTP/3` is not something lb does: it speaks HTTP/1.1 to clients"),
    (listener("{enable_http3: on}"), "3:13: `enable_http3` is not something lb does"),
    (listener("{bind: '0.0.0.0:53/udp'}"), "3:19: `udp` is not something lb does: it balances HTTP, not UDP datagrams; expected"),
    (listener("{bind: 'udp/0.0.0.0:53'}"), "3:19: `udp` is not something lb does: it balances HTTP, not UDP datagrams; expected"),
    (listener("{bind: '0.0.0.0:443 quic'}"), "3:19: `quic` is not something lb does: it speaks HTTP/1.1 to clients"),
    (listener("{bind: '0.0.0.0:443 ssl'}"), "3:19: `ssl` is not part of a bind; expected host:port"),
    (listener("{bind: 'https://0.0.0.0:443'}"), "3:19: `https://0.0.0.0:443`: a bind is host:port without a scheme"),
    (listener("{tls: auto}"), "3:18: expected a mapping, got `auto`; certificates are files: write `{cert: FILE, key: FILE}`"),
    (listener("{tls: acme}"), "3:18: `acme` is not something lb does: let an ACME client write"),
    (pool("health: {type: grpc}"), "2:48: `grpc` is not available yet: lb speaks HTTP/1.1 on both sides; expected one of tcp, "),
    (pool("health: grpc"), "2:41: `grpc` is not available yet: lb speaks HTTP/1.1 on both sides"),
    (routes("{action: cache}"), "3:14: `cache` is not something lb does: put a cache before or behind it"),
    (routes("{scheme: h3, pool: web}"), "3:14: `h3` is not something lb does: it speaks HTTP/1.1 to clients"),
    (routes("{pool: web, upgrades: [H2C]}"), "3:28: `H2C` is not available yet: lb speaks HTTP/1.1 on both sides"),
    (routes("{pool: web, upgrades: ['websocket, x']}"), "3:28: expected a protocol such as websocket, got `websocket, x`"),
    (routes("{pool: web, forward-auth: x}"), "3:17: `forward-auth` is not available yet"),
    (pool("protocols: [h2]"), "2:33: `protocols` is not something lb does: it balances HTTP only"),
    (routes("{pool: web, forward_auth: x}"), "3:17: `forward_auth` is not available yet"),
    (routes("{pool: web, rate_limit: {rate: 100/s, key: client_ip}}"), "3:43: `key` is not available in this version: a rate limit is of all requests of its route together"),
    (routes("{pool: web, rate_limit: 10r/s}"), "3:29: a rate needs its unit, one of /s, /m, /h, /d: 10/s"),
    (routes("{pool: web, rate_limit: {rate: 600/min}}"), "3:36: a rate needs its unit, one of /s, /m, /h, /d: 600/m"),
    (routes("{pool: web, rate_limit: 100}"), "3:29: a rate needs its unit, one of /s, /m, /h, /d: 100/s"),
    (routes("{pool: web, rate_limit: soon}"), "3:29: expected a rate such as 100/s, 6000/m or 1000/h"),
    (routes("{pool: web, rate_limit: 0/s}"), "3:29: `0/s` lets nothing through"),
    (routes("{pool: web, rate_limit: 2000000/s}"), "3:29: `2000000/s` is too much: at most 1000000/s"),
    (routes("{pool: web, rate_limit: {rate: 1/s, burst: 0}}"), "3:48: expected a number from 1 to 1000000, got 0"),
    (routes("{pool: web, rate_limit: {burst: 5}}"), "3:17: `rate` is missing"),
    (pool("rate_limit: 1/s"), "2:33: `rate_limit` is written on a route: `{pool: web, rate_limit: 100/s}`"),
    (routes("{broadcast: {pool: web}}"), "3:6: `broadcast` is not available in this version"),
    (routes("{action: replicas}"), "3:14: action `replicas` is not available in this version"),
    (pool("mirror: {to: a}"), "2:33: `mirror` is not available in this version"),
    (pool("queue: {size: -1}"), "expected a number from 0 to 1000000, got -1"),
    (pool("discovery: {dns: x}"), "2:33: `discovery` is not available in this version"),
    (WEB + "geo: {}\n", "2:1: `database` is missing"),
    # YAML
    ("", "1:1: the file is empty; the least it needs is `pools:`"),
    ("pools: {web: ", "1:"),
    ("a: b: c", "1:5: not YAML: mapping values are not allowed in this context"),
    ("pools: {web: [\n", "1:14: not YAML: what begins here is not closed"),
    ("pools: {web: {}\n\n", "1:8: not YAML: what begins here is not closed"),
    ("pools:\n  web: 'abc\n  x: 1\n", "2:8: not YAML: what begins here is not closed"),
    ("pools:\n\tweb: {}\n", "2:1: not YAML: a tab: YAML is indented with spaces"),
    ("pools: !!python/object:os.system x", "tag `tag:yaml.org,2002:python/object:os.system` is not used here"),
    ("&a [*a]", "aliases make this document too large or refer to themselves"),
    ("[" * 100, "1:33: nested deeper than 32 levels"),
    ('"\\e[31m": 1\n' + WEB, "1:1: unknown key `\\x1b[31m`"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), TABLE, ids=[expected[:60] for _, expected in TABLE])
def test_each_mistake_is_said_where_it_stands(tmp_path: Path, text: str, expected: str) -> None:
    said = mistakes(tmp_path, text)
    assert any(expected in line for line in said), said


def test_all_mistakes_are_said_at_once_and_in_order(tmp_path: Path) -> None:
    text = """\
    listners: {}
    workers: "4"
    pools:
      web:
        policy: roundrobin
        backends: [127.0.0.1:80, http://a:1, http://a:1]
      api: 5
    routes:
      - {pool: wbe}
      - {pool: api}
      - {path: /x, pool: web, action: health}
    """
    assert [line.split(": ", 1)[0] for line in mistakes(tmp_path, text)] == [
        "1:1", "2:10", "5:13", "6:16", "6:42", "7:8", "9:12", "10:5", "11:5", "11:5",
    ]  # fmt: skip


NEVER = "can never match: line 2 takes everything it would"


@pytest.mark.parametrize(
    ("flow", "expected"),
    [
        ("{path: api, pool: web}, {pool: web}, {path: /z, pool: web}", ["2:17: expected a path", f"2:47: {NEVER}"]),
        (
            "{path: /x, pool: web}, {path: /x/y, pool: web}, {pool: wbe}, {pool: web}, {path: /z, pool: web}",
            [f"2:33: {NEVER}", "2:65: unknown pool `wbe`", f"2:71: {NEVER}", f"2:84: {NEVER}"],
        ),
        ("{pool: web, body_limit: x}, {path: /z, pool: web}", ["2:34: expected a size", f"2:38: {NEVER}"]),
        ("{}, {path: /z, pool: web}", ["2:10: a route needs exactly one of", f"2:14: {NEVER}"]),
        ("{pth: /x, pool: web}, {path: /z, pool: web}", ["2:11: unknown key `pth`"]),
        ("{path: /a, exact: /b, pool: web}, {exact: /b, pool: web}", ["2:21: `path` and `exact` exclude each other"]),
    ],
)  # fmt: skip
def test_a_mistaken_route_does_not_hide_what_others_hide(tmp_path: Path, flow: str, expected: list[str]) -> None:
    """Only one whose conditions are mistaken is left aside: nobody knows what it would take."""
    said = mistakes(tmp_path, WEB + f"routes: [{flow}]\n")
    assert [line[: len(start)] for line, start in zip(said, expected, strict=True)] == expected


def test_a_variable_that_is_not_set_is_the_only_mistake_of_its_value(tmp_path: Path) -> None:
    text = """\
    workers: ${NOPE}
    listeners: ${NOPE}
    pools:
      web:
        backends:
          - http://${NOPE}
          - ${NOPE}
          - {url: "${NOPE}"}
        tls: {ca: "${NOPE}"}
    """
    said = mistakes(tmp_path, text)
    assert [line.split(": ", 1)[0] for line in said] == ["1:10", "2:12", "6:9", "7:9", "8:15", "9:15"]
    assert all("environment variable `NOPE` is not set" in line for line in said)


def test_one_slip_is_not_reported_twice(tmp_path: Path) -> None:
    """The only backend is mistaken: nobody is told as well that the pool has none."""
    assert len(mistakes(tmp_path, backend("ftp://h"))) == 1
    assert len(mistakes(tmp_path, routes("{path: x, pool: web}", "{path: /y, pool: web}"))) == 1
    assert len(mistakes(tmp_path, "pools: {web: 5}\nroutes: [{pool: web}]\n")) == 1


def test_lines_are_right_after_a_mistaken_item_was_left_out(tmp_path: Path) -> None:
    text = WEB + "routes:\n  - 5\n  - {path: /a, pool: web}\n  - {path: /a/b, pool: web}\n  - {pool: gone}\n"
    assert mistakes(tmp_path, text) == [
        "3:5: expected a mapping, got `5`",
        "5:5: can never match: line 4 takes everything it would",
        "6:12: unknown pool `gone`: there are web",
    ]


def test_no_message_shows_a_secret(tmp_path: Path) -> None:
    text = """\
    listeners: {admin: {token: "hush hush\\n"}}
    state: {redis: "http://:hush@h"}
    pools: {web: {backends: ["http://me:hush@h", "me:hush@h"]}}
    """
    said = mistakes(tmp_path, text)
    assert len(said) == 4
    assert "hush" not in "".join(said)


@pytest.mark.parametrize("url", ["::1", "http:", "a b:80", "//"])
def test_no_suggestion_is_itself_a_mistake(tmp_path: Path, url: str) -> None:
    said = mistakes(tmp_path, backend(url))
    assert len(said) == 1 and said[0].endswith(f"expected a URL such as http://10.0.0.1:8080, got `{url}`")


def test_redis_may_be_left_to_a_variable_that_is_not_set(tmp_path: Path) -> None:
    text = WEB + "state: {redis: '${LB_REDIS_URL:-}'}\n"
    assert mistakes(tmp_path, text) == []
    assert mistakes(tmp_path, WEB + "state: {redis: ''}\n") == []
    assert mistakes(tmp_path, text, {"LB_REDIS_URL": "redis://:hush@h"}) == []


def test_a_redirect_may_keep_the_port(tmp_path: Path) -> None:
    assert mistakes(tmp_path, routes("{redirect: '{scheme}://{hostport}{path}'}")) == []
