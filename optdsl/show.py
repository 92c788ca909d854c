"""The views of a rule that `optdsl show` prints."""

from __future__ import annotations

import json
import subprocess
import tempfile
import textwrap
from collections.abc import Callable, Collection
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

from optdsl import pipeline
from optdsl.ir.evaluate import defaults, present_states
from optdsl.ir.kernel import Kernel
from optdsl.ir.nodes import Rate, Rule, State
from optdsl.ir.show import show, show_kernel, show_symbol
from optdsl.ir.storage import storage_type
from optdsl.passes.cost import kernel_counts
from optdsl.passes.tally import tallies
from optdsl.relations import of_rule, sentences
from optdsl.runtime import toolchain
from optdsl.source import SourceFile
from optdsl.syntax import ast
from optdsl.syntax.latex import LATEX, latex_function, latex_name
from optdsl.syntax.printer import Style, render, unicode_style
from optdsl.terminal import count

BANDWIDTH = 20.0
"""GB/s between memory and processor where none is given: that of a desktop computer."""
PARAMETERS = {"float32": 4, "float64": 8}
"""Element types of a parameter, with their bytes."""
_TRANSFORM = "a gradient transform: it makes no step of its own, but changes or watches that of a rule in a chain"
COLUMNS = 100
"""Where the words in a table go on in the next line."""


def math(source: SourceFile, rule: Rule, exact: bool, bandwidth: float = BANDWIDTH) -> str:
    """Return the equations in Unicode, with tables of hyperparameters and states, and what a step costs.

    `bandwidth` is that of the memory, in GB/s.
    """
    _, tree, _ = pipeline.read(source)
    style = unicode_style(_names(tree))
    named = rule.doc.startswith(f"{rule.name}:")
    title = rule.doc if named else rule.name + (f"  {rule.doc}" if rule.doc else "")
    lines = [title, *(f"  {', '.join(cite)}" for cite in rule.cites)]
    lines += [f"  family: {rule.family}", ""] if rule.family else [""]
    for entry in tree.defs:
        arguments = ", ".join(style.name(parameter.text, False) for parameter in entry.parameters)
        lines.append(f"  {style.name(entry.name.text, False)}({arguments}) = {render(entry.body, style)}")
    targets = [style.name(entry.name.text, entry.primed) for entry in tree.equations]
    width = max(len(target) for target in targets)
    values = [render(entry.value, style) for entry in tree.equations]
    lines += [f"  {target:<{width}} = {value}" for target, value in zip(targets, values, strict=True)]
    lines += [f"  view {style.name(entry.name.text, False)} = {render(entry.value, style)}" for entry in tree.views]
    if rule.hypers:
        lines += ["", *_hypers(rule)]
    lines += ["", *_states(tree, rule, style)]
    related = sentences(of_rule(tree, rule), chained=tree.header is not None and bool(tree.header.components))
    if related:
        lines += ["", "relations:", *_table([[sentence] for sentence in related])]
    lines += ["", *([_TRANSFORM] if rule.transform else _cost(rule, exact, bandwidth))]
    return "\n".join(line.rstrip() for line in lines)


def _names(tree: ast.Rule) -> list[str]:
    """Return every name that a rule defines."""
    names = [] if tree.header is None else [tree.header.parameter, tree.header.gradient]
    names += [entry.name for entry in tree.hypers] + [entry.name for entry in tree.states]
    names += [entry.name for entry in tree.equations] + [view.name for view in tree.views]
    names += [name for entry in tree.defs for name in (entry.name, *entry.parameters)]
    return [name.text for name in names]


def _hypers(rule: Rule) -> list[str]:
    values = defaults(rule)
    rows = []
    for hyper in rule.hypers:
        value = values[hyper.symbol.name]
        shown = str(value).lower() if isinstance(value, bool) else f"{value:g}"
        rows.append([hyper.symbol.name, shown, f"in {hyper.interval}" if hyper.interval else "", hyper.doc])
    return ["hyperparameters:", *_table(rows)]


