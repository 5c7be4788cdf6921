"""In how many ways a regular expression can match one and the same text, at most.

Python's ``re`` tries them all before it says no. Repeats that no character can be in both of, or that a character
between them keeps apart (``[0-9]+[.][0-9]+``), have one way; those that can trade what they match multiply. What we
cannot see to be apart is taken to trade. Pure; works on what Python's own parser makes of an expression.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from lb.config.pattern_chars import chars_of

try:
    from re import _constants as sre  # type: ignore[attr-defined]
    from re import _parser as sre_parser  # type: ignore[attr-defined]
except ImportError:  # Python 3.10
    import sre_constants as sre
    import sre_parse as sre_parser

MOST_OF_ONE = 16
"""Lengths of one repeat that count: two long ones that trade are as many ways as eight optional characters."""
MAX_STEPS = 2000
MAX_CHOICES = 100

REPEATS = {sre.MAX_REPEAT, sre.MIN_REPEAT, *([sre.POSSESSIVE_REPEAT] if hasattr(sre, "POSSESSIVE_REPEAT") else [])}
_SINGLES = {sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN}
_ATOMIC = getattr(sre, "ATOMIC_GROUP", None)
_ASSERTIONS = {sre.ASSERT, sre.ASSERT_NOT}
_ENDS = {sre.AT_END, sre.AT_END_STRING}
"""Behind a ``.*`` they hold in any case; a ``\\b`` may not, and then every way is tried."""


def ways_to_match(tree: Any) -> int:
    """Of a parsed expression that must match the whole of a text, with DOTALL: a ``.*`` at its end never fails."""
    flags = tree.state.flags
    for op, args in operators(tree):
        if op is sre.SUBPATTERN:
            flags |= args[1]
    steps = _Steps(flags)
    steps.sequence(_without_rest(list(tree)), [])
    return steps.most_ways()


def operators(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every (operator, arguments) of a parsed expression, at any depth."""
    if isinstance(tree, (list, tuple)) and len(tree) == 2 and isinstance(tree[0], type(sre.LITERAL)):
        yield tree[0], tree[1]
        tree = tree[1]
    if isinstance(tree, (list, tuple, sre_parser.SubPattern)):
        for part in tree:
            yield from operators(part)


def _without_rest(items: list[Any]) -> list[Any]:
    """Without the ``.*`` that ends it, or each of the alternatives at its end."""
    while items and items[-1][0] is sre.AT and items[-1][1] in _ENDS:
        items = items[:-1]
    if not items:
        return items
    op, args = items[-1]
    if op is sre.SUBPATTERN and not args[2]:
        return items[:-1] + _without_rest(list(args[3]))
    if op is sre.BRANCH:
        return [*items[:-1], (op, (args[0], [_without_rest(list(alternative)) for alternative in args[1]]))]
    if op in REPEATS:
        least, most, body = args
        if (least, most) == (0, sre.MAXREPEAT) and [op for op, _ in body] == [sre.ANY]:
            return items[:-1]
    return items


class _Step:
    """A character, or the choice of how often something comes or which alternative it is, in ``ways`` ways.

    ``chars``: that may be in it. ``needs``: what all must be. ``after``: the steps that it may come behind.
    """

    def __init__(self, chars: int, ways: int, needs: list[int], after: list[int], *, can_skip: bool) -> None:
        self.chars = chars
        self.ways = ways
        self.needs = needs
        self.after = after
        self.can_skip = can_skip


