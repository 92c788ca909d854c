"""Timing: who is called when. No test depends on how long anything takes."""

from __future__ import annotations

import gc
from collections.abc import Sequence

import pytest

from optdsl.bench import timing
from optdsl.bench.data import Array


class Logged:
    """A contestant that writes down what it is asked for."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log

    def step(self) -> object:
        self.log.append(self.name + ("!" if gc.isenabled() else ""))
        return None

    def renew(self) -> None:
        self.log.append(f"renew {self.name}")

    def parameters(self) -> Sequence[Array]:
        return []


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "REST", 0.0)


def measured(rounds: int, seed: int, fresh: bool = False) -> tuple[list[str], timing.Times]:
    log: list[str] = []
    contestants = {name: Logged(name, log) for name in ("a", "b", "c", "d")}
    times = timing.measure(contestants, dict.fromkeys(contestants, 1.0), rounds, fresh, seed)
    return log, times


def test_each_round_has_everyone_once_in_an_order_of_its_own() -> None:
    log, times = measured(rounds=8, seed=0)
    rounds = [tuple(log[i : i + 4]) for i in range(0, len(log), 4)]
    assert len(rounds) == 8
    assert all(sorted(one) == ["a", "b", "c", "d"] for one in rounds)
    assert len(set(rounds)) > 3
    assert measured(rounds=8, seed=0)[0] == log != measured(rounds=8, seed=1)[0]
    assert {name: len(values) for name, values in times.items()} == dict.fromkeys("abcd", 8)


def test_fresh_gradients_come_before_each_step() -> None:
    log, _ = measured(rounds=2, seed=0, fresh=True)
    assert len(log) == 16
    assert all(log[i] == f"renew {log[i + 1]}" for i in range(0, 16, 2))


def test_the_collector_rests_meanwhile_and_is_on_again() -> None:
    log, _ = measured(rounds=1, seed=0)
    assert not any(entry.endswith("!") for entry in log)
    assert gc.isenabled()


def test_a_fast_contestant_makes_several_steps_a_sample() -> None:
    log: list[str] = []
    times = timing.measure({"a": Logged("a", log)}, {"a": timing.SAMPLE / 4}, rounds=3, fresh=False, seed=0)
    assert (len(log), len(times["a"])) == (12, 3)
    assert timing.steps_for(1e-9) == timing.MOST_STEPS
    assert timing.steps_for(1.0) == 1


@pytest.mark.parametrize(("seconds", "rounds"), [(1e-6, timing.MOST), (0.1, 27), (0.4, 7), (10.0, timing.FEWEST)])
def test_rounds_fit_into_the_time(seconds: float, rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "REST", 0.01)
    assert timing.rounds_for({"fast": 1e-6, "slow": seconds}) == rounds


def test_the_first_steps_renew_where_gradients_are_fresh() -> None:
    log: list[str] = []
    assert timing.warm_up(Logged("a", log), fresh=True) >= 0
    assert log == ["renew a", "a!"] * timing.WARM_UP


def test_quartiles() -> None:
    assert timing.Spread.of([5.0, 1.0, 3.0, 2.0, 4.0]) == timing.Spread(3.0, 2.0, 4.0)
    assert timing.Spread.of([7.0]) == timing.Spread(7.0, 7.0, 7.0)