def _states(tree: ast.Rule, rule: Rule, style: Style) -> list[str]:
    rows = [["", "", *PARAMETERS, ""]]
    for entry, state in zip(tree.states, rule.states, strict=True):
        sizes = ["8 per tensor" if state.scalar else str(state_width(state, width)) for width in PARAMETERS.values()]
        when = f"when {render(entry.when, style)}" if entry.when is not None else ""
        says = ": ".join(part for part in (when, state.doc) if part)
        rows.append([state.name, f"= {render(entry.init, style)}", *sizes, says])
    if not rule.states:
        return ["states: none"]
    return ["states, bytes per parameter:", *_table(rows, right=(2, 3))]


def state_width(state: State, parameter: int) -> int:
    """Return the bytes of a state's element beside a parameter of so many bytes an element."""
    return parameter if state.storage is None else storage_type(state.storage).itemsize


def _cost(rule: Rule, exact: bool, bandwidth: float) -> list[str]:
    """Return a table of what a step costs for each choice of optional states, and a sentence about the usual one."""
    program = pipeline.kernels(rule, exact=exact)
    first, last = PARAMETERS
    rows = [
        ["", "operations", "divides, roots", "", "bytes", "moved", "ms per million", "parameters"],
        ["with", "(as written)", "(as written)", "passes", first, last, first, last],
    ]
    forms = [form for kernel in program.kernels for form in _forms(kernel)]
    written = [form for kernel in pipeline.as_written(rule) for form in _forms(kernel)]
    for kernel, original in zip(forms, written, strict=True):
        after, before = kernel_counts(kernel), kernel_counts(original)
        sizes = [moved_bytes(kernel, width) for width in PARAMETERS.values()]
        row = [_present(kernel)]
        row += [f"{a} ({b})" for a, b in zip(after, before, strict=True)]
        row += [str(len(kernel.phases)), *map(str, sizes), *(_milliseconds(size, bandwidth) for size in sizes)]
        rows.append(row)
    usual = present_states(rule, defaults(rule))
    kernel = next((form for form in forms if form.present == usual), forms[0])
    reads, writes = traffic(kernel)
    moved = moved_bytes(kernel, PARAMETERS[first])
    told = (
        f"{moved} bytes moved per parameter at {first} ({count(len(reads), 'read')}, {count(len(writes), 'write')}): "
    )
    told += f"{_milliseconds(moved, bandwidth)} ms per million parameters at {bandwidth:g} GB/s"
    title = f"a step, in element operations, where memory moves {bandwidth:g} GB/s (--bandwidth):"
    return [title, *_table(rows, right=range(1, 8)), "", told]


def _forms(kernel: Kernel) -> list[Kernel]:
    """Return a kernel without the states that follow the parameter, and where there are any, with all of them."""
    late = {phase.stores[0].name for phase in kernel.followers}
    present = tuple(s for s in kernel.rule.states if s in kernel.present or s.name in late)
    return [replace(kernel, followers=()), *([replace(kernel, present=present)] if late else [])]


def _present(kernel: Kernel) -> str:
    """Return which states a kernel has, by name where that is short."""
    names = ", ".join(state.name for state in kernel.present) or "no state"
    return names if len(names) <= 24 else f"{len(kernel.present)} states"


def _milliseconds(moved: int, bandwidth: float) -> str:
    """Return how long a million parameters take where so many bytes are moved for each."""
    value = moved / bandwidth  # 1e6 parameters * bytes / (1e9 bytes/s) * 1e3 ms/s
    return f"{value:#.3g}" if value < 100 else f"{value:.0f}"


def traffic(kernel: Kernel) -> tuple[list[str], list[str]]:
    """Return the names of the element arrays that a step reads, and of those it writes, pass by pass."""
    reads: list[str] = []
    writes: list[str] = []
    rows = kernel.row_values()  # one number for a whole row
    for phase in kernel.loops():
        # What follows finds the parameter in cache, just stored.
        near = kernel.phases[-1].stores if phase in kernel.followers else ()
        elements = [s for s in phase.reads() if s.rate is Rate.ELEMENT and s not in rows and s not in near]
        reads += dict.fromkeys(symbol.name for symbol in elements)
        writes += [symbol.name for symbol in phase.stores]
    return reads, writes


