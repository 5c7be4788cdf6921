"""What a scenario file may say. Policies, retries, time limits and probes are written as in a configuration,
by the very same sections. Needs pydantic; ``lb.simulate.load`` turns it into a ``Scenario``."""

from __future__ import annotations

from typing import Annotated, Literal

from lb.config.fields import (
    Amount,
    BoundedLoad,
    Duration,
    DurationOrZero,
    Flag,
    Identifier,
    LimitOrNone,
    Percent,
    PositiveAmount,
    Rate,
    RegionName,
    Shorthand,
    Text,
    count,
    words,
)
from lb.config.schema_policy import PolicyEntry
from lb.config.schema_pools import HealthEntry, PoolTimeoutsEntry, RetryEntry, ZonesEntry
from lb.config.section import Section, key, required, section, setting
from lb.model import Backend, Pool
from lb.simulate.places import Away, Balancers
from lb.simulate.scenario import Clients, Scenario

MAX_REQUESTS = 100_000_000

GroupSize = Annotated[int, count(1, 10_000)]
BalancerCount = Annotated[int, count(1, 1_000)]
Priority = Annotated[int, count(0, 127)]
Weight = Annotated[int, count(1, 256)]
Slots = Annotated[int, count(1, 100_000)]
QueueLength = Annotated[int | None, count(0, 1_000_000)]
ClientCount = Annotated[int, count(1, 1_000_000)]


class LognormalEntry(Section):
    median: Duration = required("Half of the requests are quicker.")
    sigma: PositiveAmount = required("Of the logarithm: 0.3 is a quick handler, 1 and more a long tail.")


class ParetoEntry(Section):
    least: Duration = required("No request is quicker.")
    alpha: PositiveAmount = required("More than 1; the closer to it, the heavier the tail.")


class BimodalEntry(Section):
    usual: Duration = required("What most requests take.")
    rare: Duration = required("What the others take.")
    share: Percent = required("How many those are.", example="5%")


class ServiceEntry(Section):
    """One of them."""

    constant: Duration | None = key("Every request takes this long.", None)
    exponential: Duration | None = key("Exponential with this mean.", None)
    lognormal: LognormalEntry | None = key("Log-normal.", None)
    pareto: ParetoEntry | None = key("Pareto: heavy tailed.", None)
    bimodal: BimodalEntry | None = key("Of two kinds.", None)


class FaultEntry(Section):
    """One of ``slow``, ``failing`` and ``down``."""

    at: DurationOrZero = required("When it begins.")
    lasts: Duration | None = key("How long it lasts; by default to the end.", None)
    every: Duration | None = key("Time between two beginnings; by default it happens once.", None)
    slow: PositiveAmount | None = key("Factor on the time of every request that is begun meanwhile.", None)
    failing: Percent | None = key("Share of the requests that are answered 503 at once.", None)
    down: Flag = key("Connections are refused, and what was in work is lost.", False)


class AntagonistsEntry(Section):
    """Neighbours on the backends' machines that take the processor now and then, at random."""

    slow: PositiveAmount = required("Factor on the time of every request that is begun meanwhile.")
    lasts: Duration = required("How long one stays, on average.")
    every: Duration = required("Time between two comings, on average.")


class GroupEntry(Section):
    """Backends that are alike."""

    count: GroupSize = key("How many.", 1)
    weight: Weight = setting(Backend, "weight", "Weight of each.")
    region: Text = setting(
        Backend, "region", "Where they are, for policies that prefer the client's region.", example="EU"
    )
    zone: Text = setting(Backend, "zone", "Where they are within their region.", example="b")
    priority: Priority = setting(Backend, "priority", "Their level, as in a configuration.")
    backup: Flag = setting(Backend, "backup", "Whether they are the level behind all others.")
    max_inflight: LimitOrNone = setting(Backend, "max_inflight", "Most requests a balancer gives each at a time.")
    slots: Slots = required("Requests that each works on at the same time.", example=8)
    queue: QueueLength = key(
        "Requests that may wait for a slot; one more is answered 503. By default any number.", None
    )
    service: ServiceEntry = required("How long a request takes.")
    faults: list[FaultEntry] = key("What goes wrong, and when.", ())
    antagonists: AntagonistsEntry | None = key("Slow spells at random.", None)


