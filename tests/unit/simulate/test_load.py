"""Scenario files: what they may say, and what is said about mistakes in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lb.config.problems import LocatedConfigError
from lb.simulate.scenario import Poisson, Recorded
from lb.simulate.service import Bimodal, Constant, Exponential, Lognormal, Pareto, Service
from tests.unit.simulate.scenarios import loaded

DOCUMENT = Path(__file__).parents[3] / "docs" / "simulate.md"
SMALLEST = """
arrivals: {rate: 10/s}
requests: 10
policies: [round_robin]
backends: {only: {slots: 1, service: {constant: 10ms}}}
"""


def mistakes(folder: Path, text: str) -> list[str]:
    """Without the file's name."""
    with pytest.raises(LocatedConfigError) as caught:
        loaded(folder, text)
    return [f"{one.line}:{one.column}: {one.message}" for one in caught.value.located]


def test_the_smallest(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, SMALLEST)
    assert scenario.name == "scenario"
    assert scenario.arrivals == Poisson(10.0)
    assert [backend.id for backend in scenario.backends] == ["only-1"]
    assert [one.label for one in scenario.contenders] == ["round_robin"]


def test_a_policy_has_the_options_of_a_configuration(tmp_path: Path) -> None:
    text = SMALLEST.replace("[round_robin]", "[{name: consistent_hash, bounded_load: 1.25}, adaptive]")
    hashed, adaptive = loaded(tmp_path, text + "retry: {attempts: 7}\n").contenders
    assert hashed.label == "consistent_hash (bounded_load 1.25)"
    assert hashed.pool.hash.bounded_load == 1.25
    assert adaptive.label == adaptive.pool.policy == "adaptive"
    assert hashed.pool.retry.attempts == adaptive.pool.retry.attempts == 7


@pytest.mark.parametrize(
    ("written", "service", "mean_s"),
    [
        ("constant: 10ms", Constant(0.01), 0.01),
        ("exponential: 10ms", Exponential(0.01), 0.01),
        ("lognormal: {median: 10ms, sigma: 0.5}", Lognormal(0.01, 0.5), 0.01133),
        ("pareto: {least: 10ms, alpha: 3}", Pareto(0.01, 3.0), 0.015),
        ("bimodal: {usual: 10ms, rare: 1s, share: 5%}", Bimodal(0.01, 1.0, 0.05), 0.0595),
    ],
)
def test_service_times(tmp_path: Path, written: str, service: Service, mean_s: float) -> None:
    scenario = loaded(tmp_path, SMALLEST.replace("constant: 10ms", written))
    assert scenario.behaviours[0].service == service
    assert service.mean_s == pytest.approx(mean_s, rel=1e-3)


def test_the_documented_scenario(tmp_path: Path) -> None:
    text = DOCUMENT.read_text(encoding="utf-8").partition("## Writing a scenario\n\n```yaml\n")[2].partition("```")[0]
    scenario = loaded(tmp_path, text)
    assert {backend.zone for backend in scenario.backends} == {*scenario.balancers.zones} == {"a", "b"}
    assert scenario.clients.sticky == 0.2


def test_load_is_a_share_of_all_slots(tmp_path: Path) -> None:
    text = SMALLEST.replace("rate: 10/s", "load: 50%").replace("slots: 1,", "count: 3, slots: 2,")
    assert loaded(tmp_path, text).arrivals == Poisson(300.0)


