"""The frozen values a configuration turns into.

Data only: no I/O, no defaults that depend on the machine, no pydantic (workers import this
module; the schema that validates user input lives in ``lb.config``). Everything that *happens* to
a backend (health, inflight, latency) is kept in ``lb.state`` under the backend's id, so it
survives a reload. Durations are seconds, sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from lb.structs import Struct, field

ListenerKind = Literal["traffic", "status", "admin"]
Scheme = Literal["http", "https"]
ActionKind = Literal["pool", "respond", "redirect", "metrics", "health"]
ErrorStyle = Literal["json", "error_only", "text"]
ProbeKind = Literal["tcp", "http", "https", "none"]
ProbeScope = Literal["machine", "cluster"]
AmbiguousPaths = Literal["forward", "reject"]
TableKind = Literal["ring", "maglev", "rendezvous", "contract"]
KeyKind = Literal["client_ip", "url", "path", "random", "header", "cookie", "query"]
Probing = Literal["linear", "quadratic"]
StoreLoss = Literal["open", "closed"]
SameSite = Literal["lax", "strict", "none", "unset"]
BackendState = Literal["ready", "drain", "disabled"]
RetryCause = Literal["connect", "reset", "timeout", "502", "503", "504"]


class Certificate(Struct, frozen=True):
    """One PEM pair. ``names`` are the SNI names it answers; empty: those of the certificate."""

    cert: str
    key: str
    names: tuple[str, ...] = ()


class ListenerTimeouts(Struct, frozen=True):
    """``head`` counts from a request's first byte; ``body`` is the longest silence while a body
    arrives; ``write`` the longest time without progress towards the client; ``half_close`` how long
    a client that has closed its sending side still counts as there."""

    head_s: float = 10.0
    body_s: float = 15.0
    write_s: float = 30.0
    keep_alive_s: float = 75.0
    half_close_s: float = 0.5
    handshake_s: float = 10.0


class Listener(Struct, frozen=True):
    """A bound address set. ``bind`` entries are ``host:port``, ``[v6]:port`` or ``unix:/path``."""

    id: str
    kind: ListenerKind
    bind: tuple[str, ...]
    certificates: tuple[Certificate, ...] = ()
    proxy_protocol: bool = False
    timeouts: ListenerTimeouts = field(default_factory=ListenerTimeouts)
    body_limit_bytes: int | None = None
    max_connections_per_client: int | None = None
    """Open connections of one client address, per worker; one more is answered 429 and closed."""
    token: str = ""
    """Admin listeners only: what a change takes; empty: the one in ``state.dir/admin.token``."""


class Backend(Struct, frozen=True):
    """One process we send to. ``unix_path`` is set instead of host and port for ``unix:`` URLs."""

    id: str
    scheme: Scheme = "http"
    host: str = ""
    port: int = 0
    unix_path: str = ""
    weight: int = 1
    region: str = ""
    zone: str = ""
    max_inflight: int | None = None
    backup: bool = False
    """The level after all others (``lb.policies.portions``)."""
    priority: int = 0
    state: BackendState = "ready"
    """An operator's: ``drain`` gets no new request, ``disabled`` is not probed either."""

    @property
    def place(self) -> tuple[str, str, int, str]:
        """Where it is; the same place is the same process, whatever else is said of it."""
        return self.scheme, self.host, self.port, self.unix_path

    @property
    def authority(self) -> str:
        """``host[:port]`` as a Host field carries it (RFC 9110 section 7.2)."""
        if self.unix_path:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.scheme == "https" else 80
        return host if self.port == default else f"{host}:{self.port}"

    @property
    def address(self) -> str:
        """Where we connect to, for people: ``host:port`` or ``unix:/path``."""
        if self.unix_path:
            return f"unix:{self.unix_path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class BackendTls(Struct, frozen=True):
    """How ``https`` backends are verified. ``ca`` is a PEM file; empty: the system's store."""

    verify: bool = True
    ca: str = ""
    server_name: str = ""


