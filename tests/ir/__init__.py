"""Tests of the typed form of a rule."""
