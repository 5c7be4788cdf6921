from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.demo.running import Demo, running


@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One demo for the tests that only look."""
    with running(tmp_path_factory.mktemp("demo")) as serving:
        yield serving
