"""The grammar is unambiguous, for the parser and for the lexer."""

from __future__ import annotations

from importlib.resources import files

import pytest
from lark import Lark

from optdsl.syntax.errors import WORDS
from optdsl.syntax.parser import STARTS

GRAMMAR = files("optdsl.syntax").joinpath("grammar.lark").read_text(encoding="utf-8")


def test_the_grammar_has_no_collisions() -> None:
    pytest.importorskip(
        "interegular", reason="Lark finds collisions of terminals with interegular, which is not installed"
    )
    Lark(GRAMMAR, parser="lalr", lexer="basic", start=list(STARTS), strict=True)


def test_every_terminal_has_words() -> None:
    parser = Lark(GRAMMAR, parser="lalr", lexer="basic", start=list(STARTS))
    ignored = set(parser.ignore_tokens) | {"FOREIGN", "STRAY"}
    assert {terminal.name for terminal in parser.terminals} - ignored <= WORDS.keys()
