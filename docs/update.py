"""Fill in the parts of the documentation that are made from the code: `python docs/update.py`.

Between `<!-- name -->` and the next heading or paragraph stands one fenced block, which this script writes anew.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from optdsl import bases, checks, claims, explain, pipeline, presence
from optdsl import source as sources
from optdsl.algebra import limits as algebra
from optdsl.algebra import propose
from optdsl.functions import FUNCTIONS
from optdsl.ir.nodes import Equation
from optdsl.ir.show import show, show_kernel, show_symbol
from optdsl.passes import improve
from optdsl.resolve import declarations, expressions
from optdsl.show import tree
from optdsl.source import SourceFile, read
from optdsl.syntax import builder, parser

ROOT = Path(__file__).resolve().parent.parent
RULE = "rules/flux/adamax.opt"


def loop(text: str, opening: str) -> str:
    """Return the first loop in generated code that starts with `opening`, to the end of its indentation."""
    lines = text.split("\n")
    start = next(index for index, line in enumerate(lines) if line.strip().startswith(opening))
    indent = len(lines[start]) - len(lines[start].lstrip())
    end = start + 1
    while lines[end].startswith(("#line", " " * (indent + 1))):
        end += 1
    if lines[end].strip() == "}":
        end += 1
    return "\n".join(line[indent:] if line.startswith(" ") else line for line in lines[start:end])


def sections() -> dict[str, str]:
    """Return the text of each generated block of docs/architecture.md."""
    text = read(ROOT / RULE).text
    source = SourceFile(RULE, text)
    rule = pipeline.rule_of(source)
    program = pipeline.kernels(rule)
    stem = "adamax"
    whole_tree = tree(source, rule, exact=False)
    equations = whole_tree.split("EquationEntry")
    return {
        "source": fenced(text.rstrip()),
        "tree": fenced(f"EquationEntry{equations[2]}".rstrip()),
        "resolved": fenced("\n".join(_equation(equation) for equation in rule.equations)),
        "written": fenced(show_kernel(pipeline.as_written(rule)[0])),
        "simplified": fenced(show_kernel(program.kernels[0])),
        "numpy": fenced(loop(pipeline.emit(rule, "numpy", stem)[f"{stem}.py"], "for "), "python"),
        "c": fenced(loop(pipeline.emit(rule, "c", stem)[f"{stem}.c"], "for (int64_t i = run; i < run + length"), "c"),
    }


def _equation(equation: Equation) -> str:
    return f"{show_symbol(equation.target)} = {show(equation.value)}  [{equation.target.rate.name.lower()}]"


def fenced(text: str, language: str = "") -> str:
    """Return text as a fenced block."""
    return f"```{language}\n{text}\n```"


def architecture(text: str) -> str:
    """Return docs/architecture.md with its generated blocks written anew."""
    return filled(text, sections())


def filled(text: str, blocks: dict[str, str]) -> str:
    """Return a document with the fenced block or the table after each marker written anew."""
    for name, block in blocks.items():
        marker = f"<!-- {name} -->"
        pattern = re.compile(re.escape(marker) + r"\n*(?:```.*?\n```|(?:\|[^\n]*\n)+)?\n*", re.DOTALL)
        text, count = pattern.subn(lambda _, block=block, marker=marker: f"{marker}\n\n{block}\n\n", text, count=1)  # type: ignore[misc]
        if count != 1:
            raise SystemExit(f"a document has no marker {marker}")
    return text


def checking(text: str) -> str:
    """Return docs/checking.md with the table of findings and the output of commands written anew."""
    pages = [explain.page(slug) for slug in explain.slugs()]
    rows = [f"| `{page.slug}` | {page.severity} | {page.statement} |" for page in pages]
    return filled(text, {
        "findings": "\n".join(["| finding | | what it says |", "| --- | --- | --- |", *rows]),
        "false-claim": output("check", "tests/wrong/optax_rprop.opt"),
        "same": output("diff", "adam", "adamw", "--when", "weight_decay=0"),
        "parted": output("diff", "flux/nadam", "nadam"),
        "stability": output("stability", "momentum"),
    })  # fmt: skip


def output(*arguments: str) -> str:
    """Return a command and what it prints, as it would stand in a terminal at the root of a checkout."""
    done = subprocess.run(
        [sys.executable, "-m", "optdsl", *arguments], capture_output=True, text=True, check=False, cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    printed = (done.stdout + done.stderr).replace(f"{ROOT}/", "").strip()
    return fenced(f"$ optdsl {' '.join(arguments)}\n{printed}", "text")


def functions(text: str) -> str:
    """Return docs/language.md with its table of functions written anew."""
    rows = []
    for name, function in FUNCTIONS.items():
        doc = f"`{function.doc}`" if any(sign in function.doc for sign in "*(/") else function.doc
        rows.append(f"| `{name}({', '.join(function.arguments)})` | {doc} |")
    head, rest = text.split("| function | value |\n| --- | --- |\n")
    last = rest[rest.index("| `size(x)`") :]
    return filled("\n".join([f"{head}| function | value |", "| --- | --- |", *rows, last]), limits())


def limits() -> dict[str, str]:
    """Return the tables of docs/language.md that say how much of everything there may be."""
    sizes = {
        "characters in a file": parser.LARGEST_SOURCE,
        "entries in a file": parser.MOST_LINES,
        "characters in a number": builder.LONGEST_NUMBER,
        "size of a number": f"1e-{builder.LARGEST_EXPONENT} to about 1.8e308",
        "digits of a raised power, `x¹²`": 3,
        "operations nested in an expression": builder.DEEPEST,
        "operations one after the other, through intermediates and functions": expressions.LONGEST_CHAIN,
        "operations in a rule, once functions and powers are expanded": expressions.MOST_NODES,
        "different conditions of states": declarations.MOST_CONDITIONS,
        "cases to tell where a state exists": presence.MOST_CASES,
        "steps of a claim": builder.MOST_STEPS,
        "rules made one from another": bases.LONGEST_CHAIN,
        "files that a rule is made of": bases.MOST_FILES,
        "bytes of a file that are read": sources.MOST_BYTES,
        "seconds for which a pipe may be silent": f"{sources.PATIENCE:g}",
    }
    bounds = {
        "processor time for one question": f"{algebra.SECONDS:g} s",
        "memory that one question may add": f"{algebra.MOST_MEMORY >> 20} MiB",
        "nodes of a question, and how deep they nest": f"{algebra.MOST_NODES:,} and {algebra.DEEPEST}",
        "bits of a fraction's numerator or denominator": algebra.LARGEST_NUMBER,
        "whole exponents": algebra.LARGEST_EXPONENT,
        "processor time for the checks of a rule (`optdsl check --seconds`)": f"{checks.SECONDS:g} s",
        "processor time for a claim, and for all claims of a file (`--seconds` for both)":
            f"{claims.SECONDS:g} s and {claims.TOGETHER:g} s",
        "nodes that computer algebra proposes forms of, for a rule": propose.NODES_TOGETHER,
        "processor time for what it proposes": f"{propose.TOGETHER:g} s",
        "the search for cheaper forms of a rule, in operations weighed": improve.WORK,
    }  # fmt: skip
    return {"limits": _table("limit", sizes), "bounds": _table("bound", bounds)}


def _table(title: str, rows: dict[str, int | str]) -> str:
    lines = (
        f"| {what} | {value:,} |" if isinstance(value, int) else f"| {what} | {value} |" for what, value in rows.items()
    )
    return "\n".join([f"| {title} | |", "| --- | --- |", *lines])


def elsewhere(text: str) -> str:
    """Return docs/elsewhere.md with its tables written anew from the tests that cite a thread."""
    sys.path.insert(0, str(ROOT))
    from tests.regressions.elsewhere import tables

    return filled(text, tables())


DOCUMENTS = {
    "architecture.md": architecture,
    "checking.md": checking,
    "elsewhere.md": elsewhere,
    "language.md": functions,
}


def main() -> int:
    """Write the documents, or with `--check` say which are stale."""
    stale = []
    for name, update in DOCUMENTS.items():
        path = ROOT / "docs" / name
        text = path.read_text(encoding="utf-8")
        fresh = update(text)
        if fresh != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(fresh, encoding="utf-8")
    print(f"stale: {', '.join(stale)}" if stale else "up to date")
    return int(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    raise SystemExit(main())
