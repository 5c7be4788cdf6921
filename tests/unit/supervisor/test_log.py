from __future__ import annotations

from lb.supervisor.log import line


def test_a_line_has_time_level_event_and_fields() -> None:
    assert line("info", "started", {"plane": "data", "pid": 7}, 0.25) == (
        "ts=1970-01-01T00:00:00.250Z level=info process=supervisor event=started plane=data pid=7\n"
    )


def test_a_value_cannot_break_out_of_its_line_or_field() -> None:
    text = line("error", "x", {"problem": 'a "b"\nlevel=info', "empty": "", "escape": "\x1b[31m"}, 0.0)
    assert text.endswith('problem="a \\"b\\"\\nlevel=info" empty="" escape="\\u001b[31m"\n')
    assert text.count("\n") == 1
