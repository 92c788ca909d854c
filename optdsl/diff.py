"""Whether two rules are the same, and where they part if not: what `optdsl diff` says."""

from __future__ import annotations

from collections.abc import Mapping

from optdsl.algebra.equivalence import compare
from optdsl.algebra.systems import literal
from optdsl.algebra.verdicts import Answer, Counterexample, Verdict
from optdsl.claims import numbers, point
from optdsl.diagnostics import closest
from optdsl.ir.arithmetic import Floats
from optdsl.ir.evaluate import defaults, initial_states
from optdsl.ir.nodes import Equation, Expr, Kind, Ref, Rule
from optdsl.ir.show import show
from optdsl.settings import check_settings, shown

Values = Mapping[str, float | bool]

SYNONYMS = (
    ("lr", "eta", "learning_rate", "step_size"),
    ("eps", "epsilon"),
    ("weight_decay", "decay", "wd"),
)
"""Names that libraries give to one hyperparameter. Those of two rules are taken equal, and the report says so."""


def pairs(first: Rule, second: Rule, given: Mapping[str, str]) -> dict[str, str]:
    """Return which hyperparameter of the first rule each one of the second is taken equal to.

    Those of one name are, and those with names that mean the same. `given` are pairs asked for. Raises ValueError for a
    name that a rule hasn't got.
    """
    names, others = _names(first), _names(second)
    for theirs, mine in given.items():
        if theirs in names and mine in others and theirs not in others:
            raise ValueError(f"--with names the second rule's hyperparameter first: {mine}={theirs}")
        for name, known, rule in ((theirs, others, second), (mine, names, first)):
            if name not in known:
                near = closest(name, known)
                hint = f"; did you mean {near!r}?" if near else ""
                raise ValueError(f"{rule.name} has no hyperparameter {name!r}{hint}")
        if _kind(second, theirs) is not _kind(first, mine):
            raise ValueError(f"{theirs} is a {_kind(second, theirs).value} and {mine} a {_kind(first, mine).value}")
    found = {name: name for name in others if name in names and _kind(first, name) is _kind(second, name)}
    for group in SYNONYMS:
        ours = [name for name in group if name in names and name not in others]
        other = [name for name in group if name in others and name not in names]
        if len(ours) == len(other) == 1:
            found[other[0]] = ours[0]
    found |= given
    return {name: found[name] for name in others if name in found}


def _kind(rule: Rule, name: str) -> Kind:
    return next(hyper.symbol.kind for hyper in rule.hypers if hyper.symbol.name == name)


def _names(rule: Rule) -> list[str]:
    return [hyper.symbol.name for hyper in rule.hypers]


def check_fixed(first: Rule, second: Rule, fixed: Values) -> None:
    """Raise ValueError for a value that neither rule takes."""
    for name, value in fixed.items():
        having = [rule for rule in (first, second) if name in _names(rule)]
        for rule in having:
            check_settings(rule, {name: value})
        if not having:
            near = closest(name, [*_names(first), *_names(second)])
            hint = f"; did you mean {near!r}?" if near else ""
            raise ValueError(f"neither {first.name} nor {second.name} has a hyperparameter {name!r}{hint}")


def difference(
    first: Rule, second: Rule, fixed: Values, given: Mapping[str, str], steps: int, titles: tuple[str, str]
) -> tuple[bool, str]:
    """Return whether two rules are proved to be the same, and a report that calls them by their titles.

    `fixed` holds values of hyperparameters of either rule, `given` says which of the first rule's hyperparameters one
    of the second's is equal to. Raises ValueError for names and values that the rules don't take.
    """
    check_fixed(first, second, fixed)
    taken = pairs(first, second, given)
    values: dict[str, Expr] = {}
    theirs: dict[str, Expr] = {}
    for hyper in first.hypers:
        name = hyper.symbol.name
        equal = [other for other, mine in taken.items() if mine == name]
        value = next((fixed[known] for known in (name, *equal) if known in fixed), None)
        values |= {} if value is None else {name: literal(value)}
        theirs |= dict.fromkeys(equal, Ref(hyper.symbol) if value is None else literal(value))
    theirs |= {name: literal(value) for name, value in fixed.items() if name in _names(second)}
    verdict = compare(first, second, values, theirs, steps)
    lines = _verdict(first, second, verdict, titles) + _assumed(first, second, taken, fixed, titles)
    return verdict.answer is Answer.PROVED, "\n".join(lines)