def moved_bytes(kernel: Kernel, parameter: int) -> int:
    """Return the bytes a step moves per parameter of so many bytes."""
    widths = {state.name: state_width(state, parameter) for state in kernel.present}
    reads, writes = traffic(kernel)
    return sum(widths.get(name, parameter) for name in (*reads, *writes))


def _table(rows: list[list[str]], right: Collection[int] = ()) -> list[str]:
    """Return rows with their columns aligned; the text of the last column goes on in further lines at COLUMNS."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    indent = 2 + sum(width + 2 for width in widths[:-1])
    lines = []
    for row in rows:
        cells = [f"{c:>{w}}" if i in right else f"{c:<{w}}" for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        text = [row[-1]] if len(row) - 1 in right else textwrap.wrap(row[-1], max(COLUMNS - indent, 24)) or [""]
        last = f"{text[0]:>{widths[-1]}}" if len(row) - 1 in right else text[0]
        lines.append("  " + "  ".join([*cells[:-1], last]))
        lines += [" " * indent + more for more in text[1:]]
    return lines


def latex(source: SourceFile, rule: Rule, exact: bool) -> str:
    """Return the equations as a LaTeX `aligned` environment, in the author's order."""
    _, tree, _ = pipeline.read(source)
    rows = []
    for entry in tree.defs:
        arguments = ", ".join(latex_name(parameter.text) for parameter in entry.parameters)
        rows.append(f"  {latex_function(entry.name.text)}\\left({arguments}\\right) &= {render(entry.body, LATEX)}")
    rows += [f"  {latex_name(e.name.text, e.primed)} &= {render(e.value, LATEX)}" for e in tree.equations]
    rows += [f"  \\text{{view }} {latex_name(e.name.text)} &= {render(e.value, LATEX)}" for e in tree.views]
    body = " \\\\\n".join(rows)
    return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"


def tree(source: SourceFile, rule: Rule, exact: bool) -> str:
    """Return the surface tree, a node a line."""
    _, surface, _ = pipeline.read(source)
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

    parts = [surface.header, surface.hypers, surface.aliases, surface.states, surface.defs, surface.equations]
    for part in (*parts, surface.views):
        walk(part, "", 0)
    return "\n".join(lines)


def kernel(source: SourceFile, rule: Rule, exact: bool) -> str:
    """Return the scheduled kernels, with the operations of each equation before and after simplification."""
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
        table = "\n".join(_operations(rule, original, one))
        parts.append(f"{title}\n{counts}\n\n{table}\n\n{show_kernel(one)}")
    if program.reason:
        stands = "some equations stand as written" if program.simplified else "the author's form stands"
        parts.append(f"{stands}: {program.reason}")
    if program.rejected:
        parts.append("\n".join(["cheaper forms that were found wrong:", *(f"  {one}" for one in program.rejected)]))
    return "\n\n".join(parts)


def _operations(rule: Rule, written: Kernel, simplified: Kernel) -> list[str]:
    """Return a table of the element operations of each equation, or of those that are computed in one go."""
    rows = [["equation", "as written", "divides or roots", "simplified", "divides or roots"]]
    for tally in tallies(written, simplified):
        names = ", ".join(show_symbol(rule.equations[number].target) for number in tally.equations)
        rows.append([names, *(str(number) for number in (*tally.written, *tally.simplified))])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    formats = "  ".join(["{:<%d}", *["{:>%d}"] * (len(widths) - 1)]) % tuple(widths)
    return [formats.format(*row) for row in rows]


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
            [*compiler.started, *flags, "-S", "-fverbose-asm", "-fno-asynchronous-unwind-tables", "-o", "-", str(path)],
            capture_output=True, text=True, check=False, timeout=toolchain.timeout(), errors="replace",
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
        "family": rule.family,
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
        "views": [{"name": view.name, "text": view.text, "doc": view.doc} for view in rule.views],
        "relations": [relation.record() for relation in of_rule(pipeline.read(source)[1], rule)],
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
