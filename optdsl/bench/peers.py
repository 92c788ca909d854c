"""Who else has a rule: under which name and with which settings, so that it computes the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any

from optdsl.bench import by_hand, with_optax, with_torch
from optdsl.bench.data import Contestant, Data
from optdsl.runtime.wording import suggestion

FLOOR = "floor"


@dataclass(frozen=True, slots=True)
class Peer:
    """A way of stepping beside ours. `usual` is False for one that is timed only where it is asked for by name."""

    name: str
    packages: tuple[str, ...]
    says: str
    usual: bool = True

    @property
    def missing(self) -> list[str]:
        """The packages it needs that aren't installed."""
        return [package for package in self.packages if find_spec(package) is None]


PEERS = (
    Peer("torch-for", ("torch",), "PyTorch, a loop over the tensors (foreach=False)"),
    Peer("torch-foreach", ("torch",), "PyTorch, an operation for all tensors at a time (foreach=True)"),
    Peer("torch-fused", ("torch",), "PyTorch's own kernel, where it has one (fused=True)"),
    Peer("torch-compiled", ("torch",), "torch.compile of opt.step, which takes 10 seconds and more", usual=False),
    Peer("optax", ("optax", "jax"), "optax, jitted, with donated arguments"),
    Peer("numpy-hand", (), "NumPy as it is usually written: states in place, temporaries for the rest"),
    Peer("numpy-out", (), "NumPy with out= everywhere"),
    Peer("numba", ("numba",), "an explicit loop compiled by numba"),
    Peer(FLOOR, (), "no arithmetic: the bytes of a step moved by a C kernel"),
)
BY_NAME = {peer.name: peer for peer in PEERS}


