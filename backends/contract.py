"""The endpoints other people's balancers were tried with: texts and shapes are exact.

Adaptive balancer: ``/``, ``/health``, ``/metrics``. Replica: ``/home``, ``/heartbeat``. Broadcast:
``/login``, ``/register``, ``/changePassword``.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from backends.exchange import Reply, Request, json_reply, text_reply
from backends.load import Load, Meter
from backends.profiles import Profile

SKIPPED_SHARE = 0.2
PROMETHEUS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Contract:
    """The endpoints of one backend. ``skips_posts`` drops one POST in five, as the original did."""

    profile: Profile
    name: str
    meter: Meter
    dice: random.Random
    skips_posts: bool = False

    def index(self, request: Request) -> Reply:
        algo = request.query.get("algo") or request.header("X-Lb-Algo") or "adaptive"
        answer = {
            "message": "API is running",
            "serverName": self.name,
            "algo": algo,
            "region": self.profile.region,
        }
        return json_reply(answer)

    def health(self, request: Request) -> Reply:
        if self.meter.read().is_healthy:
            return json_reply({"status": "healthy"})
        return json_reply({"status": "unhealthy"}, 503)

    def metrics(self, request: Request) -> Reply:
        load = self.meter.read()
        accept = request.header("Accept")
        if "text/plain" in accept or "openmetrics" in accept:
            return Reply((self._exposition(load).encode(),), content_type=PROMETHEUS_TYPE)
        return json_reply(as_json(load))

    def home(self, request: Request) -> Reply:
        return json_reply({"message": f"Hello from Server: {self.profile.number}", "status": "successful"})

    def heartbeat(self, request: Request) -> Reply:
        return Reply((b"",))

    def login(self, request: Request) -> Reply:
        return text_reply(f"logged in on {self.name}")

    def register(self, request: Request) -> Reply:
        return self._post(f"register on {self.name}")

    def change_password(self, request: Request) -> Reply:
        return self._post(f"password changed on {self.name}")

    def _post(self, text: str) -> Reply:
        if self.skips_posts and self.dice.random() < SKIPPED_SHARE:
            return text_reply("request dropped by server", 500)
        return text_reply(text, 201)

    def _exposition(self, load: Load) -> str:
        profile = self.profile
        lines = [
            "# TYPE backend_info gauge",
            f'backend_info{{name="{self.name}",region="{profile.region}",weight="{profile.weight}"}} 1',
            "# TYPE backend_requests_total counter",
            f"backend_requests_total {self.meter.requests}",
        ]
        for name, value in as_json(load).items():
            lines += [f"# TYPE backend_{name} gauge", f"backend_{name} {value}"]
        return "\n".join(lines) + "\n"


def as_json(load: Load) -> dict[str, float]:
    return {
        "cpu_usage": round(load.cpu_percent, 2),
        "memory_usage": round(load.memory_percent, 3),
        "net_usage": load.net_bytes,
        "active_connections": load.inflight,
        "response_time": round(load.response_time_s, 6),
    }
