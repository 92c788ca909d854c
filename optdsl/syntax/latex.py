"""LaTeX for expressions: what LaTeX with amsmath, KaTeX and MathJax all typeset."""

from __future__ import annotations

from collections.abc import Sequence

from optdsl.syntax.ast import Literal
from optdsl.syntax.printer import ATOM, GREEK, LEVELS, Given, Style, split_digits

_LETTERS = {name: rf"\{name}" for name in GREEK if name not in ("eps", "lam")}
_LETTERS |= {"eps": r"\varepsilon", "lam": r"\lambda", "Lam": r"\Lambda"}
_LETTERS |= {
    name: rf"\{name}" for name in ("Gamma", "Delta", "Theta", "Xi", "Pi", "Sigma", "Phi", "Psi", "Omega")
}  # fmt: skip
"""Names that are a letter: Greek, as Unicode spellings are read. `eps` and `epsilon` are the two forms of one."""
_SIGNS = {
    "+": " + ", "-": " - ", "<=": r" \le ", ">=": r" \ge ", "!=": r" \ne ", "==": " = ", "<": " < ", ">": " > ",
    "%": r" \bmod ", "and": r" \land ", "or": r" \lor ",
}  # fmt: skip
_COMMANDS = frozenset({"exp", "log", "sin", "cos", "tanh", "min", "max"})
_FENCES = {
    "abs": (r"\left|", r"\right|"),
    "norm": (r"\left\lVert ", r"\right\rVert"),
    "norm1": (r"\left\lVert ", r"\right\rVert_{1}"),
    "floor": (r"\left\lfloor ", r"\right\rfloor"),
}


def latex_name(name: str, primed: bool = False) -> str:
    """Return a name in LaTeX: `beta1` is a Greek letter with a subscript, `weight_decay` upright.

    Different names give different LaTeX.
    """
    stem, digits = split_digits(name)
    upright = f"\\mathrm{{{_escaped(stem)}}}"
    text = _LETTERS.get(stem, stem if len(stem) == 1 and stem.isalpha() else upright)
    return f"{text}{f'_{{{digits}}}' if digits else ''}{chr(39) if primed else ''}"


def latex_function(name: str) -> str:
    """Return the name of a function in LaTeX, as it stands before its arguments."""
    if name in _COMMANDS:
        return f"\\{name}"
    stem, _ = split_digits(name)
    return latex_name(name) if stem in _LETTERS or len(stem) == 1 else f"\\operatorname{{{_escaped(name)}}}"


def _escaped(name: str) -> str:
    return name.replace("_", r"\_")


def _number(literal: Literal) -> tuple[str, int]:
    if isinstance(literal.value, bool):
        return f"\\mathrm{{{str(literal.value).lower()}}}", ATOM
    if literal.value == float("inf"):
        return r"\infty", ATOM
    mantissa, _, exponent = literal.text.lower().partition("e")
    if not exponent:
        return literal.text, ATOM
    power = f"10^{{{int(exponent)}}}"
    if float(mantissa) == 1:
        return power, LEVELS["^"]
    return f"{mantissa} \\cdot {power}", LEVELS["*"]


def _operation(operator: str, parts: list[str]) -> str:
    match operator:
        case "neg":
            return f"-{parts[0]}"
        case "not":
            return f"\\lnot {parts[0]}"
        case "^":
            # A prime is a superscript of its own: v'^{2} has two.
            base = f"{{{parts[0]}}}" if parts[0].endswith("'") else parts[0]
            return f"{base}^{{{parts[1]}}}"
        case "/":
            return f"\\frac{{{parts[0]}}}{{{parts[1]}}}"
        case "*":
            # Only a sign keeps a number apart from what stands before it.
            return (r" \cdot " if parts[1].lstrip("{")[:1].isdigit() else r" \, ").join(parts)
    return _SIGNS[operator].join(parts)


def _call(name: str, arguments: list[str], given: Given) -> str:
    inner = ", ".join(arguments)
    below = ", ".join(f"\\mathrm{{{_escaped(value)}}}" for _, value in given)
    under = f"_{{{below}}}" if below else ""
    if name == "sqrt":
        return f"\\sqrt{{{inner}}}"
    if name == "cbrt":
        return f"\\sqrt[3]{{{inner}}}"
    if name in _FENCES:
        opening, closing = _FENCES[name]
        # The norm over rows of magnitudes has two things below it.
        closing = f"{closing[:-1]}, {below}}}" if below and closing.endswith("}") else closing + under
        return f"{opening}{inner}{closing}"
    return f"{latex_function(name)}{under}\\left({inner}\\right)"


def _conditional(arms: Sequence[tuple[str, str]], other: str) -> str:
    rows = [f"{chosen} & \\text{{if }} {condition}" for condition, chosen in arms]
    body = " \\\\ ".join([*rows, f"{other} & \\text{{otherwise}}"])
    return f"\\begin{{cases}} {body} \\end{{cases}}"


LATEX = Style(
    latex_name, _number, _operation, _call, _conditional, (r"\left(", r"\right)"), fractions=True, minus="-"
)  # fmt: skip
