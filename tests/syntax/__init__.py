"""Tests of the way from text to the surface tree."""
