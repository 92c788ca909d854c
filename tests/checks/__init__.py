"""Tests of the warnings about a rule."""
