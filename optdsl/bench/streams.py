"""Which arrays each pass of a rule reads and writes: what any implementation of it has to move through memory."""

from __future__ import annotations

from dataclasses import dataclass

from optdsl.ir.evaluate import defaults, present_states
from optdsl.ir.kernel import Kernel
from optdsl.ir.nodes import Rate, Rule
from optdsl.pipeline import kernels
from optdsl.show import state_width


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over the elements: the numbers of the arrays it only reads, reads and writes, and only writes."""

    read: tuple[int, ...]
    both: tuple[int, ...]
    write: tuple[int, ...]

    @property
    def touched(self) -> tuple[int, ...]:
        """The arrays that go through memory."""
        return (*self.read, *self.both, *self.write)


@dataclass(frozen=True, slots=True)
class Streams:
    """The arrays of a rule, by name with the bytes of an element, and its passes over them.

    `whole` says that a pass needs a reduction over all elements of the one before, so that it can't follow it block by
    block while that is in cache.
    """

    names: tuple[str, ...]
    widths: tuple[int, ...]
    passes: tuple[Pass, ...]
    whole: bool

    @property
    def moved(self) -> int:
        """The bytes a step moves per parameter: each array once for being read and once for being written."""
        return sum(
            self.widths[number] * (2 if number in one.both else 1) for one in self.passes for number in one.touched
        )

    @property
    def held(self) -> int:
        """The bytes that the arrays hold per parameter."""
        return sum(self.widths)


def streams(rule: Rule, parameter: int = 4) -> Streams:
    """Return the streams of a rule at its defaults, for parameters of so many bytes an element."""
    usual = present_states(rule, defaults(rule))
    return of_kernel(next(kernel for kernel in kernels(rule).kernels if kernel.present == usual), parameter)


def of_kernel(kernel: Kernel, parameter: int = 4) -> Streams:
    """Return the streams of a kernel, but for states that only follow the parameter."""
    rows = kernel.row_values()  # one number for a whole row
    states = [state for state in kernel.present if not state.scalar]
    names = [kernel.rule.parameter.name, kernel.rule.gradient.name, *(state.name for state in states)]
    widths = [parameter, parameter, *(state_width(state, parameter) for state in states)]
    passes = []
    for phase in kernel.phases:
        reads = {names.index(s.name) for s in phase.reads() if s.rate is Rate.ELEMENT and s not in rows}
        writes = {names.index(symbol.name) for symbol in phase.stores}
        kinds = (reads - writes, reads & writes, writes - reads)
        passes.append(Pass(*(tuple(sorted(numbers)) for numbers in kinds)))
    whole = any(phase.reductions for phase in kernel.phases)
    return Streams(tuple(names), tuple(widths), tuple(passes), whole)
