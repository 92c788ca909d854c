"""One function over many items in several processes."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from optdsl import workers


def tell(number: int) -> tuple[int, int]:
    """Return a number and the process that was asked; the later ones are the faster ones."""
    time.sleep(0.05 * max(0, 3 - number))
    return number, os.getpid()


def refuse(number: int) -> int:
    """Fail at the number 2."""
    if number == 2:
        raise ValueError(f"{number} in {'this process' if multiprocessing.parent_process() is None else 'another'}")
    return number


def die(number: int) -> int:
    """End the process at the number 2, unless it is the first one."""
    if number == 2 and multiprocessing.parent_process() is not None:
        os._exit(9)
    return number


def linger(folder: str, number: int) -> int:
    """Put a file into a folder, and take it out again only after a long time or at an orderly end."""
    path = Path(folder) / str(os.getpid())
    path.touch()
    try:
        time.sleep(0 if number == 0 else 60)
    finally:
        path.unlink()
    return number


def test_results_come_in_the_order_of_the_items_from_other_processes() -> None:
    results = list(workers.each(tell, range(8), 2))
    assert [number for number, _ in results] == list(range(8))
    assert os.getpid() not in {process for _, process in results}
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(("items", "jobs"), [(8, 1), (2, 2), (0, 2)])
def test_little_work_starts_no_process(items: int, jobs: int) -> None:
    assert list(workers.each(tell, range(items), jobs)) == [(number, os.getpid()) for number in range(items)]


def test_an_error_is_the_one_of_this_process_after_the_results_before_it() -> None:
    results = workers.each(refuse, range(5), 2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="2 in this process"):
        next(results)
    assert multiprocessing.active_children() == []


def test_the_work_of_a_process_that_dies_is_done_here() -> None:
    assert list(workers.each(die, range(6), 2)) == list(range(6))


def test_a_function_that_cannot_be_sent_is_called_here() -> None:
    assert list(workers.each(lambda number: number + 1, range(4), 2)) == [1, 2, 3, 4]


def test_processes_that_are_closed_clean_up(tmp_path: Path) -> None:
    results = workers.each(functools.partial(linger, str(tmp_path)), range(4), 2)
    assert next(results) == 0
    until = time.monotonic() + 20
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    assert len(list(tmp_path.iterdir())) == 2, "both processes are at work"
    results.close()
    assert list(tmp_path.iterdir()) == []
    assert multiprocessing.active_children() == []


PROGRAM = """
import functools, sys
sys.path.insert(0, {tests!r})
from optdsl import workers
import test_workers
if __name__ == "__main__":
    try:
        list(workers.each(functools.partial(test_workers.linger, {folder!r}), range(1, 5), 2))
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C and kill are signals on POSIX alone")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_process_and_no_file_is_left_behind(tmp_path: Path, how: signal.Signals) -> None:
    folder = tmp_path / "left"
    folder.mkdir()
    script = tmp_path / "program.py"
    script.write_text(PROGRAM.format(tests=str(Path(__file__).parent), folder=str(folder)), encoding="utf-8")
    program = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    until = time.monotonic() + 30
    while len(list(folder.iterdir())) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    processes = [int(path.name) for path in folder.iterdir()]
    assert len(processes) == 2
    if how == signal.SIGINT:
        os.killpg(program.pid, how)  # as a terminal does: to every process of the group
    else:
        program.kill()
    output, errors = program.communicate(timeout=30)
    if how == signal.SIGINT:
        assert (output, errors) == ("interrupted\n", "")
    while any(map(alive, processes)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(map(alive, processes))
    assert list(folder.iterdir()) == []


def alive(process: int) -> bool:
    """Return whether there is a process that has not ended."""
    state = Path(f"/proc/{process}/stat")
    if state.parent.parent.exists() and not state.exists():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return not (state.exists() and state.read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z")
