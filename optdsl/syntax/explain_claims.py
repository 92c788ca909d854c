"""Words for mistakes in the lines of the section `claim`."""

from __future__ import annotations

import re

from lark import Token

from optdsl.diagnostics import closest
from optdsl.source import Span
from optdsl.syntax.errors import SyntaxProblem
from optdsl.syntax.names import CLAIM_WORDS, KEYWORDS

EXAMPLES = {
    "equals": "equals Adam when weight_decay = 0",
    "invariant": "invariant g -> c*g for c > 0",
    "descends": "descends when weight_decay = 0",
    "still": "still when lr = 0",
}
"""The four kinds of claims."""

_FOLDERS = "a claim names a rule without its folder: it is the file beside this one, else the bundled rule"
_VALUES = "`when` gives values, such as `when lr = 0 and momentum = 0.9`"
_JOINED = "values are joined by `and`, such as `when lr = 0 and momentum = 0.9`"
_BOUNDS = "bounds of names are written `for c > 0`"
_STEPS = "a number of steps is written `for 4 steps`"


def explain_claim(token: Token, place: Span, accepted: set[str], expected: str, before: str) -> SyntaxProblem | None:
    """Return what is wrong with an unexpected token of a claim, or None where nothing in particular can be said.

    `before` is the text of the claim up to the token.
    """
    text, kind = str(token), before.split(maxsplit=1)[0] if before.strip() else ""
    if not kind:
        return _unknown_kind(text, place)
    if text == '"':
        return SyntaxProblem(span=place, text="a claim has no doc string", advice="a comment starts with `#`")
    if text in CLAIM_WORDS and accepted == {"NAME"}:
        what = f"`{text}` is a word of the section `claim` and can't be a name in it"
        advice = "a claim can't be about a hyperparameter of this name: choose another"
        return SyntaxProblem(span=place, text=what, mark="expected a name", advice=advice)
    if text in KEYWORDS and accepted == {"NAME"} and text != "not":
        return None
    advice, replacement = _advice(token, accepted, kind, before)
    if not advice:
        return None
    mark = f"expected {expected}"
    return SyntaxProblem(span=place, text=f"unexpected `{text}`", mark=mark, advice=advice, replacement=replacement)


def end_of_claim(accepted: set[str], before: str) -> str:
    """Return how to go on with a claim that ends too early."""
    return _STEPS if accepted & {"STEPS"} or accepted == {"NUMBER"} else _written(before.split(maxsplit=1)[0])


def _written(kind: str) -> str:
    return f"a claim of this kind is written `{EXAMPLES[kind]}`"


def _unknown_kind(text: str, place: Span) -> SyntaxProblem:
    near = closest(text, EXAMPLES) if text.isidentifier() else None
    *others, last = (f"`{kind}`" for kind in EXAMPLES)
    return SyntaxProblem(
        span=place, text=f"a claim can't start with `{text}`", mark=f"did you mean `{near}`?" if near else "",
        advice=f"a claim starts with {', '.join(others)} or {last}", replacement=near,
    )  # fmt: skip


def _advice(token: Token, accepted: set[str], kind: str, before: str) -> tuple[str, str | None]:
    """Return how to mend an unexpected token, and what to write for it if that is all."""
    text, what = str(token), token.type
    if what == "DIVIDE" and kind == "equals" and len(before.split()) == 2:
        return _FOLDERS, None
    if accepted == {"ARROW"} and what in ("EQUALS", "COMPARISON"):
        return "a change is written with `->`, such as `g -> c*g`", "->"
    if accepted == {"COMPARISON"} and what in ("EQUALS", "ARROW"):
        return _BOUNDS, None
    if accepted == {"EQUALS"}:
        return _VALUES, "=" if text == "==" or what == "ARROW" else None
    if accepted & {"STEPS"} or accepted == {"NUMBER"}:
        bounded = kind == "invariant" and what in ("NAME", "COMPARISON")
        return (f"{_BOUNDS}, before `when`" if bounded else _STEPS), None
    if what == "WHEN" and re.search(r"\bwhen\b", before):
        return f"`when` stands once in a claim; {_JOINED}", "and" if "$END" in accepted else None
    if what in ("WHEN", "WITH", "FOR"):
        return _out_of_place(what, kind), None
    between = "AND" in accepted and "RPAR" not in accepted
    if between and what in ("NAME", "COMMA"):
        return _JOINED, " and" if what == "COMMA" else None
    if (between and what in ("COMPARISON", "EQUALS", "ARROW", "OR")) or (what == "NOT" and accepted == {"NAME"}):
        return _VALUES, None
    operators = "PLUS" in accepted or "MINUS" in accepted
    return ("" if operators else _written(kind)), None


def _out_of_place(what: str, kind: str) -> str:
    """Return where a word that stands in the wrong place of a claim belongs."""
    if what == "WITH" and kind != "equals":
        return "`with` gives values of the rule that `equals` names"
    if what == "FOR" and kind not in ("equals", "invariant"):
        return "only `equals` and `invariant` are about more than one step"
    return {
        "WITH": "`with` stands right behind the name of the rule, before `when`",
        "WHEN": "`when` stands before `for 4 steps`",
        "FOR": "`for` stands before `when` where it bounds names, and at the end of the claim where it counts steps",
    }[what]
