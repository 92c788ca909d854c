"""Faults put into the compiler, to see that a test notices: `python -m tests.mutants`."""
