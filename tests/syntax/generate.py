"""Random surface text: well-formed rules as no tidy author would lay them out."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

NAMES = (
    ("x",), ("g",), ("m",), ("v_hat",), ("lr",), ("eps",), ("steps",), ("still",), ("lambd",), ("beta1", "β₁", "β1"),
    ("epsilon", "ε", "ϵ"), ("lam", "λ"), ("sigma", "σ", "ς"), ("Delta12", "Δ₁₂"), ("theta", "θ", "ϑ"), ("l", "ℓ"),
    ("mu", "μ", "µ"), ("x1", "x₁"), ("omicron", "ο"), ("Rho", "Ρ"), ("t0",), ("nu_2", "ν_2"), ("Lam", "Λ"),
)  # fmt: skip
NUMBERS = ("0", "1", "2", "10", "0.999", "1e-3", "1E+05", ".5", "2.", "1.10e-1", "007", "1234")
FUNCTIONS = ("sqrt", "sqrt", "ema", "f", "log1p", "max", "μ", "norm1")
SIGNS = {
    "*": "*·×⋅", "/": "/÷", "-": "-−", "'": "'′’", "<=": ("<=", "≤"), ">=": (">=", "≥"), "!=": ("!=", "≠"), "<": "<",
    ">": ">", "==": ("==",), "inf": ("inf", "∞"), "in": ("in", "∈"), "->": ("->", "→"), "+": "+", "%": "%", "^": "^",
}  # fmt: skip
COMMENTS = ("#", "# why", "#tight", "#  wide  ", '# "quoted" (', "# β₁ ≤ λ", "# allow: unused-hyper", "# x' = x - g")
DOCS = ('""', '"learning rate"', '"  blanks  "', '"a # in it"', '"β₁ in [0, 1)"', '"(("')
BLANKS = ("", "", " ", " ", " ", "  ", "\t", " \t ", "\f")

_WORD = re.compile(r"[\w.]")


class Surface:
    """Writes rules by chance. The same seed gives the same rule."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.chained = False

    def rule(self) -> str:
        """Return the text of a rule without syntax errors."""
        chance = self.chance
        parts = [self.gap(), self.header()]
        parts += [self.section("hyper", self.hyper)] if self.often() else []
        if not self.chained:
            parts += [self.section("state", self.state)] if self.often() else []
            parts += [self.gap() + self.line(self.define(), "") for _ in range(chance.choice((0, 0, 1, 2)))]
            parts += [self.section("update", self.equation)]
        parts += [self.gap() + self.line(self.view(), "") for _ in range(chance.choice((0, 0, 1, 2)))]
        parts += [self.section("claim", self.claim)] if self.often() else []
        parts.append(self.gap())
        text = "".join(parts)
        text = text.rstrip("\n") if self.seldom() else text
        return text.replace("\n", "\r\n") if self.seldom() else text

    def often(self) -> bool:
        """Return true two times in three."""
        return self.chance.random() < 2 / 3

    def seldom(self) -> bool:
        """Return true one time in eight."""
        return self.chance.random() < 1 / 8

    # Lines

    def gap(self) -> str:
        """Return empty lines and comments that have lines to themselves, or nothing."""
        lines = []
        while self.chance.random() < 0.3:
            comment = self.chance.choice((self.blank() + self.chance.choice(COMMENTS), self.blank()))
            lines.append(f"{comment}\n")
        return "".join(lines)

    def blank(self) -> str:
        """Return some blanks, or none."""
        return self.chance.choice(BLANKS)

    def ending(self) -> str:
        """Return the end of a line, with a comment now and then."""
        return self.blank() + (self.chance.choice(COMMENTS) if self.seldom() else "") + "\n"

    def line(self, tokens: list[str], indent: str | None = None) -> str:
        """Return an entry as text: tokens with blanks between them, and within brackets with line ends and comments."""
        text, depth = self.blank() if indent is None else indent, 0
        for before, token in zip(["", *tokens], tokens, strict=False):
            if before:
                text += self.between(before, token, depth)
            text += token
            depth += (token in "([") - (token in ")]")
        return text + self.ending()

    def between(self, before: str, token: str, depth: int) -> str:
        """Return what stands between two tokens."""
        needed = bool(_WORD.match(before[-1]) and _WORD.match(token[0]))
        if depth and self.chance.random() < 0.04:
            return self.ending() + self.blank()
        return self.blank() or (" " if needed else "")

    def section(self, word: str, entry: Callable[[], list[str]]) -> str:
        """Return a section of a few lines."""
        lines = [self.gap() + self.line(entry()) for _ in range(self.chance.choice((1, 1, 1, 2)))]
        return self.gap() + word + self.ending() + "".join(lines)

    def header(self) -> str:
        """Return the line of `rule` and what stands below it."""
        line = ["rule", "Rule", "(", self.name(), ",", self.name(), ")"]
        base = ["from", *(["flux", "/"] if self.seldom() else []), "Adam"]
        line += base if self.seldom() else self.components() if self.seldom() else []
        below = [["cite", self.doc(), self.doc()], [self.doc()], ["cite", self.doc()], ["family", '"Adam"']]
        chosen = self.chance.sample(below, self.chance.choice((0, 1, 2, 3)))
        return self.line(line + self.documented(), "") + "".join(self.gap() + self.line(each) for each in chosen)

    def components(self) -> list[str]:
        """Return a chain, or nothing."""
        self.chained, tokens = True, ["="]
        for index in range(self.chance.choice((1, 2, 3))):
            tokens += ["|>"] if index else []
            tokens += [*(["optax", self.sign("/")] if self.seldom() else []), self.chance.choice(("adam", "l", "mu"))]
            tokens += ["(", self.name(), "=", *self.expression(1), ")"] if self.often() else []
        return tokens

    def hyper(self) -> list[str]:
        """Return a line of the section `hyper`."""
        if self.seldom():
            return ["alias", self.name(), "=", "(", self.name(), ",", self.name(), ")", *self.documented()]
        tokens = [self.name(), "=", *self.expression(1)]
        if self.often():
            low, high = self.chance.choice("(["), self.chance.choice(")]")
            tokens += [self.sign("in"), low, *self.power(0), ",", *self.sum(0), high]
        return tokens + self.documented()

    def state(self) -> list[str]:
        """Return a line of the section `state`."""
        kind = [":", self.chance.choice(("scalar", "f32", "bf16"))] if self.seldom() else []
        when = ["when", *self.expression(1)] if self.seldom() else []
        return [self.name(), *kind, "=", *self.expression(1), *when, *self.documented()]

    def define(self) -> list[str]:
        """Return the definition of a function."""
        arguments = [self.name() for _ in range(self.chance.choice((0, 1, 2)))]
        name = self.chance.choice(FUNCTIONS)
        return ["def", name, *_call(arguments), "=", *self.expression(1), *self.documented()]

    def equation(self) -> list[str]:
        """Return a line of the section `update`."""
        prime = [self.sign("'")] if self.often() else []
        return [self.name(), *prime, "=", *self.expression(2), *self.documented()]

    def view(self) -> list[str]:
        """Return a view."""
        return ["view", self.name(), "=", *self.expression(2), *self.documented()]

    def claim(self) -> list[str]:
        """Return a line of the section `claim`."""
        kind = self.chance.choice(("equals", "invariant", "descends", "still"))
        tokens = [kind]
        if kind == "equals":
            tokens += ["Adam", *(["with", *self.settings("=")] if self.seldom() else [])]
        if kind == "invariant":
            tokens += self.settings(self.sign("->"))
            tokens += ["for", *self.settings(self.sign(self.chance.choice((">", "<=", "!="))))] if self.often() else []
        tokens += ["when", *self.settings("=")] if self.often() else []
        if kind in ("equals", "invariant") and self.seldom():
            tokens += ["for", self.chance.choice(("2", "16")), "steps"]
        return tokens

    def settings(self, sign: str) -> list[str]:
        """Return parts of a claim, joined by `and`."""
        parts: list[str] = []
        for _ in range(self.chance.choice((1, 1, 2))):
            parts += [*(["and"] if parts else []), self.name(claim=True), sign, *self.sum(0, claim=True)]
        return parts

    # Expressions

    def name(self, claim: bool = False) -> str:
        """Return a name in one of its spellings; in a claim, none that is a word there."""
        spellings = self.chance.choice([each for each in NAMES if not claim or each[0] not in ("steps", "still")])
        return self.chance.choice(spellings)

    def sign(self, ascii_form: str) -> str:
        """Return a sign in one of its spellings, in ASCII more often than not."""
        return ascii_form if self.often() else self.chance.choice(SIGNS[ascii_form])

    def doc(self) -> str:
        """Return a doc string."""
        return self.chance.choice(DOCS)

    def documented(self) -> list[str]:
        """Return a doc string now and then."""
        return [self.doc()] if self.seldom() else []

    def expression(self, depth: int) -> list[str]:
        """Return the tokens of an expression that holds brackets up to a depth."""
        chance = self.chance
        if depth and self.seldom():
            other = ["else", *self.expression(depth - 1)]
            if self.seldom():
                other = ["elif", *self.condition(depth - 1), "then", *self.sum(depth - 1), *other]
            return ["if", *self.condition(depth - 1), "then", *self.sum(depth - 1), *other]
        return self.condition(depth) if chance.random() < 0.1 else self.sum(depth)

    def condition(self, depth: int) -> list[str]:
        """Return conditions and comparisons."""
        parts: list[str] = []
        for _ in range(self.chance.choice((1, 1, 2))):
            parts += [self.chance.choice(("and", "or"))] if parts else []
            parts += ["not"] if self.seldom() else []
            parts += self.sum(depth)
            sign = self.sign(self.chance.choice(("<", "<=", ">", ">=", "==", "!=")))
            parts += [sign, *self.sum(depth)] if self.often() else []
        return parts

    def sum(self, depth: int, claim: bool = False) -> list[str]:
        """Return terms and factors."""
        parts: list[str] = []
        for _ in range(self.chance.choice((1, 1, 2))):
            parts += [self.sign(self.chance.choice("+-*/+-*/%"))] if parts else []
            parts += [self.sign("-")] * self.chance.choice((0, 0, 0, 0, 1, 2))
            parts += self.power(depth, claim)
        return parts

    def power(self, depth: int, claim: bool = False) -> list[str]:
        """Return an atom under roots and powers."""
        parts = ["√"] * self.chance.choice((0, 0, 0, 0, 0, 0, 1, 2)) + self.atom(depth, claim)
        parts += [self.chance.choice(("²", "³", "¹⁰"))] if self.seldom() else []
        if self.seldom():
            parts += ["^", *([self.sign("-")] if self.seldom() else []), *self.power(depth, claim)]
        return parts

    def atom(self, depth: int, claim: bool) -> list[str]:
        """Return a number, a name, a call, or an expression in brackets."""
        kind = self.chance.choice(("number", "name", "name", "primed", "constant", *(["call", "brackets"] * depth)))
        if kind == "number":
            return [self.chance.choice(NUMBERS)]
        if kind == "constant":
            return [self.chance.choice(("true", "false", self.sign("inf")))]
        if kind == "call":
            arguments = [self.expression(depth - 1) for _ in range(self.chance.choice((0, 1, 1, 1, 2)))]
            named = [["axes", "=", "rest"]] if arguments and self.seldom() else []
            return [self.chance.choice(FUNCTIONS), *_call(arguments + named)]
        if kind == "brackets":
            return ["(", *self.expression(depth - 1), ")"]
        return [self.name(claim), *([self.sign("'")] if kind == "primed" else [])]


def _call(arguments: list[list[str]] | list[str]) -> list[str]:
    tokens = ["("]
    for number, argument in enumerate(arguments):
        tokens += [","] if number else []
        tokens += [argument] if isinstance(argument, str) else argument
    return [*tokens, ")"]