@dataclass(frozen=True, slots=True)
class Theirs:
    """A library's name of a rule, and its settings. `differs` says in what it is another rule, if it is."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    differs: str = ""


TORCH = {
    "sgd": Theirs("SGD", {"lr": 1e-3}),
    "momentum": Theirs("SGD", {"lr": 1e-3, "momentum": 0.9}),
    "nesterov": Theirs("SGD", {"lr": 1e-3, "momentum": 0.9, "nesterov": True}),
    "adam": Theirs("Adam", {"lr": 1e-3}),
    "amsgrad": Theirs("Adam", {"lr": 1e-3, "amsgrad": True}),
    "adamw": Theirs("AdamW", {"lr": 1e-3, "weight_decay": 1e-2}),
    "adamax": Theirs("Adamax", {"lr": 2e-3}),
    "nadam": Theirs("NAdam", {"lr": 2e-3}),
    "radam": Theirs("RAdam", {"lr": 1e-3}),
    "rmsprop": Theirs("RMSprop", {"lr": 1e-2}),
    "adagrad": Theirs("Adagrad", {"lr": 1e-2}),
    "adadelta": Theirs("Adadelta", {"lr": 1.0}),
    "rprop": Theirs("Rprop", {"lr": 1e-2}),
    "asgd": Theirs("ASGD", {"lr": 1e-2}),
}
OPTAX = {
    "sgd": Theirs("sgd", {"learning_rate": 1e-3}),
    "momentum": Theirs("sgd", {"learning_rate": 1e-3, "momentum": 0.9}),
    "nesterov": Theirs("sgd", {"learning_rate": 1e-3, "momentum": 0.9, "nesterov": True}),
    "adam": Theirs("adam", {"learning_rate": 1e-3}),
    "adamw": Theirs("adamw", {"learning_rate": 1e-3, "weight_decay": 1e-2}),
    "adamax": Theirs("adamax", {"learning_rate": 2e-3}),
    "nadam": Theirs("nadam", {"learning_rate": 2e-3}, "its momentum is constant"),
    "rmsprop": Theirs("rmsprop", {"learning_rate": 1e-2, "decay": 0.99, "eps_in_sqrt": False}),
    "adagrad": Theirs("adagrad", {"learning_rate": 1e-2, "initial_accumulator_value": 0.0, "eps": 1e-10}),
    "adadelta": Theirs("adadelta", {"learning_rate": 1.0}),
    "rprop": Theirs("rprop", {"learning_rate": 1e-2}, "its steps come one late"),
    "lion": Theirs("lion", {"learning_rate": 1e-4, "weight_decay": 0.0}),
    "adabelief": Theirs("adabelief", {"learning_rate": 1e-3}),
    "yogi": Theirs("yogi", {"learning_rate": 1e-2}),
    "lamb": Theirs("lamb", {"learning_rate": 1e-3}),
    "novograd": Theirs("novograd", {"learning_rate": 1e-3, "b1": 0.95, "b2": 0.98, "eps": 1e-8}),
    "fromage": Theirs("fromage", {"learning_rate": 1e-2, "min_norm": 0.0}),
    "signsgd": Theirs("sign_sgd", {"learning_rate": 1e-3}),
    "signum": Theirs("signum", {"learning_rate": 1e-3}),
    "ogd": Theirs("optimistic_gradient_descent", {"learning_rate": 1e-2}),
    "optax/nadam": Theirs("nadam", {"learning_rate": 1e-3}),
    "optax/rprop": Theirs("rprop", {"learning_rate": 1e-3}),
}
CHANGED = "it adds to the gradients it is given"
QUIRKS = {("torch-foreach", "nesterov"): CHANGED, ("torch-compiled", "nesterov"): CHANGED}
"""In what one way of a library is another rule than the others."""
BY_HAND: dict[str, dict[str, Callable[[Data], Contestant]]] = {
    "numpy-hand": {"adam": by_hand.Adam, "momentum": by_hand.Momentum},
    "numpy-out": {"adam": by_hand.AdamOut, "momentum": by_hand.MomentumOut},
    "numba": {"adam": by_hand.NumbaAdam, "momentum": by_hand.NumbaMomentum},
}
HANDFUL = (
    "adam", "adamw", "momentum", "rmsprop", "nadam", "adadelta", "rprop", "lion", "adagrad", "adamax",
)  # fmt: skip
"""Rules that are timed where none is named: those that others have."""


def theirs(peer: str, rule: str) -> Theirs | None:
    """Return what a peer calls a bundled rule, or None where it lacks it. The floor has every rule."""
    if peer in BY_HAND:
        return Theirs(rule) if rule in BY_HAND[peer] else None
    if peer == "optax":
        return OPTAX.get(rule)
    found = TORCH.get(rule)
    if found is None or (peer == "torch-fused" and found.name not in with_torch.FUSED):
        return None
    return replace(found, differs=QUIRKS.get((peer, rule), found.differs))


def make(peer: str, rule: str, data: Data) -> Contestant:
    """Return a peer's contestant for a rule it has."""
    if peer in BY_HAND:
        return BY_HAND[peer][rule](data)
    found = theirs(peer, rule)
    assert found is not None
    if peer == "optax":
        return with_optax.Optax(found.name, found.options, data)
    return with_torch.Torch(peer, found.name, found.options, data)


def asked(text: str | None) -> tuple[list[Peer], list[str]]:
    """Return the peers that `--against` asks for and that can run here, and a line about each that can't.

    `text` holds names with commas between them, `all` or `none`; None is all but what takes long to prepare. Raises
    ValueError for an unknown name.
    """
    names = [name.strip() for name in text.split(",") if name.strip()] if text is not None else []
    if text is not None and not names:
        raise ValueError(f"--against names no peer; they are {', '.join(BY_NAME)}, all or none")
    chosen: list[Peer] = [peer for peer in PEERS if peer.usual] if text is None else []
    for name in names:
        if name not in (*BY_NAME, "all", "none"):
            meant = suggestion(name, [*BY_NAME, "all", "none"])
            raise ValueError(f"there is no peer {name!r}{meant} (of {', '.join(BY_NAME)}, all, none)")
        chosen += PEERS if name == "all" else [BY_NAME[name]] if name != "none" else []
    if "none" in names and len(set(names)) > 1:
        raise ValueError("--against takes either none or names of peers")
    here = [peer for peer in PEERS if peer in chosen and not peer.missing]
    return here, _absent([peer for peer in PEERS if peer in chosen and peer.missing])


def _absent(peers: Sequence[Peer]) -> list[str]:
    lines: dict[tuple[str, ...], list[str]] = {}
    for peer in peers:
        lines.setdefault(tuple(peer.missing), []).append(peer.name)
    return [f"{', '.join(names)} left out: {' and '.join(missing)} not installed" for missing, names in lines.items()]
