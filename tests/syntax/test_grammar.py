"""The grammar is unambiguous, for the parser and for the lexer."""

from __future__ import annotations

from importlib.resources import files

import pytest
from lark import Lark

from optdsl.syntax.errors import WORDS
from optdsl.syntax.names import CLAIM_WORDS
from optdsl.syntax.parser import STARTS, lark


@pytest.mark.parametrize("claims", [False, True], ids=["lines", "claims"])
def test_the_grammar_has_no_collisions(claims: bool) -> None:
    pytest.importorskip(
        "interegular", reason="Lark finds collisions of terminals with interegular, which is not installed"
    )
    names = ("grammar.lark", "claims.lark") if claims else ("grammar.lark",)
    grammar = "\n".join(files("optdsl.syntax").joinpath(name).read_text(encoding="utf-8") for name in names)
    starts = ["claim_line", "foreign_line"] if claims else list(STARTS)
    Lark(grammar, parser="lalr", lexer="basic", start=starts, strict=True)


@pytest.mark.parametrize("claims", [False, True], ids=["lines", "claims"])
def test_every_terminal_has_words(claims: bool) -> None:
    parser = lark(claims)
    ignored = set(parser.ignore_tokens) | {"FOREIGN", "STRAY"}
    assert {terminal.name for terminal in parser.terminals} - ignored <= WORDS.keys()


def test_the_words_of_claims_are_those_of_their_grammar() -> None:
    words = {str(each.pattern.value) for each in lark(True).terminals} - {
        str(each.pattern.value) for each in lark(False).terminals
    }
    assert {word for word in words if word.isalpha()} == CLAIM_WORDS