def _other_defaults(first: Rule, second: Rule, taken: Mapping[str, str], fixed: Values) -> list[str]:
    """Return which hyperparameters that were taken equal have defaults that differ."""
    mine, theirs = defaults(first), defaults(second)
    pairs = [(mine[other], name, theirs[name]) for name, other in taken.items() if not {name, other} & set(fixed)]
    apart = [f"{name} ({shown(one)} and {shown(two)})" for one, name, two in pairs if one != two]
    return [f"though their defaults differ: {', '.join(apart)}"] if apart else []


def _assumed(first: Rule, second: Rule, taken: Mapping[str, str], fixed: Values, titles: tuple[str, str]) -> list[str]:
    """Return what the hyperparameters were taken to be."""
    equal = [name if name == other else f"{name} = {other}" for name, other in taken.items() if name not in fixed]
    rest = [h for h in second.hypers if h.symbol.name not in taken and h.symbol.name not in fixed]
    left = ", ".join(f"{h.symbol.name} = {show(h.default)}" for h in rest)
    lines = [f"with {' and '.join(f'{name} = {shown(value)}' for name, value in fixed.items())}"] if fixed else []
    lines += [f"taken equal: {', '.join(equal)}"] if equal else []
    lines += _other_defaults(first, second, taken, fixed)
    return [*lines, f"at the defaults of {titles[1]}: {left}"] if rest else lines


def _verdict(first: Rule, second: Rule, verdict: Verdict, titles: tuple[str, str]) -> list[str]:
    both = " and ".join(titles)
    match verdict.answer:
        case Answer.PROVED:
            steps = "" if verdict.steps is None else f" for {verdict.steps} step{'' if verdict.steps == 1 else 's'}"
            return [f"{both} are the same{steps}.", _sentence(verdict.words)]
        case Answer.UNPROVED:
            return [f"{both} seem to be the same.", _sentence(verdict.words)]
        case Answer.UNKNOWN:
            return [f"It is not known whether {both} are the same.", _sentence(verdict.words)]
        case Answer.REFUTED:
            assert verdict.counterexample is not None
            return _parted(first, second, verdict.counterexample, titles)


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def _parted(first: Rule, second: Rule, found: Counterexample, titles: tuple[str, str]) -> list[str]:
    """Return where two rules part, with the values, the equations and the difference."""
    new, (one, other) = f"{first.parameter.name}'", numbers(found.first, found.second)
    lines = [
        f"{' and '.join(titles)} part at step {found.step}, where {point(found, first)}:",
        f"  {new} is {one} in {titles[0]} and {other} in {titles[1]}",
    ]
    starts = _starts(first, second, found)
    if starts:
        lines.append(f"They start with other states: {starts}")
    elif found.parting is not None:
        lines.append("They part in")
        one, other = numbers(found.parting.first_value, found.parting.second_value)
        lines += _side(first, found.parting.first, one, titles[0])
        lines += _side(second, found.parting.second, other, titles[1])
        if found.parting.difference is not None:
            lines.append(f"  whose difference is {found.parting.difference}")
    if found.difference is not None:
        at = " with these numbers" if found.with_numbers else ""
        lines.append(f"The difference of the two {new}{at} is {found.difference}")
    return lines


def _starts(first: Rule, second: Rule, found: Counterexample) -> str:
    """Return how states of one name start, where that differs in the two rules."""
    shared = [state.name for state in first.states if any(other.name == state.name for other in second.states)]
    values = [
        initial_states(rule, Floats(), dict(hypers), list(found.x), (1, len(found.x)))
        for rule, hypers in ((first, found.hypers), (second, found.second_hypers))
    ]
    apart = [name for name in shared if all(name in states for states in values) and values[0][name] != values[1][name]]
    sides = ((first.state(name).init, second.state(name).init) for name in apart)
    return ", ".join(f"{name} = {show(one)} and {show(two)}" for name, (one, two) in zip(apart, sides, strict=True))


def _side(rule: Rule, equation: Equation, value: str, title: str) -> list[str]:
    """Return an equation with its place and its value."""
    place = "" if equation.span is None else ", {}:{}".format(*rule.place(equation.span[0]))
    return [f"  {title}{place}", f"    {equation.text}    ({value})"]
