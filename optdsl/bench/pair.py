"""One measurement: a rule at a size, on our targets, beside its floor and the peers that have it."""

from __future__ import annotations

import gc
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from optdsl.bench import peers, timing
from optdsl.bench.data import Array, Contestant, Data, distance, largest, ordinary
from optdsl.bench.ours import Floor, Rule
from optdsl.bench.results import Row
from optdsl.bench.sizes import Size
from optdsl.bench.streams import Streams
from optdsl.runtime import toolchain
from optdsl.runtime.optimizer import Optimizer

RELATIVE, OF_THE_WAY = 3e-5, 0.02
"""How far apart two may be after the first steps: as a share of the largest parameter, and of how far it has come."""
TEMPORARIES = 4
"""Arrays of parameter size that the contestant that steps may need for a while."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Subject:
    """A rule that is timed: as it was asked for, its streams, the classes compiled from it by target."""

    name: str
    bundled: str | None
    streams: Streams
    compiled: Mapping[str, type[Optimizer]]


@dataclass
class _Pair:
    """The contestants that are there, and why others aren't."""

    there: dict[str, Contestant] = field(default_factory=dict)
    estimates: dict[str, float] = field(default_factory=dict)
    agrees: dict[str, bool | None] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def having(subject: Subject, against: Sequence[peers.Peer]) -> list[peers.Peer]:
    """Return the peers that have a rule; the floor has every rule."""
    known = subject.bundled
    return [
        peer for peer in against
        if peer.name == peers.FLOOR or (known is not None and peers.theirs(peer.name, known) is not None)
    ]  # fmt: skip


def _lacking(subject: Subject, absent: Sequence[peers.Peer]) -> list[str]:
    """Return the line that tells which peers lack a rule, if any do."""
    names = ", ".join(peer.name for peer in absent)
    if not names:
        return []
    if subject.bundled is None:
        return [f"{names} left out of {subject.name}: they are known to have bundled rules only"]
    return [f"{names} left out of {subject.name}: without this rule"]


def needed(subject: Subject, size: Size, contestants: int, fresh: bool) -> int:
    """Return about how many bytes a measurement takes with all contestants' arrays in memory at once."""
    return size.elements * (contestants * (subject.streams.held + 4 * fresh) + 4 * TEMPORARIES)


def run(
    subject: Subject, size: Size, against: Sequence[peers.Peer], *, fresh: bool, rounds: int | None, seed: int,
    say: Say = lambda line: None,
) -> tuple[list[Row], list[str]]:  # fmt: skip
    """Time a rule at a size; return the rows, and a line about each contestant that is left out.

    `say` is told what is being done. Raises ToolchainError, or MemoryError, where our own can't be made.
    """
    data = Data(size.shapes, fresh)
    present = having(subject, against)
    pair = _Pair(left_out=_lacking(subject, [peer for peer in against if peer not in present]))
    with _quiet():
        for target, optimizer in subject.compiled.items():
            say(f"optdsl {target}")
            _add(pair, target, Rule(optimizer, data), fresh)
        for peer in present:
            say(peer.name)
            _invite(pair, peer, subject, data, fresh)
        _compare(pair, subject, data)
        for contestant in pair.there.values():
            contestant.step()  # what was looked at may have been held back from being taken over
        number = rounds or timing.rounds_for(pair.estimates)
        done = iter(range(1, number + 1))
        times = timing.measure(
            pair.there, pair.estimates, number, fresh, seed, lambda: say(f"round {next(done)} of {number}")
        )
    for name, contestant in pair.there.items():
        if not ordinary(contestant.parameters()):
            pair.notes[name] = "its parameters end as infinities, NaN or subnormal numbers"
    rows = [_row(subject, size, name, times[name], fresh, pair) for name in times]
    pair.there.clear()
    gc.collect()
    return rows, pair.left_out


def _row(subject: Subject, size: Size, name: str, times: list[float], fresh: bool, pair: _Pair) -> Row:
    spread = timing.Spread.of(times)
    return Row(
        rule=subject.name, size=size.name, tensors=size.tensors, elements=size.elements,
        gradients="fresh" if fresh else "same", contestant=name, median=spread.median, first_quartile=spread.first,
        third_quartile=spread.third, samples=len(times), bytes=subject.streams.moved, agrees=pair.agrees.get(name),
        note=pair.notes.get(name, ""),
    )  # fmt: skip


def _add(pair: _Pair, name: str, contestant: Contestant, fresh: bool) -> None:
    pair.estimates[name] = timing.warm_up(contestant, fresh)
    pair.there[name] = contestant


def _invite(pair: _Pair, peer: peers.Peer, subject: Subject, data: Data, fresh: bool) -> None:
    """Add a peer, or say why it can't take part; what a library raises must not end the run."""
    try:
        if peer.name == peers.FLOOR:
            ours = pair.there["c" if "c" in pair.there else next(iter(pair.there))]
            assert isinstance(ours, Rule)
            _add(pair, peer.name, Floor(subject.streams, ours), fresh)
        else:
            assert subject.bundled is not None
            _add(pair, peer.name, peers.make(peer.name, subject.bundled, data), fresh)
    except (toolchain.ToolchainError, OSError) as error:
        pair.left_out.append(f"{peer.name} left out of {subject.name}: {_first_line(error)}")
    except Exception as error:
        pair.left_out.append(f"{peer.name} left out of {subject.name}: {type(error).__name__}: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]


def _compare(pair: _Pair, subject: Subject, data: Data) -> None:
    """Find out who has come to the same parameters as the first of ours, after as many steps."""
    first = next(iter(subject.compiled), None)
    if first is None:
        return
    expected = pair.there[first].parameters()
    allowed = _allowed(expected, data)
    for name, contestant in pair.there.items():
        differs = _differs(name, subject)
        if name in (first, peers.FLOOR):
            continue
        if differs:
            pair.notes[name] = f"another rule: {differs}"
            continue
        away = distance(contestant.parameters(), expected)
        pair.agrees[name] = away <= allowed
        if not pair.agrees[name]:
            shown = "NaN" if math.isnan(away) else f"{away:.1e} away"
            pair.notes[name] = f"computes something else: after {timing.WARM_UP} steps it is {shown}"


def _differs(name: str, subject: Subject) -> str:
    if name in subject.compiled or name == peers.FLOOR or subject.bundled is None:
        return ""
    found = peers.theirs(name, subject.bundled)
    return found.differs if found else ""


def _allowed(expected: Sequence[Array], data: Data) -> float:
    """Return how far apart two may be that compute the same in another order."""
    size = largest(expected)
    moved = distance(data.parameters(), expected)
    return max(min(RELATIVE * size, OF_THE_WAY * moved), 1e-6)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep libraries from warning about what is none of the user's doing."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
