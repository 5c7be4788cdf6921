"""The textbook ring of small numbers: M slots, K virtual servers each, two polynomials. Pure.

Its literal functions are kept because an assignment asks for exactly them; they cannot balance. H(i) = i^2 + 2i + 17
modulo 512 takes 87 values only, and of three servers the first gets 84.4 % of the requests, the others 4.7 and 10.9.
Server number i is the member at position i - 1: the ids of an assignment's servers count from 1. Weights are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from zlib import crc32

from lb.model import ContractOptions
from lb.policies.ring import Ring

MAX_DIGITS = 18
"""A key of digits up to this length is a number by itself, any other is one by its CRC-32."""


def contract_ring(options: ContractOptions, members: int) -> Ring:
    """A member that finds every slot taken has none, and gets nothing while another one can."""
    owners: dict[int, int] = {}
    ahead = list(range(options.slots))
    for position in range(members):
        for j in range(options.virtual_servers):
            if len(owners) < options.slots:
                slot = _free_slot(options, owners, ahead, _server_hash(options.server_hash, position + 1, j))
                owners[slot] = position
                ahead[slot] = (slot + 1) % options.slots
    points = sorted(owners)
    return Ring(points, [owners[point] for point in points], contract_place(options))


def _free_slot(options: ContractOptions, owners: Mapping[int, int], ahead: list[int], home: int) -> int:
    """By probing from its home. Quadratic probing does not meet every slot: what it does not find, linear does.
    ``ahead``: of each slot itself while it is free, else one that linear probing meets later; shortened on the way."""
    slots = options.slots
    if options.probing == "quadratic":
        for step in range(slots // 2 + 1):  # the squares of the others are the same ones
            if (slot := (home + step * step) % slots) not in owners:
                return slot
    slot = free = home % slots
    while ahead[free] != free:
        free = ahead[free]
    while ahead[slot] != free:
        ahead[slot], slot = free, ahead[slot]
    return free


def _server_hash(coefficients: tuple[int, ...], i: int, j: int) -> int:
    if not coefficients:
        return crc32(b"%d#%d" % (i, j))
    a, b, c, d, e = coefficients
    return a * i * i + b * i + c * j * j + d * j + e


def contract_place(options: ContractOptions) -> Callable[[bytes], int]:
    slots = options.slots
    if not options.request_hash:
        return lambda key: crc32(key) % slots
    a, b, c = options.request_hash

    def place(key: bytes) -> int:
        i = number(key)
        return (a * i * i + b * i + c) % slots

    return place


def number(key: bytes) -> int:
    """What i is for a request: the id in its key."""
    return int(key) if len(key) <= MAX_DIGITS and key.isdigit() else crc32(key)