class ArrivalsEntry(Section):
    """One of ``rate``, ``load`` and ``log``."""

    rate: Rate | None = key("Requests per second, as a Poisson process.", None)
    load: Percent | None = key("The same, as a share of what all slots can do while nothing is wrong.", None)
    log: Text | None = key("An access log of ours (JSON): requests come when they came then.", None)
    speed: PositiveAmount = key("Of a log: 2 plays it twice as fast.", 1.0)


class ClientsEntry(Section):
    count: ClientCount = setting(Clients, "count", "How many different ones.")
    skew: Amount = setting(Clients, "skew", "0: all alike; 1: the k-th asks 1/k as often (Zipf).")
    sticky: Percent = key("Share of them that keep the cookie of a session, as `sticky` gives it.", 0.0, shown="0%")
    key: Annotated[Literal["address", "number"], words("address", "number")] = setting(
        Clients, "key", "What hash policies see of them."
    )


class GeoEntry(Section):
    """Where clients are. With it, `geo`, `geo_aware` and `adaptive` prefer the client's region."""

    clients: dict[RegionName, Percent] = required(
        "Share of the clients in each region.", example={"EU": "70%", "US": "30%"}
    )
    nearest: dict[RegionName, list[RegionName]] = key(
        "Other regions by a region, nearest first; those left out come last, in the order of `clients`.", {}
    )


class AwayEntry(Section):
    """The way between a balancer and a backend that is not near it."""

    region: DurationOrZero = setting(Away, "region_s", "What an answer takes longer from another region.")
    zone: DurationOrZero = setting(Away, "zone_s", "What an answer takes longer from another zone of the region.")


class BalancersEntry(Section):
    count: BalancerCount = setting(Balancers, "count", "How many machines.")
    zones: list[Text] = key("The zone of each in turn.", [], example=["a", "b", "c"])
    regions: list[RegionName] = key(
        "The region of each in turn; clients of a region come to the balancers in it, if there are any.", []
    )
    numbered: Flag = setting(
        Balancers, "numbered", "Whether a store numbers them, which spreads their subsets evenly; else chance does."
    )


class ScenarioEntry(Section):
    """A scenario for `lb simulate`."""

    about: Text = key("One line for `lb simulate --list`.", "")
    seed: Annotated[int, count(0, 1_000_000_000)] = key("The same seed gives the same result.", 1)
    arrivals: ArrivalsEntry = required("When requests come.")
    duration: Duration | None = key("Simulated time in which requests come.", None)
    requests: Annotated[int | None, count(1, MAX_REQUESTS)] = key("How many come at most.", None)
    clients: Annotated[ClientsEntry, Shorthand("count")] = section("Who asks.", ClientsEntry)
    geo: GeoEntry | None = key("Where clients are; by default nobody knows.", None)
    balancers: Annotated[BalancersEntry, Shorthand("count")] = section("Machines that balance.", BalancersEntry)
    away: AwayEntry = section("What is far takes longer.", AwayEntry)
    workers: Annotated[int, count(1, 512)] = setting(Scenario, "workers", "Workers on each of them.")
    sync: Duration = setting(Scenario, "sync_s", "How often a balancer learns what the others have in flight.")
    policies: list[Annotated[PolicyEntry, Shorthand("name")]] = required("Policies to compare, as in a configuration.")
    overprovisioning: BoundedLoad = setting(Pool, "overprovisioning", "Of levels, as in a configuration.")
    zones: ZonesEntry = section("Whether backends near a balancer go first, as in a configuration.", ZonesEntry)
    subset: LimitOrNone = setting(Pool, "subset", "How many of the backends each balancer talks to.")
    retry: RetryEntry = section("As in a configuration.", RetryEntry)
    timeouts: PoolTimeoutsEntry = section("As in a configuration; `first_byte` and `total` only.", PoolTimeoutsEntry)
    health: HealthEntry = section("As in a configuration; `interval`, `rise` and `fall` only.", HealthEntry)
    backends: dict[Identifier, GroupEntry] = required("Groups of backends that are alike, by name.")
