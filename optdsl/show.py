"""The views of a rule that `optdsl show` prints."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path

from optdsl import pipeline
from optdsl.ir.evaluate import defaults
from optdsl.ir.kernel import Kernel, symbols
from optdsl.ir.nodes import Rate, Rule
from optdsl.ir.show import show, show_kernel
from optdsl.passes.cost import kernel_counts
from optdsl.runtime import toolchain
from optdsl.source import SourceFile
from optdsl.syntax import ast
from optdsl.syntax.parser import parse
from optdsl.syntax.printer import LATEX, latex_name, render, unicode_name
from optdsl.terminal import count


def math(source: SourceFile, rule: Rule, exact: bool) -> str:
    """Return the equations in Unicode, with tables of hyperparameters and states, and what a step costs."""
    tree, _ = parse(source)
    lines = [rule.name + (f"  {rule.doc}" if rule.doc else ""), *(f"  {', '.join(cite)}" for cite in rule.cites), ""]
    for entry in tree.defs:
        arguments = ", ".join(unicode_name(parameter.text) for parameter in entry.parameters)
        lines.append(f"  {unicode_name(entry.name.text)}({arguments}) = {render(entry.body)}")
    targets = [unicode_name(entry.name.text, entry.primed) for entry in tree.equations]
    width = max(len(target) for target in targets)
    lines += [
        f"  {target:<{width}} = {render(entry.value)}" for target, entry in zip(targets, tree.equations, strict=True)
    ]
    lines += ["", *_hypers(rule), "", *_states(source, rule), "", *_cost(rule, exact)]
    return "\n".join(line.rstrip() for line in lines)


def _hypers(rule: Rule) -> list[str]:
    values = defaults(rule)
    rows = []
    for hyper in rule.hypers:
        value = values[hyper.symbol.name]
        shown = str(value).lower() if isinstance(value, bool) else f"{value:g}"
        rows.append([hyper.symbol.name, shown, f"in {hyper.interval}" if hyper.interval else "", hyper.doc])
    return _table("hyperparameters", rows)


def _states(source: SourceFile, rule: Rule) -> list[str]:
    tree, _ = parse(source)
    rows = []
    for entry, state in zip(tree.states, rule.states, strict=True):
        size = "8 bytes per tensor" if state.scalar else "4 bytes per parameter at float32, 8 at float64"
        when = f"when {render(entry.when)}" if entry.when is not None else ""
        rows.append([state.name, f"= {render(entry.init)}", size, when, state.doc])
    return _table("states", rows) if rows else ["states: none"]


def _cost(rule: Rule, exact: bool) -> list[str]:
    program = pipeline.kernels(rule, exact=exact)
    written = pipeline.as_written(rule)
    rows = []
    for kernel, original in zip(program.kernels, written, strict=True):
        operations, slow = kernel_counts(kernel)
        count_before, slow_before = kernel_counts(original)
        reads, writes = traffic(kernel)
        present = ", ".join(state.name for state in kernel.present) or "no state"
        rows.append([f"with {present}:", f"{operations} element operations, {slow} of them divides or roots"])
        rows.append(["", f"({count_before} and {slow_before} as written)"])
        moved = f"{4 * (reads + writes)} bytes moved per parameter at float32"
        rows.append(["", f"{moved} ({count(reads, 'read')}, {count(writes, 'write')})"])
    return _table("a step", rows)


def traffic(kernel: Kernel) -> tuple[int, int]:
    """Return how many element arrays a step reads and how many it writes, over all passes."""
    reads = writes = 0
    for phase in kernel.phases:
        local = {let.symbol for let in phase.lets}
        used = {s for let in (*phase.lets, *phase.reductions) for s in symbols(let.value)} - local
        reads += len({symbol.name for symbol in used if symbol.rate is Rate.ELEMENT})
        writes += len(phase.stores)
    return reads, writes


def _table(title: str, rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    padded = ("  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    return [f"{title}:", *padded]


def latex(source: SourceFile, rule: Rule, exact: bool) -> str:
    """Return the equations as a LaTeX `aligned` environment, in the author's order."""
    tree, _ = parse(source)
    rows = []
    for entry in tree.defs:
        arguments = ", ".join(latex_name(parameter.text) for parameter in entry.parameters)
        rows.append(f"  {latex_name(entry.name.text)}({arguments}) &= {render(entry.body, LATEX)}")
    rows += [f"  {latex_name(e.name.text, e.primed)} &= {render(e.value, LATEX)}" for e in tree.equations]
    body = " \\\\\n".join(rows)
    return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"