class _Steps:
    """Of an expression; each stands behind all that it may come behind."""

    def __init__(self, flags: int) -> None:
        self._flags = flags
        self._steps: list[_Step] = []
        self._choices: list[int] = []

    # --- from an expression

    def sequence(self, items: Any, ends: list[int]) -> list[int]:
        """Adds ``items`` behind ``ends``; returns the new ends."""
        for op, args in items:
            ends = self._item(op, args, ends)
        return ends

    def _item(self, op: Any, args: Any, ends: list[int]) -> list[int]:
        if op in _SINGLES:
            return self._add(chars_of(op, args, self._flags), 1, [], ends)
        if op is sre.SUBPATTERN:
            return self.sequence(args[3], ends)
        if op is _ATOMIC:
            return self.sequence(args, ends)
        if op is sre.BRANCH:
            return self._branch(args[1], ends)
        if op in REPEATS:
            least, most, body = args
            return self._repeat(least, most, body, ends)
        if op in _ASSERTIONS:
            self.sequence(args[1], ends)  # leads nowhere: what follows begins where the assertion did
        return ends

    def _add(self, chars: int, ways: int, needs: list[int], ends: list[int], *, can_skip: bool = False) -> list[int]:
        if ways > 1:
            self._choices.append(len(self._steps))
        self._steps.append(_Step(chars, ways, needs, ends, can_skip=can_skip))
        if len(self._steps) > MAX_STEPS or len(self._choices) > MAX_CHOICES:
            raise ValueError("regular expression with too many repeats")
        return [len(self._steps) - 1]

    def _branch(self, alternatives: Any, ends: list[int]) -> list[int]:
        rivals = self._count_rivals(alternatives)
        if rivals:
            ways = min(rivals + 1, len(alternatives))
            ends = self._add(self._all_chars(alternatives), ways, [], ends, can_skip=True)
        return [end for alternative in alternatives for end in self.sequence(alternative, ends)]

    def _repeat(self, least: int, most: int, body: Any, ends: list[int]) -> list[int]:
        is_simple = most is sre.MAXREPEAT or self._is_simple(body)
        if least < most:
            ways = MOST_OF_ONE if most is sre.MAXREPEAT else min(most - least + 1, MOST_OF_ONE)
            can_skip = not least or not is_simple
            ends = self._add(self._all_chars([body]), ways, self._needed(body), ends, can_skip=can_skip)
        if is_simple:
            return self.sequence(body, ends) if least == most and most else ends
        for count in range(most):
            behind = self.sequence(body, ends)
            ends = behind if count < least else list({*ends, *behind})
        return ends

    def _is_simple(self, body: Any) -> bool:
        """Whether there is one way only through it."""
        for op, args in operators(body):
            if op in REPEATS and args[0] != args[1]:
                return False
            if op is sre.BRANCH and self._count_rivals(args[1]):
                return False
        return True

    def _count_rivals(self, alternatives: Any) -> int:
        """Pairs of which one may match what the other does, or its beginning."""
        starts = [list(self._fixed_start(alternative)) for alternative in alternatives]
        return sum(
            all(here & there for here, there in zip(one, other, strict=False)) for one, other in combinations(starts, 2)
        )

    def _fixed_start(self, items: Any) -> Iterator[int]:
        """The characters that it begins with in any case, as far as we can see."""
        for op, args in items:
            if op in _SINGLES:
                yield chars_of(op, args, self._flags)
            elif op in REPEATS and args[0] and len(args[2]) == 1 and args[2][0][0] in _SINGLES:
                [(single, what)] = args[2]
                yield from [chars_of(single, what, self._flags)] * args[0]
                if args[0] != args[1]:
                    return
            elif op is not sre.AT:
                return

    def _all_chars(self, bodies: Any) -> int:
        found = 0
        for body in bodies:
            for op, args in operators(body):
                if op in _SINGLES:
                    found |= chars_of(op, args, self._flags)
        return found

    def _needed(self, items: Any) -> list[int]:
        """Characters that are in every text that it matches."""
        found: list[int] = []
        for op, args in items:
            if op in _SINGLES:
                found.append(chars_of(op, args, self._flags))
            elif op is sre.SUBPATTERN:
                found += self._needed(args[3])
            elif op in REPEATS and args[0]:
                found += self._needed(args[2])
        return found

    # --- to the number of ways

    def most_ways(self) -> int:
        """The largest product on one way through the steps of all groups of choices that trade among themselves.

        ``within``: with this step as the last yet of such a group; ``before``: with no group open there.
        """
        within = [0] * len(self._steps)
        before = [1] * len(self._steps)
        for at, step in enumerate(self._steps):
            before[at] = max([1, *(max(before[end], within[end]) for end in step.after)])
            for rival in self._choices:
                if step.ways > 1 and rival < at and self._can_trade(rival, at):
                    held = max(within[rival], before[rival] * self._steps[rival].ways)
                    within[at] = max(within[at], held * step.ways)
        return max([1, *before, *within])

    def _can_trade(self, start: int, goal: int) -> bool:
        """Whether what one choice may match the other may too, and all that must come between them."""
        one, other = self._steps[start], self._steps[goal]
        both = one.chars & other.chars
        if not both or not all(need & both for need in one.needs + other.needs):
            return False
        reached = {start}
        for at in range(start + 1, goal):
            step = self._steps[at]
            if (step.can_skip or step.chars & both) and not reached.isdisjoint(step.after):
                reached.add(at)
        return not reached.isdisjoint(other.after)
