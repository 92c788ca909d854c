"""Write a page for each bundled rule, `docs/rules/NAME.md`, its picture, and an index: `python docs/rules.py`.

With `--check` nothing is written: the pages that are stale, missing or left over are named, and the exit status is 1.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import pictures

from optdsl import catalogue, loading, pipeline, targets
from optdsl.bundled import folder
from optdsl.catalogue import Entry
from optdsl.diagnostics import CompileError
from optdsl.ir.claims import Claim, Descends, Equals, Invariant, Settings, Still
from optdsl.ir.evaluate import constant, defaults
from optdsl.ir.nodes import Rule
from optdsl.ir.show import show
from optdsl.listing import by_family, state_bytes
from optdsl.passes.options import with_weight_decay
from optdsl.relations import Relation, listed, relations
from optdsl.show import PARAMETERS, latex, state_width
from optdsl.source import SourceFile, read

PAGES = Path(__file__).resolve().parent / "rules"
ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
DOI = re.compile(r"doi:(10\.\S+)")


def pages() -> dict[str, str]:
    """Return the text of every file under docs/rules, by its path there."""
    among = catalogue.entries()
    texts = {"index.md": index(among)}
    for entry in among.values():
        source = read(folder() / f"{entry.name}.opt")
        rule = pipeline.rule_of(source)
        texts[f"{entry.name}.md"] = page(entry, source, rule, among)
        if not rule.transform:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                texts[f"{entry.name}.svg"] = pictures.svg(loading.load(source.name, "numpy", exact=True))
    return texts


def index(among: Mapping[str, Entry]) -> str:
    """Return the page that lists all others by family."""
    lines = [
        "# The bundled rules",
        "",
        "Each is a short file under `rules/` that cites its source, and is tested against a library where one has it.",
        "`optdsl list` shows this list, `optdsl show NAME` a rule.",
    ]
    named = {name for entry in among.values() for name in catalogue.dialects(entry, among)}
    for family, members in by_family(entry for entry in among.values() if entry.name not in named).items():
        lines += ["", f"## {family[:1].upper()}{family[1:]}", ""]
        rows = []
        for entry in members:
            forms = ", ".join(f"[{name}]({name}.md)" for name in catalogue.dialects(entry, among))
            name = f"[{entry.shown}]({entry.name}.md)"
            rows.append((name, entry.sentence, state_bytes(entry), _source(entry), forms))
        lines.append(_table(("rule", "what it does", "state bytes", "origin", "libraries' forms"), rows))
    lines += ["", "State bytes are those per float32 parameter; what an option adds stands in brackets."]
    return "\n".join(lines) + "\n"


def _source(entry: Entry) -> str:
    return linked((entry.origin, *entry.cites[0]))[0] if entry.cites else ""


def page(entry: Entry, source: SourceFile, rule: Rule, among: Mapping[str, Entry]) -> str:
    """Return the page of a rule."""
    parts = [
        f"# {entry.shown}",
        rule.doc if rule.doc.endswith((".", "!", "?")) else f"{rule.doc}.",
        *([f"> {comment}"] if (comment := _comment(source)) else []),
        f"Family: {entry.family}. File: `rules/{entry.name}.opt`.",
        "## Equations",
        f"$$\n{latex(source, rule, False)}\n$$",
        *_section("Hyperparameters", hyperparameters(rule)),
        "## State",
        states(rule),
        *_section("Views", "\n".join(f"- `{view.name}`: {view.doc or view.text}" for view in rule.views)),
        *_section("Relations", related(entry, among)),
        *_section("Claims", claims(rule)),
        *([] if rule.transform else _picture(entry)),
        "## Use",
        use(entry, rule),
        *_section("Origin", "\n".join(f"- {', '.join(linked(cite))}" for cite in rule.cites)),
        "## Code",
        folded("The rule", "text", source.text.rstrip("\n")),
        *([] if rule.transform else code(entry, rule)),
    ]
    return "\n\n".join(parts) + "\n"


def _section(title: str, text: str) -> list[str]:
    return [f"## {title}", text] if text else []


def _comment(source: SourceFile) -> str:
    """Return what a file says above its rule, in one paragraph."""
    above = source.text[: re.search(r"^rule\b", source.text, re.MULTILINE).start()]  # type: ignore[union-attr]
    return " ".join(line.removeprefix("#").strip() for line in above.splitlines())


def linked(cite: Sequence[str]) -> list[str]:
    """Return the parts of a citation, with links to what has a number at arXiv or a DOI."""
    target = ""
    for part in cite:
        target = target or next((f"https://arxiv.org/abs/{found[1]}" for found in [ARXIV.search(part)] if found), "")
        target = target or next((f"https://doi.org/{found[1]}" for found in [DOI.search(part)] if found), "")
    return [f"[{cite[0]}]({target})" if target else cite[0], *cite[1:]]


# Tables


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join([_row(head), _row(["---"] * len(head)), *map(_row, rows)])


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


def hyperparameters(rule: Rule) -> str:
    """Return a table of the hyperparameters, and their aliases in a line below."""
    if not rule.hypers:
        return ""
    values = defaults(rule)
    rows = []
    for hyper in rule.hypers:
        interval = f"`{hyper.interval}`" if hyper.interval else ""
        rows.append((f"`{hyper.symbol.name}`", _shown(values[hyper.symbol.name]), interval, hyper.doc))
    table = _table(("name", "default", "values", "meaning"), rows)
    tuples = [f"`{name}` is the tuple `({', '.join(members)})`" for name, members in rule.aliases]
    return f"{table}\n\n{listed(tuples)}." if tuples else table


def states(rule: Rule) -> str:
    """Return a table of the states."""
    if not rule.states:
        return "None."
    rows = []
    for state in rule.states:
        sizes = ["8 per tensor"] * 2 if state.scalar else [str(state_width(state, w)) for w in PARAMETERS.values()]
        when = f"`{show(state.when)}`" if state.when is not None else "always"
        rows.append((f"`{state.name}`", f"`{show(state.init)}`", *sizes, when, state.doc))
    heads = [f"bytes, {name}" for name in PARAMETERS]
    return _table(("name", "starts as", *heads, "exists when", "meaning"), rows)


# Relations and claims


def related(entry: Entry, among: Mapping[str, Entry]) -> str:
    """Return a list of a rule's relations, with links to the pages of the others."""
    lines = []
    found = relations(entry, among)
    for kind, words in (
        ("made-from", "a chain of {}" if entry.chained else "made from {}"), ("dialect-of", "a library's form of {}"),
        ("base-of", "{} made from it"), ("dialect", "libraries' forms: {}"),
    ):  # fmt: skip
        names = list(dict.fromkeys(_link(one, entry, among) for one in found if one.kind == kind))
        verb = " is" if len(names) == 1 else " are"
        lines += [words.format(listed(names) + verb * (kind == "base-of"))] if names else []
    for one in found:
        claim = f" `{one.claim}`" if one.claim else ""
        if one.kind == "equals":
            lines.append(f"equals {_link(one, entry, among)}{claim}")
        elif one.kind == "equalled-by":
            lines.append(f"{_link(one, entry, among)} equals it{claim}")
    return "\n".join(f"- {line}" for line in lines)


