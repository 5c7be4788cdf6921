"""What the controller works on when the snapshot file cannot be read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lb.controller.attachment import Attachment
from lb.model import Config, Snapshot, State
from lb.state.publish import publish, snapshot_path
from lb.state.segment import Segment


@pytest.fixture
def snapshot(tmp_path: Path) -> Iterator[Snapshot]:
    made = publish(Config("lb.yaml", (), (), (), State(str(tmp_path))))
    yield made
    Path(made.segment).unlink(missing_ok=True)


def attachment_to(snapshot: Snapshot) -> Attachment:
    return Attachment(snapshot_path(snapshot.config.state.dir))


def close(attachment: Attachment) -> None:
    assert attachment.segment is not None
    attachment.segment.close()


def test_a_new_one_takes_the_copy_and_says_what_is_wrong_until_it_is_right(snapshot: Snapshot) -> None:
    attachment = attachment_to(snapshot)
    os.rename(attachment.path, attachment.path + ".away")
    attachment.refresh()
    assert attachment.snapshot == snapshot
    assert attachment.segment is not None
    assert "cannot read snapshot" in attachment.problem
    os.rename(attachment.path + ".away", attachment.path)
    attachment.refresh()
    assert (attachment.snapshot, attachment.problem) == (snapshot, "")
    close(attachment)


def test_one_that_has_a_snapshot_keeps_it_and_follows_the_segment(snapshot: Snapshot) -> None:
    attachment = attachment_to(snapshot)
    attachment.refresh()
    held, segment = attachment.snapshot, attachment.segment
    Path(attachment.path).write_bytes(b"")
    replace_segment(snapshot)
    attachment.refresh()
    assert attachment.snapshot is held
    assert attachment.segment is not segment
    assert "damaged snapshot" in attachment.problem
    assert segment is not None
    segment.close()
    close(attachment)


def replace_segment(snapshot: Snapshot) -> None:
    """Another segment in the place of the one that is mapped."""
    os.unlink(snapshot.segment)
    Segment.for_snapshot(snapshot).close()


def test_without_any_there_is_nothing_to_work_on(tmp_path: Path) -> None:
    attachment = Attachment(str(tmp_path / "snapshot.json"))
    attachment.refresh()
    assert (attachment.snapshot, attachment.segment) == (None, None)
    assert "cannot read snapshot: No such file" in attachment.problem
