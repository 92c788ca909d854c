"""Record float64 trajectories of torch's optimizers, to compare the bundled rules with where torch is absent.

``python tests/reference/record_torch.py`` (needs torch) writes two files beside this one.

- ``torch.json``: the versions used, the schedule of the scenario and the list of cases.
- ``torch.npz``: ``start`` (18,) and ``gradients`` (100, 18), shared by all cases, and for every case an array (16, 18)
  under its key: the parameters after each of the recorded steps. An entry of ``states`` in a case names a further such
  array, of a state that torch keeps. A row holds the parameters ``a`` (3, 4), ``b`` (5,) and ``c`` () laid end to end.
  In steps where a parameter's gradient is missing, its columns of ``gradients`` mean nothing.

Without torch this module can still be imported: :func:`cases` and :func:`scenario` need only NumPy.
"""

from __future__ import annotations

import importlib
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Options = dict[str, Any]

HERE = Path(__file__).resolve().parent
STEPS = 100
RECORDED_STEPS = (1, 2, 3, 4, 5, 10, 17, 20, 30, 40, 50, 60, 70, 80, 90, 100)
SHAPES: dict[str, tuple[int, ...]] = {"a": (3, 4), "b": (5,), "c": ()}
SIZE = 18

#: Steps in which a parameter gets no gradient at all.
MISSING: dict[str, tuple[int, ...]] = {"a": (2, 17, 50), "b": (), "c": (1, 2, 3, 40, 41, 77)}
#: Steps in which a parameter's gradient is zero in every element.
ALL_ZERO: dict[str, tuple[int, ...]] = {"b": (30,)}
#: The parameters of each group, and the factor from the case's learning rate to the group's.
GROUPS: tuple[tuple[tuple[str, ...], float], ...] = ((("a",), 1.0), (("b", "c"), 0.5))
#: Before this step the learning rate of this group is multiplied by this factor.
LR_CHANGE: dict[str, float] = {"step": 60, "group": 0, "factor": 0.5}

#: torch's tuples, and the hyperparameters that stand for them here.
TUPLES = {
    "betas": ("beta1", "beta2"),
    "etas": ("eta_minus", "eta_plus"),
    "step_sizes": ("step_min", "step_max"),
}


@dataclass(frozen=True)
class Case:
    """One recorded run: a rule with its options, in torch's words and in ours."""

    rule: str
    torch: str
    torch_options: Options
    options: Options
    lr: float
    key: str
    states: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scenario:
    """The parameters, their gradients and what happens on the way; the same for every case."""

    start: dict[str, Array]
    gradients: tuple[dict[str, Array | None], ...]
    """One mapping per step, step 1 first; ``None`` where the parameter has no gradient."""
    groups: tuple[tuple[tuple[str, ...], float], ...]
    """Parameter names of each group, with the factor from the case's learning rate to the group's."""
    lr_change_step: int
    """The learning rate changes before this step (counted from 1)."""
    lr_change_group: int
    lr_change_factor: float
    recorded_steps: tuple[int, ...]


def pack(arrays: Mapping[str, Array]) -> Array:
    """Lay ``a``, ``b`` and ``c`` end to end in a row of 18 numbers."""
    return np.concatenate([np.ravel(arrays[name]) for name in SHAPES])


def unpack(row: Array) -> dict[str, Array]:
    """Cut a row of 18 numbers into ``a``, ``b`` and ``c`` (fresh arrays)."""
    arrays: dict[str, Array] = {}
    offset = 0
    for name, shape in SHAPES.items():
        size = int(np.prod(shape))
        arrays[name] = row[offset : offset + size].reshape(shape).copy()
        offset += size
    return arrays


def draw_scenario() -> tuple[Array, Array]:
    """Draw the start (18,) and the gradients (100, 18): a slow drift under noise, with exact zeros strewn in.

    The last element of ``a`` never has a gradient other than zero.
    """
    random = np.random.default_rng(20240607)
    start = random.standard_normal(SIZE)
    steps = np.arange(1, STEPS + 1)[:, None]
    drift = random.normal(0.6, 0.5, SIZE) * np.cos(steps * random.uniform(0.01, 0.06, SIZE))
    scale = 10.0 ** random.uniform(-2, 1, SIZE)
    gradients = scale * (drift + 0.7 * random.standard_normal((STEPS, SIZE)))
    gradients[random.random((STEPS, SIZE)) < 0.08] = 0
    gradients[:, int(np.prod(SHAPES["a"])) - 1] = 0
    for name, zero_steps in ALL_ZERO.items():
        columns = pack({other: np.full(shape, float(other == name)) for other, shape in SHAPES.items()}) == 1
        for step in zero_steps:
            gradients[step - 1, columns] = 0
    return start, gradients


@cache
def _recorded_scenario() -> tuple[Array, Array]:
    """Return the recorded start and gradients, or fresh ones where nothing is recorded."""
    path = HERE / "torch.npz"
    if not path.exists():
        return draw_scenario()
    with np.load(path) as data:
        return data["start"], data["gradients"]