def test_every_mistake_at_once(tmp_path: Path) -> None:
    text = """arrivals: {rate: 10}
policies: [roundrobin]
duraton: 1s
backends:
  only: {slots: 0, service: {exponental: 1s}, faults: [{at: 1, slow: -1}]}
"""
    assert mistakes(tmp_path, text) == [
        "1:18: a rate needs its unit: 10/s",
        "2:12: unknown policy `roundrobin`, did you mean `round_robin`?",
        "3:1: unknown key `duraton`, did you mean `duration`?",
        "5:17: expected a number from 1 to 100000, got 0",
        "5:30: unknown key `exponental`, did you mean `exponential`?",
        "5:61: a duration needs a unit: 1s, or 1ms",
        "5:70: expected a number of 0 or more, got `-1`",
    ]


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("rate: 10/s", "rate: 10/s, load: 5%", "2:11: expected exactly one of rate, load, log"),
        ("rate: 10/s", "rate: 0/s", "2:11: expected more than no requests at all"),
        ("requests: 10\n", "", "2:1: say how long: `duration`, `requests`, or both"),
        ("[round_robin]", "[]", "4:11: name at least one policy"),
        ("{only: {", "{a: {count: 6000, slots: 1, service: {constant: 1s}}, b: {count: 6000, ", "5:11: more than 10000 backends"),
        ("constant: 10ms", "", "5:38: expected exactly one of constant, exponential, lognormal, pareto, bimodal"),
        ("constant: 10ms", "pareto: {least: 1s, alpha: 1}", "5:66: expected more than 1: below, there is no mean"),
        ("[round_robin]", "[{name: maglev, key: url}]", "4:27: `key` is not simulated: a request has nothing to hash but its client"),
        (
            "[round_robin]",
            "[{name: prequal, probe: {path: /}}]",
            "4:36: `path` is not simulated: a probe is answered at once, with the backend's own requests in flight",
        ),
        ("10ms}", "10ms}, faults: [{at: 1s}]", "5:65: expected one of `slow`, `failing` and `down: true`"),
        ("10ms}", "10ms}, faults: [{at: 1s, every: 2s, down: on}]", "5:81: needs a `lasts` that is shorter"),
        (
            "10ms}",
            "10ms}, antagonists: {slow: 2, lasts: 2s, every: 1s}",
            "5:86: expected less than `every`: it would never be gone",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_together(tmp_path: Path, old: str, new: str, mistake: str) -> None:
    assert mistakes(tmp_path, SMALLEST.replace(old, new)) == [mistake]


def test_an_empty_file(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "") == ["1:1: the file is empty; the least it needs is `backends:`"]


def line(time: str, client: str = "192.0.2.1") -> str:
    return f'{{"time":"{time}","client":"{client}","status":200}}\n'


def recorded(folder: Path, lines: str, more: str = "") -> Recorded:
    (folder / "access.log").write_text(lines)
    arrivals = loaded(folder, SMALLEST.replace("rate: 10/s", f"log: access.log{more}")).arrivals
    assert isinstance(arrivals, Recorded)
    return arrivals


LOG = (
    line("2026-01-31T12:00:01.500Z", "192.0.2.7") + line("2026-01-31T12:00:00.000Z") + line("2026-01-31T12:00:02.250Z")
)


def test_a_recorded_access_log(tmp_path: Path) -> None:
    """In the order of time, not of the lines; the last line was still being written."""
    arrivals = recorded(tmp_path, LOG + '{"time":"2026-01-31T12:00')
    assert arrivals.times_s == pytest.approx((0.0, 1.5, 2.25))
    assert arrivals.clients == (b"192.0.2.1", b"192.0.2.7", b"192.0.2.1")
    assert recorded(tmp_path, LOG, ", speed: 2").times_s == pytest.approx((0.0, 0.75, 1.125))


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (LOG + "192.0.2.1 - - [31/Jan/2026]\n", ":4:1: expected a JSON object with `\"time\": \"2026-01-31T12:00:00.000Z\"`"),
        (LOG + '{"at":1}\n', ":4:1: expected"),
        ("[]\n", ":1:1: expected"),
        ("", ": holds no request"),
    ],
)  # fmt: skip
def test_a_log_that_is_none(tmp_path: Path, lines: str, problem: str) -> None:
    with pytest.raises(LocatedConfigError) as caught:
        recorded(tmp_path, lines)
    assert str(caught.value.located[0]).startswith(f"{tmp_path}/access.log{problem}")


def test_a_log_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LocatedConfigError, match=r"nowhere\.log: cannot be read: No such file or directory"):
        loaded(tmp_path, SMALLEST.replace("rate: 10/s", "log: nowhere.log"))
