"""Element operations equation by equation, of two kernels of one rule."""

from __future__ import annotations

from dataclasses import dataclass

from optdsl.ir.kernel import Kernel
from optdsl.passes.cost import counts


@dataclass(frozen=True)
class Tally:
    """Element operations of some equations, and how many of them are divides or roots: as written, and simplified.

    `equations` are numbers in the rule's order: of one equation, or of those computed in one go in either kernel.
    """

    equations: tuple[int, ...]
    written: tuple[int, int]
    simplified: tuple[int, int]


def tallies(written: Kernel, simplified: Kernel) -> list[Tally]:
    """Return the operations of a rule's equations, in the rule's order; they add up to those of the kernels."""
    groups: list[set[int]] = []
    for kernel in (written, simplified):
        for equations, _, _ in _operations(kernel):
            met = [group for group in groups if group & equations]
            groups = [group for group in groups if group not in met] + [equations.union(*met)]
    groups.sort(key=min)
    return [Tally(tuple(sorted(group)), _total(written, group), _total(simplified, group)) for group in groups]


def _operations(kernel: Kernel) -> list[tuple[set[int], int, int]]:
    """Return the equations that each assignment of elements computes, its operations, and the slow ones of them."""
    found = []
    for phase in kernel.loops():
        for let in (*phase.lets, *phase.folds):
            operations, slow = counts([let.value])
            if let.equations and (operations or let in phase.lets):
                found.append((set(let.equations), operations, slow))
    return found


def _total(kernel: Kernel, group: set[int]) -> tuple[int, int]:
    found = [(operations, slow) for equations, operations, slow in _operations(kernel) if equations <= group]
    return sum(operations for operations, _ in found), sum(slow for _, slow in found)
