"""Every conformance case against every subject; what a subject cannot carry is in one table."""

from __future__ import annotations

import pytest

from tests.contract.cannot_carry import CANNOT_CARRY
from tests.contract.case import Case, check
from tests.contract.cases import CASES
from tests.contract.conftest import SUBJECTS, Scene
from tests.contract.live import Subject
from tests.contract.script import script

BY_ID = {case.id: case for case in CASES}
RUNS = [(subject, case) for subject in SUBJECTS for case in CASES]
CARRIED = [(subject, case) for subject, case in RUNS if (subject, case.id) not in CANNOT_CARRY]
NOT_CARRIED = [(subject, BY_ID[name]) for subject, name in CANNOT_CARRY if name in BY_ID]


def ids(runs: list[tuple[str, Case]]) -> list[str]:
    return [f"{subject}-{case.id}" for subject, case in runs]


def play(subject: Subject, case: Case, scene: Scene) -> None:
    stage = scene.origin.play(script(case.answer))
    heard = subject.converse(case, stage)
    complete = all(saw.is_complete for saw in case.requests)
    check(case, heard, scene.origin.wait_for(len(case.requests), complete=complete))


@pytest.mark.parametrize(("subject", "case"), CARRIED, ids=ids(CARRIED), indirect=["subject"])
def test_case(subject: Subject, case: Case, scene: Scene) -> None:
    play(subject, case, scene)


@pytest.mark.parametrize(("subject", "case"), NOT_CARRIED, ids=ids(NOT_CARRIED), indirect=["subject"])
def test_case_that_cannot_be_carried_is_rightly_in_the_table(subject: Subject, case: Case, scene: Scene) -> None:
    """A case that passes has no business in the table."""
    with pytest.raises((AssertionError, ValueError)):
        play(subject, case, scene)


def test_the_table_names_cases_that_exist_and_says_why() -> None:
    assert len(BY_ID) == len(CASES), "two cases have the same id"
    assert len(CASES) >= 60
    for (subject, name), reason in CANNOT_CARRY.items():
        assert subject in SUBJECTS[1:], f"{subject} must carry everything"
        assert name in BY_ID, f"no case {name}"
        assert len(reason) > 10
