"""What is said about text that doesn't follow the grammar."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from optdsl.diagnostics import Fix, Problem


@dataclass(frozen=True, kw_only=True)
class SyntaxProblem(Problem):
    """Text that can't be read. The words depend on where the parser stood."""

    slug: ClassVar[str] = "syntax"
    text: str
    mark: str = ""
    advice: str = ""
    replacement: str | None = None
    mended: tuple[int, int] | None = None

    @property
    def message(self) -> str:
        return self.text

    @property
    def label(self) -> str:
        return self.mark

    @property
    def help(self) -> str:
        return self.advice

    @property
    def fix(self) -> Fix | None:
        return None if self.replacement is None else Fix(span=self.mended or self.span, text=self.replacement)


@dataclass(frozen=True, kw_only=True)
class TooComplex(Problem):
    """Input over a stated limit."""

    slug: ClassVar[str] = "too-complex"
    what: str
    limit: str
    advice: str = ""

    @property
    def message(self) -> str:
        return f"{self.what}; the limit is {self.limit}"

    @property
    def help(self) -> str:
        return self.advice


WORDS = {
    "RULE": "`rule`",
    "FROM": "`from`",
    "CITE": "`cite`",
    "FAMILY": "`family`",
    "ALIAS": "`alias`",
    "DEF": "`def`",
    "VIEW": "`view`",
    "IN": "`in` and an interval",
    "ELEMENT_OF": "`in` and an interval",
    "INFINITY": "`inf`",
    "WHEN": "`when` and a condition",
    "IF": "`if`",
    "THEN": "`then`",
    "ELIF": "`elif`",
    "ELSE": "`else`",
    "OR": "`or`",
    "AND": "`and`",
    "NOT": "`not`",
    "TRUE": "`true`",
    "FALSE": "`false`",
    "INF": "`inf`",
    "COMPARISON": "a comparison",
    "EQUALS": "`=`",
    "PLUS": "`+`",
    "MINUS": "`-`",
    "TIMES": "`*`",
    "DIVIDE": "`/`",
    "REMAINDER": "`%`",
    "POWER": "`^`",
    "ROOT": "a root",
    "PRIME": "a prime",
    "SUPERSCRIPT": "a power",
    "PIPE": "`|>`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "LSQB": "`[`",
    "RSQB": "`]`",
    "COMMA": "`,`",
    "COLON": "`:` and a type",
    "STRING": "a doc string",
    "NUMBER": "a number",
    "NAME": "a name",
    "EQUALS_CLAIM": "`equals`",
    "INVARIANT": "`invariant`",
    "DESCENDS": "`descends`",
    "STILL": "`still`",
    "WITH": "`with`",
    "FOR": "`for`",
    "STEPS": "`steps`",
    "STEP": "`steps`",
    "ARROW": "`->`",
    "$END": "the end of the line",
}

_START_OF_VALUE = {"IF", "NOT", "MINUS", "NUMBER", "TRUE", "FALSE", "INF", "INFINITY", "NAME", "LPAR", "ROOT"}
_CONTINUATION = {"OR", "AND", "COMPARISON", "PLUS", "MINUS", "TIMES", "DIVIDE", "REMAINDER", "POWER", "SUPERSCRIPT"}

LETTERS = "names are made of Latin and Greek letters, digits and `_`"

FOREIGN = {
    "**": ("^", "a power is written `^`"),
    "&&": ("and", "both conditions are joined by `and`"),
    "||": ("or", "conditions are joined by `or`"),
    ":=": ("=", "a definition is written with `=`"),
}
STRAYS = {
    ";": ("", "a line ends without a sign"),
    "{": ("(", "expressions are grouped with `( )`"),
    "}": (")", "expressions are grouped with `( )`"),
    "&": ("and", "both conditions are joined by `and`"),
    "|": ("or", "conditions are joined by `or`"),
    "!": ("not ", "negate with `not`"),
    "~": ("not ", "negate with `not`"),
    "“": ('"', 'a doc string stands in straight quotes, `"`'),
    "”": ('"', 'a doc string stands in straight quotes, `"`'),
    "\\": ("", "a line goes on where a bracket is open"),
    "\u2013": ("-", "this is a dash; a minus is written `-`"),
    "\u2014": ("-", "this is a dash; a minus is written `-`"),
    "←": ("=", "a definition is written with `=`"),
    "∑": ("", "a sum over the tensor is written `sum(a)`"),
    "⊙": ("*", "elements are multiplied with `*`"),
    ".": ("", "names hold no `.`, and functions are called by their name alone: `sqrt(a)`"),
    "\u00a0": (" ", "this is a no-break space; write a plain one"),
}
"""Characters that are no part of the language: what stands for them, empty where nothing does, and what to say."""

FOREIGN_ASSIGNMENT = {"+=", "-=", "*=", "/=", "->"}


def expected_words(accepted: Iterable[str], start: str = "") -> str:
    """Return in words what the parser could have read next in a line with a start symbol."""
    names = set(accepted) - {"FOREIGN", "STRAY", "PRIME", "SUPERSCRIPT"}
    words = []
    if {"NUMBER", "NAME", "LPAR", "MINUS"} <= names:
        words.append("a value")
        names -= _START_OF_VALUE
    elif {"NUMBER", "NAME", "LPAR"} <= names:
        names -= _START_OF_VALUE - {"NUMBER", "NAME", "LPAR"}
    if len(_CONTINUATION & names) >= 3:
        words.append("an operator")
        names -= _CONTINUATION - ({"AND"} if "OR" not in names else set()) | {"LPAR"}
    shown = WORDS | {"WHEN": "`when`"} if start == "claim_line" else WORDS
    words += [word for word in dict.fromkeys(shown.values()) if word in {shown[name] for name in names}]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def without_operators(accepted: set[str]) -> set[str]:
    """Return what can follow a value but doesn't make it longer, if there is anything: what the line still lacks."""
    rest = accepted - _CONTINUATION - {"LPAR", "PRIME"}
    return rest if "PLUS" in accepted and rest else accepted
