"""From the state of the parser at a mistake to the words for it."""

from __future__ import annotations

import re
import unicodedata

from lark import Token

from optdsl.diagnostics import Problem
from optdsl.source import SourceFile, Span
from optdsl.syntax.errors import (
    FOREIGN,
    FOREIGN_ASSIGNMENT,
    LETTERS,
    STRAYS,
    SyntaxProblem,
    expected_words,
    without_operators,
)
from optdsl.syntax.explain_claims import end_of_claim, explain_claim
from optdsl.syntax.names import KEYWORDS


def place_of(token: Token) -> Span:
    """Return where a token stands."""
    return Span(token.start_pos or 0, token.end_pos or 0)


def explain(source: SourceFile, start: str, span: Span, token: Token, accepted: set[str]) -> Problem:
    """Turn a token that can't stand where it does, and the terminals that can, into words."""
    expected = expected_words(accepted, start)
    if start == "rule_line" and re.search(r"\)\s*=", source.text[span.start : place_of(token).start]):
        start = "chain"
    if token.type == "$END":
        opened = _open_bracket(source, span)
        if opened is not None:
            closing = "`)`" if source.text[opened] == "(" else "`]` or `)`"
            return SyntaxProblem(
                span=Span(opened, opened + 1), text="this bracket is never closed", mark="opened here",
                advice=f"close it with {closing}",
            )  # fmt: skip
        end, advice = Span(span.end - 1, span.end), ""
        if "THEN" in accepted or "ELSE" in accepted:
            advice = "a choice is written `if condition then a else b`"
        elif start == "claim_line":
            advice = end_of_claim(accepted, source.snippet(span))
        else:
            advice = _whole_line(start, accepted)
        text = f"the line ends too early: expected {expected_words(without_operators(accepted), start)}"
        return SyntaxProblem(span=end, text=text, mark="after this", advice=advice)
    place = place_of(token)
    text = str(token)
    if token.type == "FOREIGN":
        return _foreign(place, text, "NAME" in accepted)
    if token.type == "RPAR" and _unopened(source, span, place):
        return SyntaxProblem(span=place, text="this bracket closes nothing", mark="no bracket is open here")
    if start == "claim_line" and (token.type != "STRAY" or text == '"'):
        problem = explain_claim(token, place, accepted, expected, source.snippet(Span(span.start, place.start)))
        if problem is not None:
            return problem
    if token.type == "STRAY":
        return _stray(place, text, expected, "NAME" in accepted)
    if token.type == "EQUALS" and "COMPARISON" in accepted:
        return SyntaxProblem(
            span=place, text="`=` defines a name and can't stand inside an expression", mark="expected `==`",
            advice="compare with `==`", replacement="==",
        )  # fmt: skip
    if token.type == "IF" and {"LPAR", "NUMBER"} <= accepted:
        advice = "write the choice in brackets: `(if condition then a else b)`"
        return SyntaxProblem(span=place, text="`if` can't follow an operator", mark="needs brackets", advice=advice)
    if text in KEYWORDS and "NAME" in accepted and not {"LPAR", "RPAR"} & accepted:
        what = f"`{text}` is a word of the language and can't be a name"
        return SyntaxProblem(span=place, text=what, mark=f"expected {expected}", advice="choose another name")
    if token.type == "COMPARISON" and "AND" in accepted:
        advice = "write both comparisons and join them: `a < b and b < c`"
        return SyntaxProblem(span=place, text="comparisons can't be chained", mark="second comparison", advice=advice)
    advice, replacement = _advice(start, token, accepted)
    mark = f"expected {expected}"
    shown = f"`{text}`" if token.type != "STRING" else "doc string"
    return SyntaxProblem(span=place, text=f"unexpected {shown}", mark=mark, advice=advice, replacement=replacement)


_LINES = {
    "rule_line": "a rule starts with its name, its parameter and its gradient: `rule MyRule(x, g)`",
    "chain": "a chain is written `rule MyRule(x, g) = clip_value(limit = 0.5) |> adam`",
    "cite_line": 'a source is cited as in `cite "Kingma & Ba 2015" "arXiv:1412.6980"`',
    "family_line": 'a family is given as in `family "Adam"`',
    "hyper_line": "a hyperparameter is written `lr = 1e-3 in [0, inf)`",
    "alias_line": "an alias is written `alias betas = (beta1, beta2)`",
    "state_line": "a state is written `m = 0`, or `n: scalar = 0` where it is one number",
    "def_line": "a function is written `def half(a) = a/2`",
    "equation_line": "an equation is written `m' = m + g`",
    "view_line": "a view is written `view average = ax`",
}


_WITHOUT_PRIME = {
    "hyper_line": "a hyperparameter never changes",
    "state_line": "a state is declared without a prime",
    "view_line": "a view isn't part of the step and has no prime",
}


def _whole_line(start: str, accepted: set[str]) -> str:
    """Return how a line is written as a whole, unless it went wrong inside an expression or after its end."""
    expression = "PLUS" in accepted or "NUMBER" in accepted
    return "" if expression or accepted == {"$END"} else _LINES.get(start, "")