class Health(Struct, frozen=True):
    """Active probe of every backend of a pool. ``http``/``https`` want a status in ``status``."""

    type: ProbeKind = "tcp"
    path: str = "/"
    host: str = ""
    port: int | None = None
    status: tuple[int, ...] = ()
    """Accepted statuses; empty: 200 to 399."""
    interval_s: float = 2.0
    timeout_s: float = 1.0
    rise: int = 2
    fall: int = 3
    headers: tuple[tuple[str, str], ...] = ()
    """Sent with an HTTP probe."""
    body: str = ""
    body_is_regex: bool = False
    """What must occur in the body of an HTTP probe's answer; empty: it is not read."""
    scope: ProbeScope = "machine"
    """``cluster``: one machine at a time probes for all that share a store."""


class PoolTimeouts(Struct, frozen=True):
    """``total`` runs until the final answer's head, retries included, the
    time a streamed request body takes to arrive not; ``tunnel`` is a tunnel's
    longest silence; ``idle`` the longest silence inside an answer's body."""

    connect_s: float = 1.0
    first_byte_s: float = 30.0
    idle_s: float = 60.0
    total_s: float = 120.0
    queue_s: float = 5.0
    tunnel_s: float = 3600.0


class Retry(Struct, frozen=True):
    """``attempts`` counts the first one. Connect failures are always tried elsewhere."""

    attempts: int = 2
    on: tuple[RetryCause, ...] = ("connect", "reset")
    budget_percent: float = 20.0
    budget_min_per_s: float = 3.0
    backoff_s: float = 0.025
    backoff_max_s: float = 0.25
    """Before a repeated attempt, but for those of which nothing was sent: at random up to the first, which doubles with each
    attempt, up to the second. Envoy's figures."""


class AdaptiveOptions(Struct, frozen=True):
    """Weights and maxima of the adaptive score, and where a backend's load is polled."""

    cpu: float = 0.4
    memory: float = 0.2
    inflight: float = 0.2
    latency: float = 0.2
    max_cpu_percent: float = 100.0
    max_memory_percent: float = 100.0
    max_inflight: float = 100.0
    max_latency_s: float = 1.0
    metrics_path: str = "/metrics"
    poll_interval_s: float = 5.0


class PrequalOptions(Struct, frozen=True):
    """Of ``prequal``; the defaults are the paper's (``lb.policies.probe_pool``). Rates are of one worker."""

    path: str = "/"
    header: str = ""
    """With a backend's own requests in flight; empty: ORCA's ``endpoint-load-metrics``, where it is there."""
    timeout_s: float = 0.2
    per_request: float = 3.0
    """r_probe"""
    max_per_s: float = 100.0
    pool_size: int = 16
    """m"""
    max_age_s: float = 1.0
    remove: float = 1.0
    """r_remove"""
    hot_quantile: float = 0.84
    """Q_RIF, 2^-0.25"""


class HashKey(Struct, frozen=True):
    """What of a request is hashed. ``name``: of the header (lower case), cookie or query field."""

    kind: KeyKind = "client_ip"
    name: str = ""


class ContractOptions(Struct, frozen=True):
    """The table ``contract``: M, K, and both hash functions by their coefficients; none at all: CRC-32."""

    slots: int = 512
    virtual_servers: int = 9
    probing: Probing = "linear"
    request_hash: tuple[int, ...] = (1, 2, 17)
    """Of i^2, i and 1."""
    server_hash: tuple[int, ...] = (1, 0, 1, 2, 25)
    """Of i^2, i, j^2, j and 1."""


class HashOptions(Struct, frozen=True):
    """Of ``consistent_hash`` and its other names."""

    table: TableKind = "ring"
    key: HashKey | None = None
    """None: the client's address, and with the table ``contract`` a random id."""
    bounded_load: float | None = None
    """1 + epsilon: the most a member may have in flight, as a multiple of the mean."""
    points: int = 160
    """On the ring, for a member of average weight."""
    maglev_size: int = 65_537
    """Slots; a prime."""
    contract: ContractOptions = field(default_factory=ContractOptions)


