"""`optdsl bench` as it is typed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from optdsl.bench import command, machine, pair, peers, timing
from optdsl.bench.data import Contestant

from .support import invoke, results, row

DOUBLES = """\
rule Doubles(x, g)

update
  x' = x - 2*g
"""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "REST", 0.0)


def test_it_times_prints_and_keeps(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    against = "floor,numpy-hand,numpy-out"
    result = invoke(
        "adam", "lion", "--size", "1000", "--size", "10x100", "--rounds", "2", "--against", against, "--json", str(file)
    )
    assert (result.exit_code, result.stderr) == (0, "")
    found = json.loads(file.read_text(encoding="utf-8"))
    by_pair: dict[tuple[str, str], set[str]] = {}
    for one in found["rows"]:
        by_pair.setdefault((one["rule"], one["size"]), set()).add(one["contestant"])
        assert 0 < one["first_quartile"] <= one["median"] <= one["third_quartile"]
        assert one["samples"] == 2
        assert one["agrees"] is not False
        assert not one["note"]
    assert list(by_pair) == [("adam", "1000"), ("adam", "10x100"), ("lion", "1000"), ("lion", "10x100")]
    assert {"numpy", "numpy-hand", "numpy-out"} <= by_pair["adam", "1000"]
    assert "numpy-hand" not in by_pair["lion", "1000"]
    assert "numpy-hand, numpy-out left out of lion: without this rule" in found["left_out"]
    assert found["machine"]["packages"]["numpy"]
    assert "adam, 10x100: 10 tensors, 1,000 elements, 28 bytes moved for each" in result.stdout
    again = invoke("--from", str(file))
    assert again.exit_code == 0
    assert again.stdout.count("optdsl numpy") == 4


def test_installed_peers_take_part_by_default(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    result = invoke("momentum", "--size", "10x100", "--rounds", "1", "-t", "numpy", "--json", str(file))
    assert result.exit_code == 0
    found = {one["contestant"] for one in json.loads(file.read_text(encoding="utf-8"))["rows"]}
    expected = {peer.name for peer in peers.PEERS if peer.usual and not peer.missing}
    assert found - {"floor"} == {"numpy", *expected} - {"floor"}


def test_a_file_and_fresh_gradients(target: str, tmp_path: Path) -> None:
    rule = tmp_path / "doubles.opt"
    rule.write_text(DOUBLES, encoding="utf-8")
    result = invoke(
        str(rule), "-t", target, "--size", "100", "--rounds", "1", "--gradients", "both", "--against", "numpy-hand"
    )
    assert (result.exit_code, result.stderr) == (0, "")
    assert "100: 1 tensor, 100 elements, 12 bytes moved for each\n" in result.stdout
    assert "moved for each, fresh gradients at every step\n" in result.stdout
    assert result.stdout.count("they are known to have bundled rules only") == 1


def test_who_computes_something_else_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(peers.BY_HAND["numpy-hand"], "adam", peers.BY_HAND["numpy-hand"]["momentum"])
    result = invoke("adam", "-t", "numpy", "--size", "1000", "--rounds", "1", "--against", "numpy-hand,numpy-out")
    assert result.exit_code == 0
    assert "numpy-hand*" in result.stdout
    assert "numpy-hand: computes something else: after 5 steps it is" in result.stdout
    assert "numpy-out*" not in result.stdout


def test_a_peer_that_fails_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(data: object) -> Contestant:
        raise RuntimeError("it is [broken]\nsecond line")

    monkeypatch.setitem(peers.BY_HAND["numpy-hand"], "adam", fail)
    result = invoke("adam", "-t", "numpy", "--size", "100", "--rounds", "1", "--against", "numpy-hand")
    assert result.exit_code == 0
    assert "numpy-hand left out of adam: RuntimeError: it is [broken]\n" in result.stdout


def test_extraordinary_numbers_are_told(tmp_path: Path) -> None:
    rule = tmp_path / "explodes.opt"
    rule.write_text("rule Explodes(x, g)\n\nupdate\n  x' = 1e9*x\n", encoding="utf-8")
    result = invoke(str(rule), "-t", "numpy", "--size", "100", "--rounds", "1", "--against", "none")
    assert "optdsl numpy: its parameters end as infinities, NaN or subnormal numbers" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["adm"], "did you mean 'adam'?"),
        (["no.opt"], "no.opt"),
        (["adam", "--size", "big"], "'big' is no size"),
        (["adam", "--against", "torch-fussed"], "did you mean 'torch-fused'?"),
        (["adam", "-t", "cc"], "there is no target 'cc'"),
        (["adam", "--rounds", "0"], "--rounds 0 is below 1"),
        (["adam", "--threads", "0"], "--threads 0 is not from 1"),
        (["adam", "--json", "no/folder/a.json"], "there is no folder"),
        (["--from", "no.json"], "no.json"),
        (["adam", "--size", "100000x64M"], "GiB are free"),
    ],
)
def test_wrong_usage(arguments: list[str], words: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--all", "adam"], ["--from", "a.json", "adam"], ["--gradients", "none"]])
def test_contradictions(arguments: list[str]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr


def test_a_rule_with_errors_is_a_finding(tmp_path: Path) -> None:
    rule = tmp_path / "wrong.opt"
    rule.write_text("rule Wrong(x, g)\n\nupdate\n  x' = x - lr*g\n", encoding="utf-8")
    result = invoke(str(rule), "--size", "10", "--against", "none")
    assert result.exit_code == 1
    assert "undefined-name" in result.stderr


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTDSL_CC", "no-such-compiler")
    asked = invoke("adam", "-t", "c", "--size", "10")
    assert asked.exit_code == 3
    assert "no-such-compiler" in asked.stderr
    usual = invoke("adam", "--size", "10", "--rounds", "1", "--against", "floor")
    assert usual.exit_code == 0
    assert "c left out: no C compiler was found" in usual.stdout
    assert "floor left out of adam: no C compiler was found" in usual.stdout
    assert "optdsl numpy" in usual.stdout


def test_what_does_not_fit_is_refused_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "memory", lambda key="MemAvailable": 2**30)
    monkeypatch.setattr(pair, "run", lambda *arguments, **more: pytest.fail("it was run"))
    result = invoke("adam", "-t", "numpy", "--against", "none", "--size", "64M")
    assert result.exit_code == 2
    assert "adam at 64M takes about 1.9 GiB with 1 contestant, and 1.0 GiB are free" in result.stderr


def test_threads_are_limited_for_the_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []
    monkeypatch.delenv("OPTDSL_NUM_THREADS", raising=False)
    before = os.sched_getaffinity(0) if sys.platform == "linux" else set()

    def run(*arguments: object, **more: object) -> tuple[list[object], list[str]]:
        seen.append(os.environ.get("OPTDSL_NUM_THREADS"))
        if sys.platform == "linux":
            assert len(os.sched_getaffinity(0)) == 1
        return [row("adam", "numpy", 1.0)], []

    monkeypatch.setattr(pair, "run", run)
    result = invoke("adam", "-t", "numpy", "--size", "10", "--threads", "1")
    assert result.exit_code == 0
    assert seen == ["1"]
    assert os.environ.get("OPTDSL_NUM_THREADS") is None
    assert not before or os.sched_getaffinity(0) == before


def test_results_are_drawn_again(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    file, picture = tmp_path / "results.json", tmp_path / "results.svg"
    file.write_text(results().text(), encoding="utf-8")
    result = invoke("--from", str(file), "--plot", str(picture))
    assert result.exit_code == 0
    assert result.stdout.endswith(f"picture: {picture}\n")
    assert "<svg" in picture.read_text(encoding="utf-8")


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = invoke("adam", "--plot", str(tmp_path / "a.svg"))
    assert (result.exit_code, result.stdout) == (3, "")
    assert "pip install 'optdsl[plot]'" in result.stderr


def test_a_peer_that_is_not_usual_has_to_be_named() -> None:
    assert "torch-compiled" not in [peer.name for peer in peers.asked(None)[0]]
    assert "torch-compiled" in " ".join(invoke("--help").stdout.split())


def test_the_handful_is_timed_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []

    def run(sources: list[tuple[str, object]], options: command.Options) -> None:
        names.extend(name for name, _ in sources)

    monkeypatch.setattr(command, "run", run)
    assert invoke().exit_code == 0
    assert names == list(peers.HANDFUL)
    names.clear()
    assert invoke("--all").exit_code == 0
    assert len(names) > 100
