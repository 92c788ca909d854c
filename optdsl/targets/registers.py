"""Where the values of a straight run of array operations live: the fewest scratch arrays, and the tensors themselves.

Operations are numbered by time; the two arms of a branch end at the same time. A value is alive from its first
definition to its last use, and two values share an array where they are never alive together. A tensor's new value is
computed into the tensor itself where nothing reads the old one later, and copied there at the end elsewhere. From the
last use of its old value until then, the tensor holds intermediates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Place:
    """The block of a tensor of the rule; `foreign` where its element type may not be that of the arithmetic."""

    name: str
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar, as text."""

    text: str


@dataclass(frozen=True, slots=True)
class Value:
    """A value that is computed; `mask` for truth values; `home` is the tensor it is finally stored in, if any."""

    number: int
    mask: bool = False
    home: Place | None = None


Operand = Value | Place | Scalar

APART = frozenset({"select", "sign"})
"""Operations whose result is an array apart from their operands: `sign` takes ten times as long in place."""


@dataclass(frozen=True, slots=True)
class Step:
    """`result = ufunc(operands)`; `select` takes (mask, chosen, other)."""

    ufunc: str
    operands: tuple[Operand, ...]
    result: Value


@dataclass(frozen=True, slots=True)
class Copy:
    """`result = source`; where `alias`, another name will do instead of a copy."""

    source: Operand
    result: Value
    alias: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """A branch on a scalar condition, both arms of which leave their value in `result`."""

    condition: str
    then: Block
    other: Block
    result: Value


@dataclass(frozen=True, slots=True)
class Instruction:
    """A reduction of blocks into a scalar variable."""

    function: str
    operands: tuple[Operand, ...]
    target: str


@dataclass(slots=True)
class Block:
    """Operations in order. `notes` are comments to print before the operation of that number."""

    items: list[Step | Copy | Choice | Instruction] = field(default_factory=list)
    notes: dict[int, list[str]] = field(default_factory=dict)

    def add(self, item: Step | Copy | Choice | Instruction) -> None:
        """Append an operation."""
        self.items.append(item)


@dataclass(slots=True)
class Plan:
    """Where each value lives, by its number.

    `w:i` and `k:i` are scratch arrays of numbers and truth values, `home:x` is a tensor, `variable:n` a name that is
    bound to one array or another. For a variable, the entry under its negated number is the array it may be computed
    into.
    """

    names: dict[int, str]
    numbers: int
    masks: int


@dataclass(slots=True)
class _Life:
    first: int
    last: int


def _duration(block: Block) -> int:
    return sum(
        max(1, _duration(item.then), _duration(item.other)) if isinstance(item, Choice) else 1 for item in block.items
    )


def timed(block: Block, start: int = 0) -> Iterator[tuple[int, Step | Copy | Instruction]]:
    """Yield the operations of a block and its branches with their times."""
    time = start
    for item in block.items:
        if isinstance(item, Choice):
            end = time + max(1, _duration(item.then), _duration(item.other))
            for arm in (item.then, item.other):
                yield from timed(arm, end - _duration(arm))
            time = end
        else:
            yield time, item
            time += 1


def _operands(item: Step | Copy | Instruction) -> tuple[Operand, ...]:
    return (item.source,) if isinstance(item, Copy) else item.operands


def allocate(block: Block) -> Plan:
    """Give every value of a block an array."""
    items = list(timed(block))
    lives, old = _lives(items)
    allocator = _Allocator(lives, old)
    plan = allocator.plan
    aliased = {item.result for _, item in items if isinstance(item, Copy) and item.alias}
    computed: dict[Value, list[Step | Copy]] = {}
    for _, item in items:
        if not isinstance(item, Instruction):
            computed.setdefault(item.result, []).append(item)
    for value in sorted(lives, key=lambda value: (lives[value].first, value.number)):
        if value not in aliased:
            plan.names[value.number] = allocator.take(value)
            continue
        plan.names[value.number] = f"variable:{value.number}"
        if any(not (isinstance(item, Copy) and item.alias) for item in computed[value]):
            plan.names[-value.number] = allocator.take(value)
    return plan


def _lives(items: list[tuple[int, Step | Copy | Instruction]]) -> tuple[dict[Value, _Life], dict[str, int]]:
    """Return when each value is alive, and the last time each tensor's old content may be read."""
    lives: dict[Value, _Life] = {}
    reads: dict[Value | str, int] = {}
    aliases: list[tuple[Value, Value | str]] = []

    def read(operand: Operand, time: int) -> None:
        if not isinstance(operand, Scalar):
            key = operand.name if isinstance(operand, Place) else operand
            reads[key] = max(reads.get(key, 0), time)

    for time, item in items:
        late = isinstance(item, Step) and item.ufunc in APART
        for operand in _operands(item):
            # The result is written while operands are still to be read, which must outlive that.
            read(operand, time + late)
        if isinstance(item, Instruction):
            continue
        life = lives.setdefault(item.result, _Life(time, time))
        life.first, life.last = min(life.first, time), max(life.last, time)
        if isinstance(item, Copy) and item.alias and not isinstance(item.source, Scalar):
            aliases.append((item.result, item.source.name if isinstance(item.source, Place) else item.source))
    for result, source in reversed(aliases):
        reads[source] = max(reads.get(source, 0), reads.get(result, 0))
    end = max((time for time, _ in items), default=0) + 2
    for value, life in lives.items():
        life.last = end if value.home is not None else max(life.last, reads.get(value, 0))
    return lives, {name: last for name, last in reads.items() if isinstance(name, str)}


class _Allocator:
    """Hands out arrays, remembering when each is taken."""

    def __init__(self, lives: dict[Value, _Life], old: dict[str, int]) -> None:
        self.plan = Plan({}, 0, 0)
        self.lives = lives
        self.new: dict[Place, int] = {}
        for value, life in lives.items():
            if value.home is not None:
                self.new[value.home] = min(life.first, self.new.get(value.home, life.first))
        self.taken = {f"home:{place.name}": [_Life(-1, old.get(place.name, -1))] for place in self.new}

    def _free(self, array: str, life: _Life) -> bool:
        """Whether an array is free all along a life; it may be handed over within one operation."""
        return all(other.last <= life.first or other.first >= life.last for other in self.taken.get(array, ()))

    def take(self, value: Value) -> str:
        """Return an array for a value."""
        life = self.lives[value]
        for array in self._candidates(value):
            if self._free(array, life):
                self.taken.setdefault(array, []).append(life)
                return array
        letter = "k" if value.mask else "w"
        count = self.plan.masks if value.mask else self.plan.numbers
        if value.mask:
            self.plan.masks += 1
        else:
            self.plan.numbers += 1
        self.taken[f"{letter}:{count}"] = [life]
        return f"{letter}:{count}"

    def _candidates(self, value: Value) -> Iterator[str]:
        if value.home is not None:
            yield f"home:{value.home.name}"
        if value.mask:
            yield from (f"k:{index}" for index in range(self.plan.masks))
            return
        # A tensor whose old value was read for the last time holds intermediates until its new value comes.
        for place in sorted(self.new, key=lambda place: place.name):
            if not place.foreign and self.lives[value].last <= self.new[place]:
                yield f"home:{place.name}"
        yield from (f"w:{index}" for index in range(self.plan.numbers))