CUSTOM = "custom"
"""The policy that a user wrote, by the name that configurations, ``?algo=`` and metrics use."""


class CustomPolicy(Struct, frozen=True):
    """A user's own class. ``source`` is its module's text as it was checked, and what workers run."""

    spec: str
    """``module:Class``."""
    options: str = "{}"
    """JSON."""
    folder: str = ""
    """Where modules are looked for behind all other places: that of the configuration file."""
    file: str = ""
    source: str = ""
    fallback: str = "peak_ewma"
    pick_budget_s: float = 0.001
    build_budget_s: float = 0.05


class Sticky(Struct, frozen=True):
    """Sessions that stay on their backend by a cookie. ``keys``: the first signs, the others are still believed; none:
    the machine's own is put here when the configuration is published."""

    cookie: str
    keys: tuple[str, ...] = ()
    path: str = "/"
    domain: str = ""
    max_age_s: float | None = None
    """None: until the browser is closed."""
    secure: bool | None = None
    """None: for clients that came by https."""
    http_only: bool = True
    same_site: SameSite = "lax"


class Geo(Struct, frozen=True):
    """Which region a client is in. ``database`` is a file with the country of each address (GeoLite2-Country)."""

    database: str
    default_region: str = "US"
    regions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Countries (ISO 3166-1 alpha-2) and continents (``lb.geo.countries``) of each region."""
    nearest: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """For each region all of them, nearest first, so itself before all others."""


class ZoneOptions(Struct, frozen=True):
    """Whether a pool prefers backends of the balancer's own zone; the figures are Envoy's."""

    prefer: bool = False
    min_backends: int = 6
    overprovisioning: float = 1.4


class Pool(Struct, frozen=True):
    """A named set of backends with one policy."""

    id: str
    backends: tuple[Backend, ...]
    policy: str = "peak_ewma"
    adaptive: AdaptiveOptions = field(default_factory=AdaptiveOptions)
    prequal: PrequalOptions = field(default_factory=PrequalOptions)
    hash: HashOptions = field(default_factory=HashOptions)
    health: Health = field(default_factory=Health)
    timeouts: PoolTimeouts = field(default_factory=PoolTimeouts)
    retry: Retry = field(default_factory=Retry)
    host_header: Literal["preserve", "backend"] = "preserve"
    tls: BackendTls = field(default_factory=BackendTls)
    max_idle_per_worker: int = 64
    """Idle connections kept per backend and worker."""
    queue_size: int = 1024
    """Most requests that wait in one worker for a backend with room; 0: nobody waits."""
    sticky: Sticky | None = None
    custom: CustomPolicy | None = None
    remember_s: float = 1800.0
    """How long ``sticky_round_robin`` remembers a client that does not come."""
    forward_load_reports: bool = False
    """Whether clients get the load reports in backends' answers."""
    geo_inner: str = "peak_ewma"
    """What the policy ``geo`` chooses by within a region."""
    slow_start_s: float = 0.0
    """How long a backend that has come up takes to get its full share."""
    outlier_errors: float = 0.05
    """By how much a backend must fail more often than the others together to get less; 1.0: never."""
    overprovisioning: float | None = None
    """Of priority levels: what is healthy of a level bears so many times its share. None: all, while it is anybody."""
    zones: ZoneOptions = field(default_factory=ZoneOptions)
    subset: int | None = None
    """How many of the backends this machine talks to; None: all."""


class FieldMatch(Struct, frozen=True):
    """A header or query condition. ``value`` None: it only has to be there."""

    name: str
    value: str | None = None
    regex: bool = False


class Respond(Struct, frozen=True):
    status: int = 200
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"


class Redirect(Struct, frozen=True):
    """``to`` may hold ``{scheme} {host} {hostport} {path} {query}`` of the request; ``{host}`` is without port,
    ``{query}`` with the ``?`` before it, or nothing."""

    to: str
    status: int = 308


