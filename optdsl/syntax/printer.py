"""Expressions as people read them, from the surface tree: the author's order and names.

The notations are styles: UNICODE and ASCII here, LaTeX in `latex.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from optdsl.syntax.ast import Call, Conditional, Expression, Literal, Operation, Variable

LEVELS = {
    "or": 1, "and": 2, "not": 3, "<": 4, "<=": 4, ">": 4, ">=": 4, "==": 4, "!=": 4, "+": 5, "-": 5, "*": 6, "/": 6,
    "%": 6, "neg": 7, "^": 8,
}  # fmt: skip
IF, ATOM = 0, 9

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "eps": "ε", "zeta": "ζ", "eta": "η",
    "theta": "θ", "kappa": "κ", "lam": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ",
    "tau": "τ", "phi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω",
}  # fmt: skip
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_SIGNS = {"-": " − ", "+": " + ", "*": "·", "/": "/", "%": " mod ", "<=": " ≤ ", ">=": " ≥ ", "!=": " ≠ ",
          "==": " = ", "<": " < ", ">": " > ", "and": " and ", "or": " or "}  # fmt: skip
_FENCES = {"abs": ("|", "|"), "norm": ("‖", "‖"), "floor": ("⌊", "⌋")}


Given = Sequence[tuple[str, str]]
"""The named arguments of a call, with their values in the language."""


@dataclass(frozen=True)
class Style:
    """How one notation writes what notations differ in.

    A number comes with its level among the operators. A conditional has its conditions and what each chooses, then what
    is left. `fractions` says that a quotient and an exponent need no brackets inside. `minus` is how an operand begins
    that needs brackets unless it stands first, as in a·(−b); "" for a notation where it doesn't.
    """

    name: Callable[[str, bool], str]
    number: Callable[[Literal], tuple[str, int]]
    operation: Callable[[str, list[str]], str]
    call: Callable[[str, list[str], Given], str]
    conditional: Callable[[Sequence[tuple[str, str]], str], str]
    brackets: tuple[str, str]
    fractions: bool = False
    minus: str = ""


def split_digits(name: str) -> tuple[str, str]:
    """Return a name without the digits at its end, and those."""
    stem = name.rstrip("0123456789")
    return stem, name[len(stem) :]


def unicode_name(name: str, primed: bool = False) -> str:
    """Return a name with Greek letters and subscripts: `beta1` is `β₁`."""
    stem, digits = split_digits(name)
    return f"{GREEK.get(stem, stem)}{digits.translate(_SUBSCRIPTS)}{'′' if primed else ''}"


def _unicode_operation(operator: str, parts: list[str]) -> str:
    if operator == "neg":
        return f"−{parts[0]}"
    if operator == "not":
        return f"not {parts[0]}"
    if operator == "^":
        return f"{parts[0]}{parts[1].translate(_SUPERSCRIPTS)}" if parts[1].isdecimal() else f"{parts[0]}^{parts[1]}"
    return _SIGNS[operator].join(parts)


def in_brackets(arguments: Sequence[str], given: Given) -> str:
    """Return the arguments of a call as the language writes them."""
    return ", ".join([*arguments, *(f"{name}={value}" for name, value in given)])


def _unicode_call(name: str, arguments: list[str], given: Given) -> str:
    if name == "sqrt":
        return f"√({arguments[0]})" if len(arguments[0]) > 2 else f"√{arguments[0]}"
    if name in _FENCES and not given:
        opening, closing = _FENCES[name]
        return f"{opening}{arguments[0]}{closing}"
    return f"{unicode_name(name)}({in_brackets(arguments, given)})"


def _unicode_number(literal: Literal) -> tuple[str, int]:
    if isinstance(literal.value, bool):
        return str(literal.value).lower(), ATOM
    return "∞" if literal.value == float("inf") else literal.text, ATOM


def _conditional(arms: Sequence[tuple[str, str]], other: str) -> str:
    return "if " + " elif ".join(f"{condition} then {chosen}" for condition, chosen in arms) + f" else {other}"


UNICODE = Style(
    unicode_name, _unicode_number, _unicode_operation, _unicode_call, _conditional, ("(", ")"), minus="−"
)  # fmt: skip


def unicode_style(names: Iterable[str]) -> Style:
    """Return UNICODE for a rule of these names: two that would look the same, `eps` and `epsilon`, stay as they are."""
    distinct = list(dict.fromkeys(names))
    looks = Counter(unicode_name(name) for name in distinct)
    alike = {name for name in distinct if looks[unicode_name(name)] > 1}
    if not alike:
        return UNICODE
    return replace(
        UNICODE, name=lambda name, primed: f"{name}{'′' * primed}" if name in alike else unicode_name(name, primed)
    )


def _ascii_operation(operator: str, parts: list[str]) -> str:
    if len(parts) == 1:
        return f"-{parts[0]}" if operator == "neg" else f"not {parts[0]}"
    return (operator if operator in "*/^" else f" {operator} ").join(parts)


ASCII = Style(
    lambda name, primed: f"{name}'" if primed else name, lambda literal: (literal.text, ATOM), _ascii_operation,
    lambda name, arguments, given: f"{name}({in_brackets(arguments, given)})", _conditional, ("(", ")"),
)  # fmt: skip
"""The language itself: what it renders reads back as the same tree."""


def render(expression: Expression, style: Style = UNICODE) -> str:
    """Return an expression in a notation, with the fewest brackets that keep its meaning."""
    return _render(expression, style)[0]


def _render(node: Expression, style: Style) -> tuple[str, int]:
    match node:
        case Literal():
            return style.number(node)
        case Variable(name, primed):
            return style.name(name, primed), ATOM
        case Call(function, arguments, options=options):
            given = [(option.name.text, render(option.value, ASCII)) for option in options]
            return style.call(function.text, [render(argument, style) for argument in arguments], given), ATOM
        case Conditional():
            arms = []
            rest: Expression = node
            while isinstance(rest, Conditional):
                arms.append((render(rest.condition, style), render(rest.chosen, style)))
                rest = rest.other
            return style.conditional(arms, render(rest, style)), IF
        case Operation(operator, operands):
            return _operation(operator, operands, style)


def _operation(operator: str, operands: tuple[Expression, ...], style: Style) -> tuple[str, int]:
    level = LEVELS[operator]
    if operator == "/" and style.fractions:
        above, below = _factors(Operation(operator, operands, operands[0].span, 1))
        return style.operation(operator, [_product(above, style), _product(below, style)]), LEVELS["^"]
    if len(operands) == 1:
        needed = ATOM if operator == "not" and style.fractions else level
        return style.operation(operator, [_at(operands[0], needed, style, first=False)]), level
    left, right = level, level + 1
    if operator == "^":
        left, right = level + 1, (IF if style.fractions else LEVELS["neg"])
    elif level == LEVELS["<"]:
        left = level + 1
    alone = operator == "^" or level <= LEVELS["<"]  # a minus sign to the right of these can't be misread
    parts = [_at(operands[0], _clear(operands[0], left), style), _at(operands[1], right, style, first=alone)]
    return style.operation(operator, parts), level


def _clear(first: Expression, level: int) -> int:
    """Return the level a first operand needs: `a mod b·c` could be read in two ways, though the language has one."""
    remainder = isinstance(first, Operation) and first.operator == "%"
    return level + 1 if remainder and level == LEVELS["*"] else level


def _factors(node: Expression) -> tuple[list[Expression], list[Expression]]:
    """Return what a/b*c/d multiplies and what it divides by, so that no fraction stands in a fraction."""
    if not isinstance(node, Operation) or node.operator not in ("*", "/"):
        return [node], []
    above, below = _factors(node.operands[0])
    (above if node.operator == "*" else below).append(node.operands[1])
    return above, below


def _product(factors: Sequence[Expression], style: Style) -> str:
    if len(factors) == 1:
        return render(factors[0], style)
    text = _at(factors[0], _clear(factors[0], LEVELS["*"]), style)
    for factor in factors[1:]:
        text = style.operation("*", [text, _at(factor, LEVELS["*"] + 1, style, first=False)])
    return text


def _at(node: Expression, level: int, style: Style, first: bool = True) -> str:
    text, own = _render(node, style)
    opening, closing = style.brackets
    misread = not first and style.minus and text.startswith(style.minus)
    return text if own >= level and not misread else f"{opening}{text}{closing}"
