"""Tests of the bridge to SymPy, its limits and its proofs."""