def scenario(drawn: tuple[Array, Array] | None = None) -> Scenario:
    """Return the scenario that all cases share, recorded or drawn, in arrays of its own at every call."""
    start, rows = _recorded_scenario() if drawn is None else drawn
    gradients: list[dict[str, Array | None]] = []
    for step, row in enumerate(rows, start=1):
        given = unpack(row)
        gradients.append({name: None if step in MISSING[name] else given[name] for name in SHAPES})
    return Scenario(
        start=unpack(start),
        gradients=tuple(gradients),
        groups=GROUPS,
        lr_change_step=int(LR_CHANGE["step"]),
        lr_change_group=int(LR_CHANGE["group"]),
        lr_change_factor=LR_CHANGE["factor"],
        recorded_steps=RECORDED_STEPS,
    )


def _product(**choices: tuple[Any, ...]) -> Iterator[Options]:
    """Yield every combination of the options, each option left out where its value is None."""
    for values in itertools.product(*choices.values()):
        yield {name: value for name, value in zip(choices, values, strict=True) if value is not None}


def _ours(torch_options: Options) -> Options:
    """Return torch's options under the names of our hyperparameters."""
    options: Options = {}
    for name, value in torch_options.items():
        if name in TUPLES:
            options.update(zip(TUPLES[name], value, strict=True))
        else:
            options[name] = value
    return options


def _key(rule: str, options: Options, lr: float | None) -> str:
    """Name a case readably: ``adam-amsgrad-weight_decay=0.05``, with ``lr`` where that is what tells it apart."""
    parts = [rule]
    for name, value in options.items():
        if value is True:
            parts.append(name)
        elif isinstance(value, tuple):
            parts.append(f"{name}={','.join(f'{item:g}' for item in value)}")
        elif value is not False:
            parts.append(f"{name}={value:g}")
    if lr is not None:
        parts.append(f"lr={lr:g}")
    return "-".join(parts)


def _sgd_options() -> Iterator[Options]:
    """Yield the combinations that torch's SGD takes: nesterov asks for momentum and forbids dampening."""
    every = _product(
        momentum=(None, 0.9),
        dampening=(None, 0.1),
        weight_decay=(None, 0.05),
        nesterov=(None, True),
        maximize=(None, True),
    )
    for options in every:
        if "nesterov" not in options or ("momentum" in options and "dampening" not in options):
            yield options


def _adam_like() -> Iterator[Options]:
    """Yield the option sets of Adam and AdamW."""
    yield from _product(amsgrad=(None, True), weight_decay=(None, 0.05))
    yield from _product(betas=((0.8, 0.95),), eps=(1e-3,), amsgrad=(None, True), weight_decay=(None, 0.05))


def _decoupled(**more: tuple[Any, ...]) -> Iterator[Options]:
    """Yield the option sets of NAdam and RAdam."""
    yield from _product(weight_decay=(None, 0.05), decoupled_weight_decay=(None, True))
    yield from _product(
        betas=((0.8, 0.95),), eps=(1e-3,), **more, weight_decay=(None, 0.05), decoupled_weight_decay=(None, True)
    )


def _variants() -> Iterator[tuple[str, str, float, float, Iterator[Options]]]:
    """Yield rule, torch class, torch's default learning rate, one that moves more, and the option sets."""
    yield "sgd", "SGD", 1e-3, 0.02, _sgd_options()
    yield "momentum", "SGD", 1e-3, 0.02, _product(momentum=(0.9, 0.5))
    yield "nesterov", "SGD", 1e-3, 0.02, _product(momentum=(0.9, 0.5), nesterov=(True,))
    yield (
        "rmsprop",
        "RMSprop",
        1e-2,
        3e-3,
        itertools.chain(
            _product(centered=(None, True), momentum=(None, 0.9), weight_decay=(None, 0.05)),
            _product(alpha=(0.9,), eps=(1e-3,), centered=(None, True), momentum=(None, 0.9), weight_decay=(None, 0.05)),
        ),
    )
    yield "adam", "Adam", 1e-3, 1e-2, _adam_like()
    yield (
        "adamw",
        "AdamW",
        1e-3,
        1e-2,
        itertools.chain(_adam_like(), _product(amsgrad=(None, True), weight_decay=(0.0,))),
    )
    yield (
        "adamax",
        "Adamax",
        2e-3,
        1e-2,
        itertools.chain(
            _product(weight_decay=(None, 0.05)),
            _product(betas=((0.8, 0.95),), eps=(1e-2,), weight_decay=(None, 0.05)),
        ),
    )
    yield (
        "adagrad",
        "Adagrad",
        1e-2,
        0.1,
        _product(
            eps=(None, 1e-3),
            lr_decay=(None, 0.01),
            weight_decay=(None, 0.05),
            initial_accumulator_value=(None, 0.1),
        ),
    )
    yield (
        "adadelta",
        "Adadelta",
        1.0,
        0.5,
        itertools.chain(
            _product(weight_decay=(None, 0.05)),
            _product(rho=(0.95,), eps=(1e-3,), weight_decay=(None, 0.05)),
        ),
    )
    yield "nadam", "NAdam", 2e-3, 1e-2, _decoupled(momentum_decay=(0.05,))
    yield (
        "radam",
        "RAdam",
        1e-3,
        1e-2,
        itertools.chain(_decoupled(), _product(betas=((0.9, 0.6),))),
    )
    yield (
        "asgd",
        "ASGD",
        1e-2,
        0.03,
        _product(lambd=(None, 0.05), alpha=(None, 0.5), t0=(None, 20.0), weight_decay=(None, 0.05)),
    )
    yield (
        "rprop",
        "Rprop",
        1e-2,
        0.02,
        _product(etas=(None, (0.4, 1.5)), step_sizes=(None, (1e-3, 0.1))),
    )


