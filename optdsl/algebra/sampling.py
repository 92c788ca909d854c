"""Trying a statement at points: whether it is false at one of them, and which is the simplest.

Points are tried in float64, many elements at once. A difference counts only where 50-digit arithmetic shows it too,
and where no rounding can have made it (`twofold.py`); at some points 50-digit arithmetic looks for what float64 would
hide.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optdsl.algebra.points import Course, Point, courses, hypers_at, literals, outcomes, points
from optdsl.algebra.systems import Domain, System
from optdsl.algebra.twofold import Doubtful, Twofold, digits
from optdsl.ir.arithmetic import Arrays
from optdsl.ir.evaluate import Outcome

CLEAR = 1e-9
"""Relative difference that shows in float64."""
VISIBLE = 1e-6
"""Difference, relative to the start too, that shows in a few digits; such points come first among as many steps."""
ROUNDING = 1e-25
"""Relative difference that 50-digit arithmetic may show between equal numbers."""
SUSPECTS = 6
"""Elements of a course that are looked at in 50 digits where float64 shows a difference."""
MIXED = 8
"""One in so many courses is tried at each point after the first."""


@dataclass(frozen=True)
class Difference:
    """A point at which two parameters part, after the last step of `course`; the smallest rank is the simplest."""

    rank: tuple[Any, ...]
    point: Point
    course: Course
    element: int
    values: tuple[float, float]
    outcomes: tuple[Outcome, Outcome] = field(repr=False)


@dataclass
class Trial:
    """What trying found.

    `points` counts the points at which both parameters were numbers after some step, `slight` is the largest relative
    difference that only 50-digit arithmetic shows.
    """

    points: int = 0
    found: Difference | None = None
    slight: float = 0.0

    @property
    def settled(self) -> bool:
        """Whether nothing simpler can be found: a plain difference after one step, at an earlier point than others."""
        return self.found is not None and self.found.rank[:3] == (1, False, False)


@dataclass(frozen=True)
class Sampler:
    """Tries whether two parameters agree, or, where `climbing`, whether the first is no higher along the gradient.

    `one_sided` says that they differ where only one of them is a number.
    """

    first: System
    second: System
    domain: Domain
    steps: int
    climbing: bool = False
    one_sided: bool = False

    def run(self, late: Callable[[], bool]) -> Trial:
        """Try every point, in order; stop early where `late` says that the time is up."""
        result = Trial()
        near = literals((self.first, self.second))
        every = courses(self.steps, self.first.reduces or self.second.reduces, near)
        for place, point in enumerate(points(self.domain)):
            if any(hypers_at(system, point) is None for system in (self.first, self.second)):
                continue
            # Where elements mix there are many courses: all of them at the defaults, some at each other point.
            for i, course in enumerate(every if place == 0 else every[place % MIXED :: MIXED] or every):
                self._try(point, course, place, result, exactly=i % MIXED == 0)
            if late() or result.settled:
                break
        return result

    def _try(self, point: Point, course: Course, place: int, result: Trial, *, exactly: bool) -> None:
        floats = Arrays(np.float64)
        tried = np.zeros(len(course), bool)
        runs = (outcomes(system, point, course, floats) for system in (self.first, self.second))
        for k, (one, other) in enumerate(zip(*runs, strict=True), 1):
            if result.found is not None and k > result.found.rank[0]:
                break
            a, b = one.parameter, other.parameter
            finite = np.isfinite(a) & np.isfinite(b)
            tried |= finite
            for rank, element in self._suspects(a, b, course, k, place):
                if result.found is not None and rank >= result.found.rank:
                    break
                self._look(point, course.cut(k, self._alone(element)), element, rank, result)
        result.points += int(tried.sum())
        if result.found is None and exactly:
            element = (len(course) - 1 - place) % len(course)  # the last elements are random
            self._look(point, course.cut(self.steps, self._alone(element)), element, (self.steps,), result)

    def _alone(self, element: int) -> int | None:
        """Return an element that can be looked at by itself; None where elements mix."""
        return None if self.first.reduces or self.second.reduces else element

    def _suspects(self, a: Any, b: Any, course: Course, k: int, place: int) -> list[tuple[tuple[Any, ...], int]]:
        """Return the simplest elements that differ after step k, each after its rank."""
        finite = np.isfinite(a) & np.isfinite(b)
        with np.errstate(all="ignore"):
            distance, size = np.abs(a - b), np.maximum(np.abs(a), np.abs(b))
            apart = finite & (distance > CLEAR * size)
            plain = distance > VISIBLE * np.maximum(size, np.abs(course.starts))
            if self.climbing:
                apart &= (a - b) * np.array(course.gradients[k - 1]) > 0
            elif self.one_sided:
                apart |= np.isfinite(a) != np.isfinite(b)
        ranks = [
            ((k, not finite[e], not plain[e], place, len(course), course.rank(e, k)), e)
            for e in np.flatnonzero(apart).tolist()
        ]
        return sorted(ranks)[:SUSPECTS]

    def _look(self, point: Point, course: Course, element: int, rank: tuple[Any, ...], result: Trial) -> None:
        """Look at one point in 50 digits: note a difference that float64 shows too, or how large a slight one is."""
        context = digits().context
        place = 0 if len(course) == 1 else element
        runs = [list(outcomes(system, point, course, digits())) for system in (self.first, self.second)]
        peak = abs(course.starts[place])
        real: list[bool] | None = None
        for k, (one, other) in enumerate(zip(*runs, strict=True)):
            a, b = one.parameter[place], other.parameter[place]
            away = math.inf
            if context.isfinite(a) and context.isfinite(b):
                scale = max(abs(a), abs(b))
                peak = max(peak, scale)
                if self.climbing and (a - b) * context.mpf(repr(course.gradients[-1][place])) <= 0:
                    continue
                if abs(a - b) <= CLEAR * scale or abs(a - b) <= ROUNDING * peak:
                    away = float(abs(a - b) / max(peak, 1e-10))
            elif not self.one_sided or context.isfinite(a) == context.isfinite(b):
                continue
            if away <= ROUNDING:
                continue
            if real is None:
                real = self._real(point, course, place)
            if k >= len(real) or not real[k]:
                continue
            if math.isfinite(away):
                result.slight = max(result.slight, away)
            elif len(rank) > 1 and one is runs[0][-1]:
                shown = self._in_floats(point, course, place)
                result.found = Difference(rank, point, course, place, shown, (one, other))
            else:
                result.slight = math.inf

    def _real(self, point: Point, course: Course, element: int) -> list[bool]:
        """Return for each step whether the parameters differ by more than rounding, up to where rounding decides."""
        arithmetic = Twofold()
        found: list[bool] = []
        runs = (outcomes(system, point, course, arithmetic) for system in (self.first, self.second))
        with suppress(Doubtful):
            for one, other in zip(*runs, strict=True):
                away = arithmetic.apart(one.parameter[element], other.parameter[element])
                found.append(away != 0 and (not self.climbing or away * course.gradients[-1][element] > 0))
        return found

    def _in_floats(self, point: Point, course: Course, element: int) -> tuple[float, float]:
        runs = (list(outcomes(system, point, course, Arrays(np.float64))) for system in (self.first, self.second))
        first, second = (float(run[-1].parameter[element]) for run in runs)
        return first, second
