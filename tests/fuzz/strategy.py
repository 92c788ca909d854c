"""Random rules for hypothesis, which makes those that fail small by itself."""

from __future__ import annotations

from hypothesis import strategies as st

from .generate import Generator


def rules() -> st.SearchStrategy[str]:
    """Return the texts of well-typed rules: all that `generate.py` makes, every choice drawn by hypothesis."""
    return st.randoms(note_method_calls=False, use_true_random=False).map(lambda source: Generator(source).rule())