def _advice(start: str, token: Token, accepted: set[str]) -> tuple[str, str | None]:
    """Return how to mend an unexpected token, and what to write for it if that is all."""
    text = str(token)
    if text == "==" and "EQUALS" in accepted:
        return "a definition is written with `=`", "="
    if text == "elseif" and "ELIF" in accepted:
        return "write `elif`", "elif"
    if text not in KEYWORDS and text.lower() in {word.lower() for word in accepted} & KEYWORDS:
        return f"write `{text.lower()}`", text.lower()
    if token.type == "DIVIDE" and start == "rule_line":
        return "a rule's own name has no folder; that of the rule it is made from may: `from flux/Momentum`", None
    if token.type == "COMMA" and start == "hyper_line" and "RPAR" in accepted:
        return "several hyperparameters are one tuple by an alias: `alias betas = (beta1, beta2)`", None
    if token.type in ("NUMBER", "INF", "INFINITY") and "COMMA" in accepted and "TIMES" in accepted:
        return "write `,` between two values, or `*` between two factors", None
    if token.type in ("IF", "THEN", "ELIF", "ELSE") or "THEN" in accepted or "ELSE" in accepted:
        return "a choice is written `if condition then a else b`", None
    if token.type in ("NAME", "NUMBER", "LPAR") and "TIMES" in accepted:
        return "write `*` between two factors", None
    if token.type == "PRIME" and start in _WITHOUT_PRIME and "EQUALS" in accepted:
        return _WITHOUT_PRIME[start], ""
    if token.type == "PRIME" and "EQUALS" in accepted:
        return "one prime means the value after the step", ""
    if token.type == "PRIME" and "STRING" in accepted:
        return "a doc string stands in double quotes", None
    if token.type == "PLUS":
        return "a number has no `+` before it", ""
    if token.type in ("IN", "ELEMENT_OF", "WHEN") and start in ("hyper_line", "state_line"):
        if (start == "hyper_line") == (token.type != "WHEN"):
            return f"`{text}` stands before the doc string", None
        return ("`when` belongs to a state" if token.type == "WHEN" else "only a hyperparameter has an interval"), None
    if start == "hyper_line" and (
        "RSQB" in accepted or "LSQB" in accepted or ("RPAR" not in accepted and "COMMA" in accepted)
    ):
        return (
            "an interval is written `[0, 1)`: `[ ]` for a closed end, `( )` for an open one, `inf` for no bound",
            None,
        )
    return _whole_line(start, accepted), None


def _foreign(place: Span, text: str, first: bool) -> SyntaxProblem:
    if text == "//":
        advice = "a comment starts with `#`" + ("" if first else "; a division is written `/`")
        return SyntaxProblem(span=place, text="unexpected `//`", advice=advice, replacement="#" if first else None)
    if text in FOREIGN_ASSIGNMENT:
        advice = "write an equation: the new value on the left with a prime, such as `m' = m + g`"
        return SyntaxProblem(span=place, text=f"`{text}` is not an operator of the language", advice=advice)
    ours, advice = FOREIGN[text]
    return SyntaxProblem(
        span=place, text=f"`{text}` is not an operator of the language", mark=f"did you mean `{ours}`?", advice=advice,
        replacement=ours,
    )  # fmt: skip


def _stray(place: Span, text: str, expected: str, name: bool) -> SyntaxProblem:
    if text == '"':
        return SyntaxProblem(
            span=place, text="this doc string is never closed", advice='close it with `"` on the same line'
        )
    shown = text if text.isprintable() and not unicodedata.combining(text) else f"U+{ord(text):04X}"
    plain = unicodedata.normalize("NFKC", text)
    if text == "|" and "`|>`" in expected:
        replacement, advice = "|>", "the parts of a chain are joined by `|>`"
    elif text == "|" and name:
        replacement, advice = None, "the magnitude of `a` is written `abs(a)`"
    elif text in STRAYS:
        ours, advice = STRAYS[text]
        replacement = ours or ("" if text == ";" else None)
    elif plain != text and plain.isascii() and plain.isprintable():
        replacement, advice = plain, f"this only looks like `{plain}`"
    else:
        replacement, advice = None, "" if text.isascii() or not name else LETTERS
    return SyntaxProblem(
        span=place, text=f"unexpected character `{shown}`", mark=f"expected {expected}", advice=advice,
        replacement=replacement,
    )  # fmt: skip


def _unopened(source: SourceFile, span: Span, place: Span) -> bool:
    """Return whether no bracket of the line is open before a place."""
    return _open_bracket(source, Span(span.start, place.start)) is None


def _open_bracket(source: SourceFile, span: Span) -> int | None:
    """Return the place of the innermost bracket that isn't closed."""
    stack: list[int] = []
    for match in re.finditer(r'"[^"\n]*"?|#[^\n]*|[()\[\]]', source.snippet(span)):
        if match.group() in "([":
            stack.append(span.start + match.start())
        elif match.group() in ")]" and stack:
            stack.pop()
    return stack[-1] if stack else None
