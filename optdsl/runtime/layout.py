"""How the leaves of a step on NumPy are divided: shared among threads, gathered in an arena, or one by one."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from optdsl.runtime.arena import SMALL_BYTES, Arena, Gathered, Signature, Tensors
from optdsl.runtime.blocks import BLOCK, BLOCK_BYTES
from optdsl.runtime.crew import MOST_THREADS
from optdsl.runtime.half import working
from optdsl.runtime.kernel import Leaf

WORTH = 1 << 20
"""Elements for which a Python thread is worth starting."""

SHARES = 4
"""Parts that each thread would get if all were equal: they even out what else the processors do."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a leaf, or a whole one: its place among the gradients of a step, and the elements."""

    place: int
    elements: slice
    whole: bool


@dataclass(slots=True)
class Layout:
    """The leaves of a step, by their places among its gradients: batches, large ones, and the rest."""

    batches: list[Gathered] = field(default_factory=list)
    large: list[tuple[int, int]] = field(default_factory=list)
    """Places and sizes of the leaves that threads may share."""
    single: list[int] = field(default_factory=list)
    longest: int = 0
    """The most elements that are stepped at once."""


def lay_out(leaves: Sequence[Leaf], states: Sequence[Tensors], keys: Sequence[Hashable], arena: Arena | None) -> Layout:
    """Divide the leaves of a step, which have equal keys where they are stepped with the same numbers.

    Args:
        leaves: Those that are stepped.
        states: Their flat states.
        keys: What a common call of a step function must have in common.
        arena: Where small leaves are gathered; None to leave each by itself.
    """
    layout = Layout(longest=max((leaf.flat.size for leaf in leaves), default=0))
    waiting: dict[tuple[Hashable, Signature], list[int]] = {}
    held: dict[tuple[Hashable, Signature], int] = {}

    def close(key: tuple[Hashable, Signature]) -> None:
        places = waiting.pop(key)
        if arena is None or len(places) == 1:
            layout.single.extend(places)
            return
        members = [leaves[place] for place in places]
        layout.batches.append(Gathered(arena, key[1], places, members, [states[place] for place in places]))
        layout.longest = max(layout.longest, layout.batches[-1].size)

    for place, leaf in enumerate(leaves):
        size = leaf.flat.size * working(leaf.flat.dtype).itemsize
        if size >= BLOCK_BYTES:
            layout.large.append((place, leaf.flat.size))
            continue
        if arena is None or size > SMALL_BYTES:
            layout.single.append(place)
            continue
        key = keys[place], Signature.of(leaf, states[place])
        if key in waiting and held[key] + leaf.flat.size > key[1].capacity:
            close(key)
        if key not in waiting:
            waiting[key], held[key] = [], 0
        waiting[key].append(place)
        held[key] += leaf.flat.size
    for key in list(waiting):
        close(key)
    return layout


def workers_for(sizes: Sequence[int], allowed: int) -> int:
    """Return how many threads are worth their start for large pieces of work of these sizes."""
    return max(1, min(allowed, MOST_THREADS, sum(sizes) // WORTH))


def divide(large: Sequence[tuple[int, int]], grains: Sequence[int] | None, allowed: int) -> tuple[list[Part], int]:
    """Divide large leaves into parts for some threads, and return for how many.

    Parts are of whole blocks, rounded up to whole grains: elements of a leaf that aren't separated. None leaves leaves
    whole.
    """
    sizes = [size for _, size in large]
    workers = workers_for(sizes, allowed)
    share = max(1, sum(sizes) // (workers * SHARES * BLOCK)) * BLOCK
    parts: list[Part] = []
    for (place, size), grain in zip(large, grains or sizes, strict=True):
        length = -(-share // grain) * grain if grains and workers > 1 else size
        stops = ((start, min(start + length, size)) for start in range(0, size, length))
        parts += [Part(place, slice(start, stop), length >= size) for start, stop in stops]
    return parts, max(1, min(workers, len(parts)))
