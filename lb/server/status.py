"""What status listeners answer: three resources, and nothing else."""

from __future__ import annotations

import json

from lb.errors import REASONS
from lb.model import Route
from lb.proxy.answer import Answer
from lb.proxy.cells import Cells
from lb.proxy.local import local_answer
from lb.proxy.routes import LiveRoute, Local, healthy
from lb.server import control
from lb.state.layout import H_PROBED_GENERATION
from lb.state.segment import Segment


def status_routes(cells: Cells, ready: Local, metrics: Local) -> list[tuple[Route, LiveRoute]]:
    """``/health/live`` is answered by whoever lives, the others by what they are given."""
    resources = (
        (Route("live", "health", path="/health/live", exact=True), healthy),
        (Route("ready", "health", path="/health/ready", exact=True), ready),
        (Route("metrics", "metrics", path="/metrics", exact=True), metrics),
    )
    return [(route, LiveRoute(route, cells, None, local, "", frozenset())) for route, local in resources]


def readiness(segment: Segment, generation: int, first_generation: int, *, is_draining: bool, problem: str) -> Answer:
    """200 once the backends of the generation that this worker began with have been probed; 503 with a reason
    before, and while draining. A reload takes nothing back: what it adds is picked when it has been probed.

    ``problem``: what is wrong although we serve; a controller that is silent is added to it. The status is "degraded" then.
    """
    reason = _reason(segment, first_generation, is_draining=is_draining)
    further = () if reason else (control.silence(segment), control.store_problem(segment))
    problems = [text for text in (problem, *further) if text]
    body = {
        "status": {"": "degraded" if problems else "ready", "draining": "draining"}.get(reason, "not probed yet"),
        "generation": generation,
        "current": segment.generation == generation,
    }
    if reason:
        body |= {"reason": reason, "error": REASONS[reason].text}
    if problems:
        body |= {"problem": "; ".join(problems)}
    return local_answer(503 if reason else 200, "application/json", json.dumps(body).encode())


def _reason(segment: Segment, first_generation: int, *, is_draining: bool) -> str:
    """Of the table of errors; empty if we are ready."""
    if is_draining:
        return "draining"
    if segment.header[H_PROBED_GENERATION] >= first_generation:
        return ""
    return "not_probed" if control.is_running(segment) else "no_controller"