def cases() -> list[Case]:
    """List every case: each rule at its defaults, then with every combination of options at a livelier rate."""
    found: list[Case] = []
    for rule, name, default_lr, lr, option_sets in _variants():
        for index, torch_options in enumerate(option_sets):
            options = _ours(torch_options)
            shown = dict(torch_options)
            if rule == "nesterov":
                del options["nesterov"], shown["nesterov"]
            rates = (default_lr, lr) if index == 0 else (lr,)
            for rate in rates:
                key = _key(rule, shown, None if rate == lr and torch_options else rate)
                states = {"ax": f"{key}+ax"} if rule == "asgd" else {}
                found.append(Case(rule, name, torch_options, options, rate, key, states))
    return found


def run_torch(case: Case, state: str | None = None, plan: Scenario | None = None) -> Array:
    """Run the case in torch and return its rows (16, 18), one for each recorded step.

    The rows are of the parameters, or of torch's state entry ``state`` (zero before it exists). torch keeps
    scalar states (the product in NAdam, the step size in ASGD) in the default dtype, which is float64 for the
    run; left at float32, it would shift these two rules by up to 1e-5 of the distance travelled.
    """
    torch = importlib.import_module("torch")  # by name, so that types check alike with torch and without
    default_dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        return _run(torch, case, state, plan or scenario())
    finally:
        torch.set_default_dtype(default_dtype)


def _run(torch: Any, case: Case, state: str | None, plan: Scenario) -> Array:
    """Make the run itself, under a default dtype of float64."""
    parameters = {name: torch.tensor(value, dtype=torch.float64) for name, value in plan.start.items()}
    groups = [{"params": [parameters[name] for name in names], "lr": case.lr * factor} for names, factor in plan.groups]
    options = {name: tuple(value) if isinstance(value, list) else value for name, value in case.torch_options.items()}
    optimizer = getattr(torch.optim, case.torch)(groups, lr=case.lr, foreach=False, **options)
    rows: list[Array] = []
    for step, gradients in enumerate(plan.gradients, start=1):
        if step == plan.lr_change_step:
            optimizer.param_groups[plan.lr_change_group]["lr"] *= plan.lr_change_factor
        for name, gradient in gradients.items():
            parameters[name].grad = None if gradient is None else torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
        if step in plan.recorded_steps:
            if state is None:
                shown = parameters
            else:
                shown = {name: optimizer.state[p].get(state, torch.zeros_like(p)) for name, p in parameters.items()}
            rows.append(pack({name: value.numpy() for name, value in shown.items()}))
    return np.stack(rows)


def recorded() -> tuple[list[Case], dict[str, Array]]:
    """Read back the recorded cases and their arrays by key."""
    entries = json.loads((HERE / "torch.json").read_text(encoding="ascii"))["cases"]
    with np.load(HERE / "torch.npz") as data:
        return [Case(**entry) for entry in entries], {name: data[name] for name in data.files}


def _json_text(head: Options, found: list[Case]) -> str:
    """Write the record as JSON, one line for each case."""
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
    entries = [{name: value for name, value in asdict(case).items() if value or name != "states"} for case in found]
    listed = ",\n".join(f"    {json.dumps(entry)}" for entry in entries)
    return "{\n" + ",\n".join([*lines, f'  "cases": [\n{listed}\n  ]']) + "\n}\n"


def main() -> None:
    """Record every case beside this file."""
    torch_version = str(importlib.import_module("torch").__version__).split("+")[0]
    start, gradients = draw_scenario()
    plan = scenario((start, gradients))
    arrays: dict[str, Any] = {"start": start, "gradients": gradients}
    found = cases()
    for case in found:
        arrays[case.key] = run_torch(case, plan=plan)
        for state, key in case.states.items():
            arrays[key] = run_torch(case, state, plan)
    np.savez_compressed(HERE / "torch.npz", **arrays)
    head: Options = {
        "torch": torch_version,
        "numpy": np.__version__,
        "shapes": SHAPES,
        "steps": STEPS,
        "recorded_steps": RECORDED_STEPS,
        "missing": MISSING,
        "all_zero": ALL_ZERO,
        "groups": [{"parameters": names, "lr_factor": factor} for names, factor in GROUPS],
        "lr_change": LR_CHANGE,
    }
    (HERE / "torch.json").write_text(_json_text(head, found), encoding="ascii")
    print(f"{len(found)} cases, {(HERE / 'torch.npz').stat().st_size} bytes of arrays")


if __name__ == "__main__":
    main()
