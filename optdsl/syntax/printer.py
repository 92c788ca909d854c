"""Expressions as people read them, from the surface tree: the author's order and names, in Unicode or LaTeX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from optdsl.syntax.ast import Call, Conditional, Expression, Literal, Operation, Variable

LEVELS = {
    "or": 1, "and": 2, "not": 3, "<": 4, "<=": 4, ">": 4, ">=": 4, "==": 4, "!=": 4, "+": 5, "-": 5, "*": 6, "/": 6,
    "neg": 7, "^": 8,
}  # fmt: skip
IF, ATOM = 0, 9

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "eps": "ε", "zeta": "ζ", "eta": "η",
    "theta": "θ", "kappa": "κ", "lam": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ",
    "tau": "τ", "phi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω",
}  # fmt: skip
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_SIGNS = {"-": " − ", "+": " + ", "*": "·", "/": "/", "<=": " ≤ ", ">=": " ≥ ", "!=": " ≠ ", "==": " = ", "<": " < ",
          ">": " > ", "and": " and ", "or": " or "}  # fmt: skip


@dataclass(frozen=True)
class _Style:
    """How one notation writes what the two differ in."""

    name: Callable[[str, bool], str]
    number: Callable[[Literal], str]
    operation: Callable[[str, list[str]], str]
    call: Callable[[str, list[str]], str]
    conditional: Callable[[str, str, str], str]
    brackets: tuple[str, str]
    fractions: bool


def _split_digits(name: str) -> tuple[str, str]:
    stem = name.rstrip("0123456789")
    return stem, name[len(stem) :]


def unicode_name(name: str, primed: bool = False) -> str:
    """Return a name with Greek letters and subscripts: `beta1` is `β₁`."""
    stem, digits = _split_digits(name)
    return f"{GREEK.get(stem, stem)}{digits.translate(_SUBSCRIPTS)}{'′' if primed else ''}"


def _unicode_operation(operator: str, parts: list[str]) -> str:
    if operator == "neg":
        return f"−{parts[0]}"
    if operator == "not":
        return f"not {parts[0]}"
    if operator == "^":
        return f"{parts[0]}{parts[1].translate(_SUPERSCRIPTS)}" if parts[1].isdecimal() else f"{parts[0]}^{parts[1]}"
    return _SIGNS[operator].join(parts)


def _unicode_call(name: str, arguments: list[str]) -> str:
    if name == "sqrt":
        return f"√({arguments[0]})" if len(arguments[0]) > 2 else f"√{arguments[0]}"
    if name == "abs":
        return f"|{arguments[0]}|"
    if name == "norm":
        return f"‖{arguments[0]}‖"
    return f"{unicode_name(name)}({', '.join(arguments)})"


def _unicode_number(literal: Literal) -> str:
    if isinstance(literal.value, bool):
        return str(literal.value).lower()
    return "∞" if literal.value == float("inf") else literal.text


UNICODE = _Style(
    unicode_name, _unicode_number, _unicode_operation, _unicode_call,
    lambda condition, chosen, other: f"if {condition} then {chosen} else {other}", ("(", ")"), fractions=False,
)  # fmt: skip


def _ascii_operation(operator: str, parts: list[str]) -> str:
    if len(parts) == 1:
        return f"-{parts[0]}" if operator == "neg" else f"not {parts[0]}"
    return (operator if operator in "*/^" else f" {operator} ").join(parts)


ASCII = _Style(
    lambda name, primed: f"{name}'" if primed else name, lambda literal: literal.text, _ascii_operation,
    lambda name, arguments: f"{name}({', '.join(arguments)})", UNICODE.conditional, ("(", ")"), fractions=False,
)  # fmt: skip
"""The language itself: what it renders reads back as the same tree."""

_LATEX_COMMANDS = frozenset(GREEK) - {"eps", "lam", "omicron"}
_LATEX_SIGNS = {
    "+": " + ", "-": " - ", "*": r" \, ", "<=": r" \le ", ">=": r" \ge ", "!=": r" \ne ", "==": " = ", "<": " < ",
    ">": " > ", "and": r" \land ", "or": r" \lor ",
}  # fmt: skip
_LATEX_FUNCTIONS = {"exp", "log", "sin", "cos", "tanh", "min", "max"}


def latex_name(name: str, primed: bool = False) -> str:
    """Return a name in LaTeX: `beta1` is a Greek letter with a subscript, `weight_decay` upright."""
    stem, digits = _split_digits(name)
    if stem in _LATEX_COMMANDS:
        text = f"\\{stem}"
    elif stem in ("eps", "lam"):
        text = {"eps": r"\varepsilon", "lam": r"\lambda"}[stem]
    else:
        escaped = stem.replace("_", r"\_")
        text = escaped if len(stem) == 1 else f"\\mathrm{{{escaped}}}"
    return f"{text}{f'_{{{digits}}}' if digits else ''}{chr(39) if primed else ''}"


def _latex_number(literal: Literal) -> str:
    if isinstance(literal.value, bool):
        return f"\\mathrm{{{str(literal.value).lower()}}}"
    if literal.value == float("inf"):
        return r"\infty"
    mantissa, _, exponent = literal.text.lower().partition("e")
    if not exponent:
        return literal.text
    power = f"10^{{{int(exponent)}}}"
    return power if mantissa == "1" else f"{mantissa} \\cdot {power}"


def _latex_operation(operator: str, parts: list[str]) -> str:
    if operator == "neg":
        return f"-{parts[0]}"
    if operator == "not":
        return f"\\lnot {parts[0]}"
    if operator == "^":
        return f"{{{parts[0]}}}^{{{parts[1]}}}"
    if operator == "/":
        return f"\\frac{{{parts[0]}}}{{{parts[1]}}}"
    return _LATEX_SIGNS[operator].join(parts)


def _latex_call(name: str, arguments: list[str]) -> str:
    inner = ", ".join(arguments)
    if name == "sqrt":
        return f"\\sqrt{{{inner}}}"
    if name == "cbrt":
        return f"\\sqrt[3]{{{inner}}}"
    if name == "abs":
        return f"\\left|{inner}\\right|"
    if name == "norm":
        return f"\\left\\lVert{inner}\\right\\rVert"
    shown = f"\\{name}" if name in _LATEX_FUNCTIONS else f"\\operatorname{{{name.replace('_', chr(92) + '_')}}}"
    return f"{shown}\\left({inner}\\right)"


LATEX = _Style(
    latex_name, _latex_number, _latex_operation, _latex_call,
    lambda condition, chosen, other: (
        f"\\begin{{cases}} {chosen} & \\text{{if }} {condition} \\\\ {other} & \\text{{otherwise}} \\end{{cases}}"
    ),
    (r"\left(", r"\right)"), fractions=True,
)  # fmt: skip


def render(expression: Expression, style: _Style = UNICODE) -> str:
    """Return an expression in a notation, with the fewest brackets that keep its meaning."""
    return _render(expression, style)[0]


def _render(node: Expression, style: _Style) -> tuple[str, int]:
    match node:
        case Literal():
            return style.number(node), ATOM
        case Variable(name, primed):
            return style.name(name, primed), ATOM
        case Call(function, arguments):
            return style.call(function.text, [render(argument, style) for argument in arguments]), ATOM
        case Conditional(condition, chosen, other):
            return style.conditional(*(render(part, style) for part in (condition, chosen, other))), IF
        case Operation(operator, operands):
            return _operation(operator, operands, style)


def _operation(operator: str, operands: tuple[Expression, ...], style: _Style) -> tuple[str, int]:
    level = LEVELS[operator]
    if operator == "/" and style.fractions:
        return style.operation(operator, [render(part, style) for part in operands]), ATOM
    if len(operands) == 1:
        return style.operation(operator, [_at(operands[0], level, style)]), level
    left, right = level, level + 1
    if operator == "^":
        left, right = level + 1, (IF if style.fractions else LEVELS["neg"])
    elif level == LEVELS["<"]:
        left = level + 1
    return style.operation(operator, [_at(operands[0], left, style), _at(operands[1], right, style)]), level


def _at(node: Expression, level: int, style: _Style) -> str:
    text, own = _render(node, style)
    opening, closing = style.brackets
    return text if own >= level else f"{opening}{text}{closing}"
