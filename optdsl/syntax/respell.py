"""The two spellings of an entry's tokens: ASCII, and Greek letters with mathematical signs."""

from __future__ import annotations

from collections.abc import Sequence

from optdsl.syntax.names import CLAIM_WORDS, KEYWORDS, SPELLINGS, SUPERSCRIPTS, UNICODE_SIGNS, spell, unicode_name
from optdsl.syntax.tokens import Piece, depth_change, find

_KINDS = {"ELEMENT_OF": "IN", "INFINITY": "INF"}
_SIGNS = frozenset({"IN", "INF", "MINUS", "TIMES", "DIVIDE", "PRIME", "COMPARISON", "ARROW"})
_DIGITS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_MOST_DIGITS = 3
"""Digits in a power that the parser reads."""


def to_ascii(pieces: Sequence[Piece]) -> list[Piece]:
    """Return tokens in ASCII: signs, names, roots as calls and raised digits as powers."""
    return _powers(_calls([_plain(piece) for piece in pieces]))


def to_unicode(pieces: Sequence[Piece]) -> list[Piece]:
    """Return tokens that are in ASCII with Greek letters and signs. `to_ascii` gives the same tokens back."""
    signed = [
        Piece(piece.kind, UNICODE_SIGNS.get(piece.text, piece.text), piece.line) if piece.kind in _SIGNS else piece
        for piece in pieces
    ]
    return _greek(_roots(_raised(signed)))


def _plain(piece: Piece) -> Piece:
    kind = _KINDS.get(piece.kind, piece.kind)
    if kind in _SIGNS:
        return Piece(kind, SPELLINGS.get(piece.text, piece.text), piece.line)
    if kind == "NAME":
        name = spell(piece.text)
        if name == piece.text or name in KEYWORDS or name in CLAIM_WORDS:
            return piece  # in ASCII, a name of other letters that spell a word of the language would be that word
        return Piece(kind, name, piece.line)
    return piece


def _calls(pieces: list[Piece]) -> list[Piece]:
    """Write roots as calls, the last first, so that the operand of each holds no other."""
    result = list(pieces)
    for index in range(len(pieces) - 1, -1, -1):
        root = pieces[index]
        if root.kind != "ROOT":
            continue
        end = _end_of_atom(result, index + 1)
        raised = end < len(result) and result[end].kind == "SUPERSCRIPT"
        result[index] = Piece("NAME", "sqrt", root.line)
        if result[index + 1].kind != "LPAR" or raised:
            end += raised
            result.insert(end, Piece("RPAR", ")", result[end - 1].line))
            result.insert(index + 1, Piece("LPAR", "(", root.line))
    return result


def _powers(pieces: list[Piece]) -> list[Piece]:
    """Write raised digits with `^`, in brackets where another power follows: `^` groups to the right."""
    result: list[Piece] = []
    for index, piece in enumerate(pieces):
        if piece.kind != "SUPERSCRIPT":
            result.append(piece)
            continue
        power = [
            Piece("POWER", "^", piece.line),
            Piece("NUMBER", piece.text.translate(SUPERSCRIPTS), piece.line),
        ]
        if index + 1 < len(pieces) and pieces[index + 1].kind == "POWER":
            start = _start_of_atom(result)
            result.insert(start, Piece("LPAR", "(", result[start].line))
            power.append(Piece("RPAR", ")", piece.line))
        result += power
    return result


def _raised(pieces: list[Piece]) -> list[Piece]:
    """Raise whole powers: `g^2` is `g²`, but `a^2^3` is `a` to the power `2^3`, and stays."""
    result: list[Piece] = []
    for index, piece in enumerate(pieces):
        before, after = (pieces[at].kind if 0 <= at < len(pieces) else "" for at in (index - 1, index + 1))
        whole = piece.kind == "NUMBER" and piece.text.isdecimal() and len(piece.text) <= _MOST_DIGITS
        if whole and before == "POWER" and after != "POWER" and pieces[index - 1].line == piece.line:
            result[-1] = Piece("SUPERSCRIPT", piece.text.translate(_DIGITS), piece.line)
        else:
            result.append(piece)
    return result


def _roots(pieces: list[Piece]) -> list[Piece]:
    """Write calls of `sqrt` with the sign, and without brackets round a name or a number.

    A power of a root stays as it is: `√v^2` would be read in two ways.
    """
    result = list(pieces)
    for index in range(len(pieces) - 2, -1, -1):
        name, opening = pieces[index], pieces[index + 1]
        defined = index > 0 and pieces[index - 1].kind == "DEF"
        if name.kind != "NAME" or name.text != "sqrt" or opening.kind != "LPAR" or defined:
            continue
        end = _end_of_atom(result, index + 1)
        inside = result[index + 2 : end - 1]
        follows = result[end].kind if end < len(result) else ""
        if follows in ("POWER", "SUPERSCRIPT") or not inside or find(inside, "COMMA") < len(inside):
            continue
        result[index] = Piece("ROOT", "√", name.line)
        bare = [piece.kind for piece in inside] in (["NAME"], ["NAME", "PRIME"], ["NUMBER"])
        if bare and len({piece.line for piece in result[index:end]}) == 1:
            result[index + 1 : end] = inside
    return result


def _greek(pieces: list[Piece]) -> list[Piece]:
    """Write names in Greek letters and with subscripts, but not those of rules and of types."""
    result, before = [], ""
    header = pieces[0].kind == "RULE"
    for index, piece in enumerate(pieces):
        named = before in ("RULE", "FROM", "EQUALS_CLAIM", "COLON", "PIPE")
        named = named or (header and before in ("EQUALS", "DIVIDE") and _depth(pieces[:index]) == 0)
        shown = unicode_name(piece.text) if piece.kind == "NAME" and not named else piece.text
        result.append(piece if shown == piece.text else Piece("NAME", shown, piece.line))
        before = piece.kind
    return result


def _depth(pieces: Sequence[Piece]) -> int:
    """Return how many brackets are open after some tokens."""
    return sum(depth_change(piece) for piece in pieces)


def _end_of_atom(pieces: Sequence[Piece], start: int) -> int:
    """Return the place after a name, with its prime or its arguments, a number, or what stands in brackets."""
    index = start
    if pieces[index].kind == "NAME":
        index += 1
        if index < len(pieces) and pieces[index].kind == "PRIME":
            return index + 1
        if index == len(pieces) or pieces[index].kind != "LPAR":
            return index
    if pieces[index].kind != "LPAR":
        return index + 1
    depth = 0
    while True:
        depth += depth_change(pieces[index])
        index += 1
        if depth == 0:
            return index


def _start_of_atom(pieces: Sequence[Piece]) -> int:
    """Return the place of the first token of the atom that some tokens end with."""
    index = len(pieces) - 1
    if pieces[index].kind == "PRIME":
        return index - 1
    if pieces[index].kind != "RPAR":
        return index
    depth = 0
    while True:
        depth -= depth_change(pieces[index])
        if depth == 0:
            break
        index -= 1
    called = index > 0 and pieces[index - 1].kind == "NAME"
    return index - 1 if called else index
