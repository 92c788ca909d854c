"""The classes of a random rule on both targets, built cheaply: its loops as users get them, the rest in less time."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np

from optdsl import targets
from optdsl.ir.kernel import Program
from optdsl.runtime import toolchain
from optdsl.runtime.optimizer import Optimizer

from .judge import Outcome, arrays
from .points import Point

STEM = "rule"
SUFFIX = {"float32": "f32", "float64": "f64"}


def classes(
    program: Program, folder: Path, dtypes: tuple[Any, ...], variants: Collection[int]
) -> dict[str, type[Optimizer]]:
    """Return the optimizers of a rule by target, which run for parameters of some types in some of its variants.

    Raises ToolchainError where C can't be built.
    """
    made = {}
    for target in ("numpy", "c"):
        place = folder / target
        place.mkdir()
        for name, text in targets.find(target).emit(program, STEM).items():
            (place / name).write_text(
                shortened(text, dtypes, variants) if name.endswith(".c") else text, encoding="utf-8"
            )
        if target == "c":
            toolchain.build(place / f"{STEM}.c", place / f"lib{STEM}.so")
        made[target] = _class_in(place / f"{STEM}.py")
    return made


def shortened(text: str, dtypes: tuple[Any, ...], variants: Collection[int]) -> str:
    """Return generated C that compiles in less time.

    The loops of a rule that are asked for, and the functions that they call, are left as they are. What else there is,
    which is the same for all rules, is optimised little; loops of other variants are left empty, and what steps other
    element types is left out.
    """
    text, found = re.subn(
        r"^(?=static (?!inline|void phase_)[^;\n]*\(|int optdsl_)", '__attribute__((optimize("O1"))) ', text, flags=re.M
    )
    assert found > 10, "the skeleton looks different"
    for name, suffix in SUFFIX.items():
        if np.dtype(name) not in [np.dtype(dtype) for dtype in dtypes]:
            calls = (
                rf"^    if \(!failed && rows_{suffix} > 0\) run_{suffix}\(.*\n"
                rf"|(?<=return )look_through_{suffix}\(.*\n +\|\| |\n +\|\| look_through_{suffix}\([^;]*(?=;)"
            )
            text, found = re.subn(calls, "", text, flags=re.M)
            assert found == 3, "the skeleton looks different"
    every = "|".join(str(variant) for variant in sorted(variants))
    return re.sub(rf"^(static void phase_(?!(?:{every})_)\d+_[^\n]*\{{\n).*?\n\}}\n", r"\1}\n", text, flags=re.M | re.S)


def _class_in(path: Path) -> type[Optimizer]:
    """Import a generated module without a trace in `sys.modules`."""
    spec = spec_from_file_location(f"fuzz_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    optimizer: type[Optimizer] = getattr(module, module.__all__[0])
    return optimizer


def stepper(made: type[Optimizer], program: Program) -> Callable[[Point, Any], Outcome]:
    """Return what makes one step of a class from a point."""
    rule = program.rule

    def step(at: Point, dtype: Any) -> Outcome:
        x, g, states = arrays(rule, at, dtype)
        parameter = x.reshape(at.shape)
        optimizer = made({"x": parameter}, **at.hypers)
        optimizer.init_state()
        document = optimizer.state_dict()
        document["steps"]["x"] = at.t - 1
        for name, value in states.items():
            document["state"]["x"][name] = np.asarray(value, np.float64) if np.ndim(value) == 0 else shaped(value, at)
        optimizer.load_state_dict(document)
        optimizer.step({"x": g.reshape(at.shape)})
        after = {name: optimizer.state["x"][name] for name in states}
        return {rule.parameter.name: parameter, **{n: v if v.ndim else float(v) for n, v in after.items()}}

    def shaped(value: Any, at: Point) -> Any:
        return value.reshape(at.shape)

    return step
