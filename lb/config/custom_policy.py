"""``policy: {class: module:Class}`` of a pool: from the file to the model, and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from lb.config.problems import Finding, Path
from lb.config.schema_policy import PolicyEntry
from lb.config.trial import mistakes_of
from lb.config.user_class import Found, NotFound, find
from lb.model import CUSTOM, Backend, CustomPolicy


def custom_policy(entry: PolicyEntry, folder: str) -> CustomPolicy | None:
    """None where the file names no class. A module that cannot be found (any more) has no text, and workers fall back."""
    if entry.class_ is None:
        return None
    try:
        return _custom(entry, folder, find(entry.class_.partition(":")[0], folder))
    except NotFound:
        return _custom(entry, folder, Found("", "raise ImportError('it was not found')"))


def _custom(entry: PolicyEntry, folder: str, found: Found) -> CustomPolicy:
    assert entry.class_ is not None
    return CustomPolicy(
        spec=entry.class_,
        options=json.dumps(entry.options),
        folder=folder,
        file=found.file,
        source=found.source,
        fallback=entry.fallback,
        pick_budget_s=entry.budget,
        build_budget_s=entry.build_budget,
    )


def custom_mistakes(entry: PolicyEntry, path: Path, folder: str, members: Sequence[Backend]) -> Iterator[Finding]:
    """Runs the user's code: a mistake in it is found here, not in a worker."""
    if entry.class_ is None:
        if entry.name == CUSTOM:
            yield Finding((*path, "name"), "the policy `custom` needs a `class`", depends_on=((*path, "class"),))
        return
    here = (*path, "class")
    if entry.fallback == CUSTOM:
        yield Finding((*path, "fallback"), "expected a policy that comes with lb")
        return
    try:
        json.dumps(entry.options)
    except (TypeError, ValueError, RecursionError):
        yield Finding((*path, "options"), "expected text, numbers, flags, lists and mappings only")
        return
    try:
        found = find(entry.class_.partition(":")[0], folder)
    except NotFound as error:
        yield Finding(here, str(error))
        return
    depends = tuple((*path, key) for key in ("class", "options"))
    for message in mistakes_of(_custom(entry, folder, found), members):
        yield Finding(here, message, depends_on=depends)
