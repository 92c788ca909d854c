"""How names are spelled out: NFKC, then Greek letters as words, so that `β₁` is `beta1`."""

from __future__ import annotations

import unicodedata

KEYWORDS = frozenset({
    "rule", "hyper", "state", "def", "update", "view", "claim", "cite", "family", "alias", "from", "in", "when",
    "if", "then", "elif", "else", "and", "or", "not", "true", "false", "inf",
})  # fmt: skip
"""Words that can't be names."""

CLAIM_WORDS = frozenset({"equals", "invariant", "descends", "still", "with", "for", "steps", "step"})
"""Words that can't be names in a claim."""

_LOWER = [
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lam", "mu", "nu", "xi",
    "omicron", "pi", "rho", "sigma", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
]  # fmt: skip
_GREEK = {chr(ord("α") + index): word for index, word in enumerate(_LOWER)}
_GREEK |= {chr(ord("Α") + index): word.capitalize() for index, word in enumerate(_LOWER) if word and index != 17}

SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")

SPELLINGS = {
    "−": "-", "·": "*", "×": "*", "⋅": "*", "÷": "/", "≤": "<=", "≥": ">=", "≠": "!=", "∞": "inf", "∈": "in",
    "′": "'", "’": "'", "→": "->",
}  # fmt: skip
"""Mathematical signs and their ASCII forms."""

UNICODE_SIGNS = {
    "-": "−", "*": "·", "<=": "≤", ">=": "≥", "!=": "≠", "inf": "∞", "in": "∈", "'": "′", "->": "→",
}  # fmt: skip
"""ASCII forms and the sign that is written for each."""

_LOOK_LATIN = frozenset({"omicron", "upsilon", *(
    word.capitalize() for word in (
        "alpha", "beta", "epsilon", "zeta", "eta", "iota", "kappa", "mu", "nu", "omicron", "rho", "tau", "upsilon",
        "chi",
    )
)})  # fmt: skip
_LETTERS = {word: letter for letter, word in _GREEK.items() if word not in _LOOK_LATIN}
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def spell(name: str) -> str:
    """Return a name in ASCII; characters that have no spelling stay and make the name invalid."""
    return "".join(_GREEK.get(character, character) for character in unicodedata.normalize("NFKC", name))


def unicode_name(name: str) -> str:
    """Return an ASCII name with a Greek letter and subscripts where it is made of them: `beta1` is `β₁`.

    `spell` gives the name back. A letter that looks like a Latin one stays a word, and so does every longer name.
    """
    stem = name.rstrip("0123456789")
    if stem not in _LETTERS and not (len(stem) == 1 and stem.isalpha()):
        return name
    return _LETTERS.get(stem, stem) + name[len(stem) :].translate(_SUBSCRIPTS)


def is_valid(name: str) -> bool:
    """Return whether a spelled-out name can be used: an ASCII identifier."""
    return name.isascii() and name.isidentifier()
