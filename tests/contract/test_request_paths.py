"""Every conformance case against every subject; what a subject cannot carry is in one table."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contract.cannot_carry import CANNOT_CARRY
from tests.contract.case import Case, Heard, check
from tests.contract.cases import CASES
from tests.contract.conftest import HAS_IPV6, NO_IPV6, SUBJECTS, WORKERS, Scene
from tests.contract.live import Subject
from tests.contract.script import PATIENCE_S, SHORT_PATIENCE_S, script
from tests.support.recorded import Recorded

Play = Callable[..., tuple[Heard, list[Recorded]]]
"""Plays a case on a subject."""

BY_ID = {case.id: case for case in CASES}
RUNS = [(subject, case) for subject in SUBJECTS for case in CASES]
CARRIED = [(subject, case) for subject, case in RUNS if (subject, case.id) not in CANNOT_CARRY]
NOT_CARRIED = [(subject, BY_ID[name]) for subject, name in CANNOT_CARRY if name in BY_ID]


def ids(runs: list[tuple[str, Case]]) -> list[str]:
    return [f"{subject}-{case.id}" for subject, case in runs]


@pytest.fixture
def play(find_subject: Callable[[str], Subject], scene: Scene) -> Play:
    def play(subject: str, case: Case, patience_s: float = PATIENCE_S) -> tuple[Heard, list[Recorded]]:
        conversation = find_subject(subject)
        stage = scene.origin.play(script(case.answer), patience_s)
        heard = conversation.converse(case, stage)
        complete = all(saw.is_complete for saw in case.requests)
        return heard, scene.origin.wait_for(len(case.requests), complete=complete)

    return play


@pytest.mark.parametrize(("subject", "case"), CARRIED, ids=ids(CARRIED))
def test_case(subject: str, case: Case, play: Play) -> None:
    if case.id == "backend-over-ipv6" and not HAS_IPV6:
        pytest.skip(NO_IPV6)
    check(case, *play(subject, case))


@pytest.mark.parametrize(("subject", "case"), NOT_CARRIED, ids=ids(NOT_CARRIED))
def test_case_that_cannot_be_carried(subject: str, case: Case, play: Play) -> None:
    """A case that passes has no business in the table; what is refused is refused, and reaches nobody."""
    heard, requests = play(subject, case, SHORT_PATIENCE_S)
    if not CANNOT_CARRY[subject, case.id].is_certain:
        return
    with pytest.raises(AssertionError):
        check(case, heard, requests)
    status = CANNOT_CARRY[subject, case.id].status
    if status is not None:
        assert heard.data.startswith(f"HTTP/1.1 {status} ".encode()), heard.data[:100]
        assert requests == []


def test_the_table_names_cases_that_exist_and_says_why() -> None:
    assert len(BY_ID) == len(CASES), "two cases have the same id"
    assert len(CASES) >= 60
    for (subject, name), lost in CANNOT_CARRY.items():
        assert subject not in WORKERS, f"{subject} must carry everything"
        assert name in BY_ID, f"no case {name}"
        assert len(lost.reason) > 10
