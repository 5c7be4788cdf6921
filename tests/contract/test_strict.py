"""The settings that refuse and leave out more than the default, on every subject."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.case import Case, check
from tests.contract.cases.strict import CASES
from tests.contract.conftest import SUBJECTS, Scene
from tests.contract.in_process import in_process
from tests.contract.live import Live, Subject
from tests.contract.script import PATIENCE_S, script
from tests.support.balancer import running_balancer


@pytest.fixture(scope="module", params=SUBJECTS)
def strict(request: pytest.FixtureRequest, scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    config = {**scene.config, "ambiguous_paths": "reject", "traceparent": False}
    if request.param == "werkzeug":
        with in_process(config, tmp_path_factory.mktemp("strict")) as application:
            yield application
    else:
        with running_balancer(config, request.param) as balancer:
            yield Live(balancer.port)


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_case(strict: Subject, scene: Scene, case: Case) -> None:
    stage = scene.origin.play(script(case.answer), PATIENCE_S)
    heard = strict.converse(case, stage)
    check(case, heard, scene.origin.wait_for(len(case.requests), complete=True))
