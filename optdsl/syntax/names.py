"""How names are spelled out: NFKC, then Greek letters as words, so that `β₁` is `beta1`."""

from __future__ import annotations

import unicodedata

KEYWORDS = frozenset({
    "rule", "hyper", "state", "def", "update", "claim", "cite", "alias", "from", "in", "when",
    "if", "then", "elif", "else", "and", "or", "not", "true", "false", "inf",
})  # fmt: skip
"""Words that can't be names."""

_LOWER = [
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lam", "mu", "nu", "xi",
    "omicron", "pi", "rho", "sigma", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
]  # fmt: skip
_GREEK = {chr(ord("α") + index): word for index, word in enumerate(_LOWER)}
_GREEK |= {chr(ord("Α") + index): word.capitalize() for index, word in enumerate(_LOWER) if word and index != 17}

SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")

SPELLINGS = {
    "−": "-", "·": "*", "×": "*", "⋅": "*", "÷": "/", "≤": "<=", "≥": ">=", "≠": "!=", "∞": "inf", "∈": "in",
    "′": "'", "’": "'",
}  # fmt: skip
"""Mathematical signs and their ASCII forms."""


def spell(name: str) -> str:
    """Return a name in ASCII; characters that have no spelling stay and make the name invalid."""
    return "".join(_GREEK.get(character, character) for character in unicodedata.normalize("NFKC", name))


def is_valid(name: str) -> bool:
    """Return whether a spelled-out name can be used: an ASCII identifier."""
    return name.isascii() and name.isidentifier()