def _link(relation: Relation, entry: Entry, among: Mapping[str, Entry]) -> str:
    return f"[{relation.shown}]({_up(entry)}{relation.rule}.md)" if relation.rule in among else relation.shown


def _up(entry: Entry) -> str:
    return "../" * entry.name.count("/")


def claims(rule: Rule) -> str:
    """Return the claims of a rule, each with what it means."""
    lines = [f"- `{claim.text}`: {meaning(claim, rule)}" for claim in rule.claims]
    return "\n".join([*lines, "", "`optdsl check` proves them exactly, over the real numbers."]) if lines else ""


def meaning(claim: Claim, rule: Rule) -> str:
    """Return a claim in words."""
    match claim:
        case Equals(other, given, when, steps):
            taken = listed([f"`{each.name} = {show(each.value)}`" for each in given]) if given else ""
            words = f"after each of {steps} steps the parameters are those of {other}" if steps > 1 else (
                f"after the first step the parameters are those of {other}"
            )  # fmt: skip
            return f"{words}{f' with {taken}' if taken else ''}, whatever the gradients{_where(when)}."
        case Invariant(changes, free, when, steps):
            turned = listed([f"`{show(value)}` in place of `{symbol.name}`" for symbol, value in changes])
            every = "".join(f" for every {symbol.name} in `{interval}`" for symbol, interval in free)
            return f"with {turned} the parameters take the same course{every}, over {steps} steps{_where(when)}."
        case Descends(when):
            return f"no element of the first step points along its gradient{_where(when)}."
        case Still(when):
            return f"a step leaves the parameters where they are{_where(when)}."