def tree(source: SourceFile, rule: Rule, exact: bool) -> str:
    """Return the surface tree, a node a line."""
    surface, _ = parse(source)
    lines: list[str] = []

    def walk(node: object, label: str, depth: int) -> None:
        indent = "  " * depth
        if isinstance(node, ast.Name):
            lines.append(f"{indent}{label}{node.text}")
        elif is_dataclass(node):
            simple = [
                f"{field.name}={getattr(node, field.name)!s}" for field in fields(node)
                if isinstance(getattr(node, field.name), str | bool) and getattr(node, field.name) not in ("", False)
            ]  # fmt: skip
            lines.append(f"{indent}{label}{type(node).__name__} {' '.join(simple)}".rstrip())
            for field in fields(node):
                value = getattr(node, field.name)
                if field.name != "span" and not isinstance(value, str | bool | int | float):
                    walk(value, f"{field.name}: ", depth + 1)
        elif isinstance(node, list | tuple):
            for child in node:
                walk(child, label, depth)

    for part in (surface.header, surface.hypers, surface.aliases, surface.states, surface.defs, surface.equations):
        walk(part, "", 0)
    return "\n".join(lines)


def kernel(source: SourceFile, rule: Rule, exact: bool) -> str:
    """Return the scheduled kernels, with operation counts before and after simplification."""
    program = pipeline.kernels(rule, exact=exact)
    parts = []
    for one, original in zip(program.kernels, pipeline.as_written(rule), strict=True):
        before, after = kernel_counts(original), kernel_counts(one)
        holds = [
            show(condition) if one.variant >> bit & 1 else f"not ({show(condition)})"
            for bit, condition in enumerate(program.conditions)
        ]
        title = f"{rule.name} where {' and '.join(holds)}" if holds else rule.name
        counts = f"{after[0]} element operations, {after[1]} of them divides or roots"
        counts += f"; as written {before[0]} and {before[1]}"
        parts.append(f"{title}\n{counts}\n{show_kernel(one)}")
    if not program.simplified:
        parts.append(f"the author's form stands: {program.reason}")
    return "\n\n".join(parts)


def _generated(target: str, suffix: str) -> Callable[[SourceFile, Rule, bool], str]:
    def view(source: SourceFile, rule: Rule, exact: bool) -> str:
        stem = rule.name.lower()
        return pipeline.emit(rule, target, stem, exact=exact)[f"{stem}{suffix}"].rstrip("\n")

    view.__doc__ = f"Return what the target {target} generates."
    return view


def asm(source: SourceFile, rule: Rule, exact: bool) -> str:
    """Return the assembly the C compiler makes of the element loops; ToolchainError where there is no compiler."""
    compiler = toolchain.find_compiler()
    stem = rule.name.lower()
    text = pipeline.emit(rule, "c", stem, exact=exact)[f"{stem}.c"]
    with tempfile.TemporaryDirectory(prefix="optdsl-") as folder:
        path = Path(folder) / f"{stem}.c"
        path.write_text(text, encoding="utf-8")
        flags = [flag for flag in toolchain.FLAGS if flag != "-shared"]
        done = subprocess.run(
            [*compiler.command, *flags, "-S", "-fverbose-asm", "-fno-asynchronous-unwind-tables", "-o", "-", str(path)],
            capture_output=True, text=True, check=False, timeout=toolchain.TIMEOUT, errors="replace",
        )  # fmt: skip
    if done.returncode != 0:
        raise toolchain.ToolchainError(f"{compiler.name} can't write assembly (exit status {done.returncode})")
    return done.stdout.rstrip("\n")


def as_json(source: SourceFile, rule: Rule, exact: bool) -> str:
    """Return the rule as JSON."""
    values = defaults(rule)
    record = {
        "name": rule.name,
        "doc": rule.doc,
        "cites": [list(cite) for cite in rule.cites],
        "parameter": rule.parameter.name,
        "gradient": rule.gradient.name,
        "hypers": [
            {
                "name": hyper.symbol.name,
                "default": values[hyper.symbol.name],
                "interval": str(hyper.interval) if hyper.interval else None,
                "doc": hyper.doc,
            }
            for hyper in rule.hypers
        ],
        "aliases": {name: list(members) for name, members in rule.aliases},
        "states": [
            {
                "name": state.name,
                "scalar": state.scalar,
                "init": show(state.init),
                "when": show(state.when) if state.when is not None else None,
                "doc": state.doc,
            }
            for state in rule.states
        ],
        "equations": [
            {"target": equation.text.split("=", 1)[0].strip(), "text": equation.text, "rate": equation.target.rate.name}
            for equation in rule.equations
        ],
    }
    return json.dumps(record, indent=2, ensure_ascii=False)


VIEWS: dict[str, Callable[[SourceFile, Rule, bool], str]] = {
    "math": math,
    "latex": latex,
    "tree": tree,
    "kernel": kernel,
    "numpy": _generated("numpy", ".py"),
    "c": _generated("c", ".c"),
    "asm": asm,
    "json": as_json,
}