class RateLimit(Struct, frozen=True):
    """At most ``burst`` requests at once, and ``rate_per_s`` from then on, on all machines together."""

    rate_per_s: float
    burst: int


class Route(Struct, frozen=True):
    """match -> action. The first route of a configuration that matches is taken.

    ``scheme`` is what the client spoke (to us, or to a trusted proxy that says so); empty: either.
    ``hosts`` are lower case without port unless they name one; ``*.example.com`` matches any depth
    below it. ``path`` is a prefix on segment boundaries, or the whole path when ``exact``.
    """

    id: str
    action: ActionKind
    hosts: tuple[str, ...] = ()
    path: str = ""
    exact: bool = False
    methods: tuple[str, ...] = ()
    headers: tuple[FieldMatch, ...] = ()
    query: tuple[FieldMatch, ...] = ()
    pool: str = ""
    respond: Respond | None = None
    redirect: Redirect | None = None
    policy: str = ""
    """Overrides the pool's policy for this route; empty: the pool's."""
    algo_override: bool = False
    """Whether ``?algo=NAME`` may choose the policy (an unknown name is answered 400)."""
    upgrades: tuple[str, ...] = ("websocket",)
    body_limit_bytes: int | None = None
    error_style: ErrorStyle = "json"
    scheme: Literal["", "http", "https"] = ""
    rate_limit: RateLimit | None = None
    """Of all requests of the route together, whoever sends them."""


class AccessLog(Struct, frozen=True):
    """``path``: a file, ``-`` for standard output, empty for none."""

    path: str = ""
    format: Literal["json", "combined"] = "json"


class State(Struct, frozen=True):
    """Where state lives. Only the controller talks to the store; workers see what it writes into the segment."""

    dir: str
    """What outlives a restart of this machine."""
    redis: str = ""
    """URL of the store that machines share (``lb.config.store_url``), may hold a password; empty: this machine is alone."""
    prefix: str = "lb"
    """Of every key in the store, as its hash tag."""
    machine: str = ""
    """This machine's name in the store; empty: its host name and a digest of ``dir``."""
    on_store_loss: StoreLoss = "open"
    """Without the store, limits that machines share are divided by the machines last known, or closed."""


class Config(Struct, frozen=True):
    """A whole validated configuration."""

    source: str
    listeners: tuple[Listener, ...]
    pools: tuple[Pool, ...]
    routes: tuple[Route, ...]
    state: State
    workers: int = 1
    trusted_proxies: tuple[str, ...] = ()
    access_log: AccessLog = field(default_factory=AccessLog)
    graceful_timeout_s: float = 30.0
    unknown_methods: bool = False
    """Whether methods outside RFC 9110 and PATCH are passed on; otherwise they are answered 501."""
    ambiguous_paths: AmbiguousPaths = "forward"
    """Whether paths that a backend may read otherwise than the routes do are passed on or answered 400."""
    geo: Geo | None = None
    zone: str = ""
    """Where this balancer is, in the words of the backends' ``zone``."""
    traceparent: bool = True
    """Whether W3C traces are continued or started; otherwise what a client says of its trace is passed on, unread."""


class Snapshot(Struct, frozen=True):
    """What workers and the controller run on: a configuration with its generation and the place of
    every counter in the shared segment (see ``lb.state.layout``)."""

    generation: int
    config: Config
    segment: str
    """Path of the shared memory file."""
    columns: dict[str, int]
    """Column name (``backend:POOL/ID``, ``route:ID``, ``pool:ID``, ``algo:NAME``, ``worker``) to number."""
    schema: int = 1
    problems: tuple[str, ...] = ()
    """What operators changed and ``config`` could not take up, as sentences."""


def summary(problems: tuple[str, ...], most: int = 3) -> str:
    """The first of them in one line, and how many more there are."""
    more = len(problems) - most
    return "; ".join(problems[:most]) + (f"; and {more} more" if more > 0 else "")