def _where(when: Settings) -> str:
    return f", if {listed([f'`{name} = {show(value)}`' for name, value in when])}" if when else ""


# Picture, use and code


def _picture(entry: Entry) -> list[str]:
    functions = listed([f"{name} function in {steps} steps" for name, steps in pictures.SHOWN.items()])
    words = (
        "Each dot is a step. The learning rate is, of those tried, the one that comes down soonest without "
        "rising above its start; other hyperparameters have their defaults."
    )
    return ["## Path", f"![The path of {entry.shown} on the {functions}]({entry.stem}.svg)", words]


def use(entry: Entry, rule: Rule) -> str:
    """Return how to use a rule from Python."""
    if rule.transform:
        behind = "after a rule" in rule.doc or not re.search(rf"^\s*{rule.gradient.name}'", rule.text, re.MULTILINE)
        order = listed_in_code(("adam", entry.stem) if behind else (entry.stem, "adam"))
        made = f"import optdsl\n\nRule = optdsl.chain({order})\n"
        return f"```python\n{made}opt = Rule(params, lr=1e-2)\nopt.step(grads)\n```"
    module = ".".join(["optdsl.optimizers", *([entry.folder] if entry.folder else [])])
    if find_spec(module) is not None:
        head = f"from {module} import {entry.title}\n"
    else:
        head = f'import optdsl\n\n{entry.title} = optdsl.load("{entry.name}")\n'
    rate = next((name for name in pictures.RATES if name in entry.hypers), None)
    options = f", {rate}={entry.hypers[rate]}" if rate else ""
    return f"```python\n{head}\nopt = {entry.title}(params{options})\nopt.step(grads)\n```"


def listed_in_code(names: Sequence[str]) -> str:
    """Return names as the arguments of a call."""
    return ", ".join(f'"{name}"' for name in names)


def code(entry: Entry, rule: Rule) -> list[str]:
    """Return the step in NumPy and in C, for float32 and where every hyperparameter is at its default."""
    rule = with_weight_decay(rule)
    program = pipeline.kernels(rule)
    values = defaults(rule)
    variant = sum(1 << bit for bit, condition in enumerate(program.conditions) if constant(condition, values))
    python = targets.find("numpy").emit(program, "step")["step.py"]
    c = targets.find("c").emit(program, "step")["step.c"]
    in_python = _blocks(python, rf"def _step_{variant}\(", "    ")
    between = f"|between_{variant}" if len(program.kernels[variant].phases) > 1 else ""
    in_c = _blocks(c, rf"static \w+ (?:prologue_{variant}{between}|phase_{variant}_\d+_f32)\(", ("    ", "}", "#"))
    in_c = re.sub(r"^#line.*\n", "", in_c, flags=re.MULTILINE)
    return [folded("The step in NumPy", "python", in_python), folded("The step in C, for float32", "c", in_c)]


def _blocks(text: str, opening: str, inside: str | tuple[str, ...]) -> str:
    """Return the functions whose first lines begin so; `inside` is how their other lines begin, unless empty."""
    lines, found = text.split("\n"), []
    for index, line in enumerate(lines):
        if re.match(opening, line):
            end = index + 1
            while end < len(lines) and lines[end].startswith(inside):
                end += 1
            found.append("\n".join(lines[index:end]))
    return "\n\n".join(found)


def folded(title: str, language: str, text: str) -> str:
    """Return code that is shown on demand."""
    return f'<details markdown="1">\n<summary>{title}</summary>\n\n```{language}\n{text}\n```\n\n</details>'


def main() -> int:
    """Write the pages, or with `--check` say which are stale."""
    try:
        texts = pages()
    except CompileError as error:
        print(error)
        return 1
    there = {path.relative_to(PAGES).as_posix(): path for path in PAGES.rglob("*") if path.is_file()}
    stale = [name for name, text in texts.items() if name not in there or there[name].read_text("utf-8") != text]
    over = sorted(there.keys() - texts.keys())
    if "--check" not in sys.argv:
        for name in stale:
            (PAGES / name).parent.mkdir(parents=True, exist_ok=True)
            (PAGES / name).write_text(texts[name], encoding="utf-8")
        for name in over:
            there[name].unlink()
    print(f"stale: {', '.join([*stale, *over])}" if stale or over else "up to date")
    return int(bool(stale or over) and "--check" in sys.argv)


if __name__ == "__main__":
    raise SystemExit(main())
