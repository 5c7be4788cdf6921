"""The documented keys are those of the program, and every key has the hash tag."""

from __future__ import annotations

from pathlib import Path

from lb.state.store.keys import TABLE, Keys

DOCS = Path(__file__).parents[4] / "docs" / "shared-state.md"


def test_the_documentation_has_the_same_table() -> None:
    text = DOCS.read_text()
    for row in TABLE:
        assert f"| `{row.pattern}` | {row.type} | {row.life} | {row.meaning} |" in text
    assert text.count("| `{P}:") == len(TABLE)


def test_every_key_is_documented_and_on_one_node() -> None:
    keys = Keys("lb")
    made = [
        keys.schema, keys.born, keys.machines, keys.machine("MACHINE"), keys.numbers,
        keys.inflight("MACHINE"), keys.order("POOL", "POLICY", "DIGEST"), keys.limit("POOL/BACKEND@PLACE"),
        keys.limit("rate:ROUTE@RATE/s+BURST"), keys.operator,
        keys.operator_generation, keys.health, keys.lease("NAME"), keys.fence("NAME"), keys.news,
    ]  # fmt: skip
    assert [row.pattern.replace("{P}", "{lb}") for row in TABLE] == made
