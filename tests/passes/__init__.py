"""Tests of the passes between a rule and its kernels."""
