"""The table of peers: everyone in it computes our rule, or says in what it is another."""

from __future__ import annotations

import os
import shutil

import pytest

from optdsl import bundled, load
from optdsl.bench import pair, peers
from optdsl.bench.data import Data, distance
from optdsl.bench.ours import Rule

SHAPES = ((33,), (7, 5), (1000,))
ENTRIES = [
    (peer.name, rule)
    for peer in peers.PEERS
    for rule in bundled.names()
    if peer.name != peers.FLOOR
    and peers.theirs(peer.name, rule) is not None
    and (peer.usual or rule in ("adam", "nesterov"))  # which takes long, and has the settings of another way
]


def test_rules_of_the_table_are_bundled() -> None:
    named = {*peers.TORCH, *peers.OPTAX, *peers.HANDFUL, *(rule for table in peers.BY_HAND.values() for rule in table)}
    assert named <= set(bundled.names())
    assert len(ENTRIES) > 60


def test_every_rule_of_the_handful_has_a_peer() -> None:
    for rule in peers.HANDFUL:
        assert any(peers.theirs(name, rule) for name in ("torch-for", "optax"))


def test_torch_is_fused_for_what_it_has_a_kernel_of() -> None:
    fused = {rule for name, rule in ENTRIES if name == "torch-fused"}
    assert fused == {"sgd", "momentum", "nesterov", "adam", "amsgrad", "adamw", "adagrad"}


@pytest.mark.parametrize("fresh", [False, True], ids=["same", "fresh"])
@pytest.mark.parametrize(("name", "rule"), ENTRIES)
def test_a_peer_computes_our_rule(name: str, rule: str, fresh: bool) -> None:
    missing = peers.BY_NAME[name].missing
    if missing:
        assert name == "numba" or not os.environ.get("OPTDSL_LIVE"), f"OPTDSL_LIVE asks for {missing}"
        pytest.skip(f"{' and '.join(missing)} isn't installed")
    if name == "torch-compiled" and not (os.environ.get("OPTDSL_LIVE") and shutil.which("g++")):
        pytest.skip("torch.compile needs g++ and takes 10 seconds and more; OPTDSL_LIVE asks for it")
    theirs = peers.theirs(name, rule)
    assert theirs is not None
    data = Data(SHAPES, fresh)
    ours = Rule(load(rule, target="numpy"), data)
    with pair._quiet():
        other = peers.make(name, rule, data)
        for _ in range(5):
            for contestant in (ours, other):
                contestant.renew()
                contestant.step()
    away = distance(other.parameters(), ours.parameters())
    moved = distance(ours.parameters(), data.parameters())
    if theirs.differs:
        assert away > 0.05 * moved, "it computes the same after all"
    else:
        assert away <= pair._allowed(ours.parameters(), data) <= 0.02 * moved


def test_peers_that_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda name: None if name in ("optax", "numba") else object())
    here, lines = peers.asked(None)
    assert [peer.name for peer in here] == [
        "torch-for", "torch-foreach", "torch-fused", "numpy-hand", "numpy-out", "floor",
    ]  # fmt: skip
    assert lines == ["optax left out: optax not installed", "numba left out: numba not installed"]
    assert "torch-compiled" in [peer.name for peer in peers.asked("all")[0]]
    assert [peer.name for peer in peers.asked("floor, torch-for")[0]] == ["torch-for", "floor"]
    assert peers.asked("none") == ([], [])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("torch", "there is no peer 'torch'"),
        ("torch-fusd", "did you mean 'torch-fused'?"),
        ("", "names no peer"),
        ("none,floor", "either none or names"),
    ],
)
def test_other_peers_are_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match="peer") as caught:
        peers.asked(text)
    assert words in str(caught.value)
